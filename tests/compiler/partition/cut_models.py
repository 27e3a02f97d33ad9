"""Small models, each cut for one reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F, I64, BOOL, TEXT = (
    TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING,
)  # fmt: skip
node = helper.make_node


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, list[Any]]],
    outputs: Mapping[str, list[Any]],
    weights: Sequence[onnx.TensorProto],
) -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes), "m", [info(n, t, s) for n, (t, s) in inputs.items()],
        [info(n, F, s) for n, s in outputs.items()], list(weights),
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    random = np.random.Generator(np.random.PCG64(sum(name.encode())))
    array = random.standard_normal(shape) / np.sqrt(shape[0])
    return numpy_helper.from_array(array.astype(np.float32), name)


def number(name: str, value: Any, dtype: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def between(*middle: onnx.NodeProto, last: str, **inputs: tuple[int, list[Any]]) -> onnx.ModelProto:
    """x -> product -> the nodes, from "y" to `last` -> product -> o."""
    nodes = [node("MatMul", ["x", "a"], ["y"]), *middle, node("MatMul", [last, "b"], ["o"])]
    weights = [weight("a", 4, 4), weight("b", 4, 4), number("zero", 0)]
    return model_of(nodes, {"x": (F, [4, 4]), **inputs}, {"o": [4, 4]}, weights)


def branch(op: str, result: str) -> onnx.GraphProto:
    """A body that reads "y" of the graph around it."""
    value = helper.make_tensor_value_info(result, F, [4, 4])
    return helper.make_graph([node(op, ["y"], [result])], result, [], [value])


def data_dependent() -> onnx.ModelProto:
    return between(
        node("NonZero", ["y"], ["places"], name="find"),
        node("ReduceSum", ["places"], ["sum"], keepdims=0, name="add_up"),
        node("Cast", ["sum"], ["s"], to=F),
        node("Mul", ["y", "s"], ["z"]),
        last="z",
    )


def wide_integers() -> onnx.ModelProto:
    nodes = [
        node("Add", ["ids", "k"], ["j"]),
        node("Mul", ["j", "j"], ["jj"]),
        node("Cast", ["jj"], ["f"], to=F),
        node("MatMul", ["f", "a"], ["o"]),
    ]
    weights = [weight("a", 4, 4), number("k", 3**10)]
    return model_of(nodes, {"ids": (I64, [4, 4])}, {"o": [4, 4]}, weights)


def tied(rows: int = 9000) -> onnx.ModelProto:
    """A table that is looked up first and multiplied with last."""
    nodes = [
        node("Gather", ["table", "ids"], ["e"], name="embed"),
        node("MatMul", ["e", "a"], ["h"]),
        node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        node("MatMul", ["h", "turned"], ["o"], name="head"),
    ]
    weights = [weight("table", rows, 8), weight("a", 8, 8)]
    return model_of(nodes, {"ids": (I64, [3])}, {"o": [3, rows]}, weights)


def text() -> onnx.ModelProto:
    encode = node(
        "LabelEncoder", ["words"], ["numbers"], domain="ai.onnx.ml", name="encode",
        keys_strings=["a", "b", "c"], values_floats=[1.0, 2.0, 3.0],
    )  # fmt: skip
    product = node("MatMul", ["numbers", "a"], ["o"])
    return model_of(
        [encode, product], {"words": (TEXT, [1, 4])}, {"o": [1, 4]}, [weight("a", 4, 4)]
    )


def bert(vocabulary: int = 9000, tokens: int = 16, width: int = 32) -> onnx.ModelProto:
    """Embeddings of words, token types and places; a mask; one layer of attention."""
    nodes = [
        node("Gather", ["words", "ids"], ["we"], name="word_embedding"),
        node("Gather", ["types", "kinds"], ["te"], name="type_embedding"),
        node("Gather", ["places", "order"], ["pe"], name="place_embedding"),
        node("Add", ["we", "te"], ["wt"], name="sum_of_embeddings"),
        node("Add", ["wt", "pe"], ["h"]),
        node("Cast", ["mask"], ["m0"], to=F),
        node("Sub", ["one", "m0"], ["m1"]),
        node("Mul", ["m1", "least"], ["m2"]),
        *(node("MatMul", ["h", f"w{k}"], [k]) for k in "qkv"),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["s0"]),
        node("Add", ["s0", "m2"], ["s1"]),
        node("Softmax", ["s1"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["att"]),
        node("Add", ["att", "h"], ["o"]),
    ]
    weights = [
        weight("words", vocabulary, width), weight("types", 2, width), weight("places", 64, width),
        *(weight(f"w{k}", width, width) for k in "qkv"),
        number("order", np.arange(tokens)[None]),
        number("one", 1, np.float32), number("least", -1e4, np.float32),
    ]  # fmt: skip
    inputs = {name: (I64, [1, tokens]) for name in ("ids", "kinds", "mask")}
    return model_of(nodes, inputs, {"o": [1, tokens, width]}, weights)


X = np.random.Generator(np.random.PCG64(1)).standard_normal((4, 4)).astype(np.float32)
Y: dict[str, tuple[int, list[Any]]] = {"y": (BOOL, [])}

# name -> (model, inputs, options, the host's operators, sections: h for host, d for device)
CASES: dict[str, tuple[onnx.ModelProto, dict[str, Any], dict[str, Any], list[str], str]] = {
    "no decomposition": (
        between(
            node("Binarizer", ["y"], ["d"], domain="ai.onnx.ml", threshold=0.1),
            node("Mul", ["y", "d"], ["z"]), last="z",
        ),
        {"x": X}, {}, ["ai.onnx.ml::Binarizer"], "dhd",
    ),
    "double precision": (
        between(
            node("Cast", ["y"], ["d"], to=TensorProto.DOUBLE), node("Mul", ["d", "d"], ["dd"]),
            node("Cast", ["dd"], ["z"], to=F), last="z",
        ),
        {"x": X}, {}, ["Mul"], "dhd",
    ),
    "condition": (
        between(
            node(
                "If", ["c"], ["z"], then_branch=branch("Relu", "t"), else_branch=branch("Neg", "e")
            ),
            last="z", c=(BOOL, []),
        ),
        {"x": X, "c": np.array(True)}, {}, ["If"], "dhd",
    ),
    "sequence": (
        between(
            node("SplitToSequence", ["y"], ["s"], axis=0), node("SequenceAt", ["s", "zero"], ["r"]),
            node("Add", ["y", "r"], ["z"]), last="z",
        ),
        {"x": X}, {}, ["SplitToSequence", "SequenceAt"], "dhd",
    ),
    "shape that depends on data": (
        data_dependent(), {"x": X}, {"host_dynamic": True}, ["NonZero", "ReduceSum"], "dhd",
    ),
    "wide integers": (
        wide_integers(), {"ids": np.arange(16).reshape(4, 4)}, {}, ["Add", "Mul", "Cast"], "hd",
    ),
    "tied table": (tied(), {"ids": np.array([5, 8999, 7])}, {}, ["Gather"], "hd"),
    "text": (
        text(), {"words": np.array([["a", "c", "b", "a"]], object)}, {},
        ["ai.onnx.ml::LabelEncoder"], "hd",
    ),
    "named operator": (
        between(node("Softmax", ["y"], ["z"]), last="z"),
        {"x": X}, {"host_ops": ["Softmax"]}, ["Softmax"], "dhd",
    ),
    "named node": (
        between(node("Relu", ["y"], ["r"], name="first"), node("Neg", ["r"], ["z"]), last="z"),
        {"x": X}, {"host_nodes": ["first"]}, ["Relu"], "dhd",
    ),
}  # fmt: skip
