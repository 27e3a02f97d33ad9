"""From the graph to instructions on virtual buffers.

layout.py       which dimension of each value lies on partitions
context.py      Lowering: values and their views, constants, transfers
expression.py   elementwise graphs to engine instructions (instruction selection)
contract.py     matmul and convolution on the tensor engine, with what is fused behind them
reduce.py       reductions along the free dimensions or across partitions
window.py       pooling
movement.py     values that move: transposes, concatenation, padding
groups.py       which nodes are lowered together
lower.py        the walk over the graph
"""
