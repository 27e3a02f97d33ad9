; The rules of DMA instructions: each broken alone, beside a near miss.
; target: inf1
.buffer scratch scratch uint8 [1048576] @0x0

.stream q0
; Source and destination have as many elements.
    dma_copy dram:int32[@0x0; 5], dram:int32[@0x500; 6]                                           ; error: dma_copy-C1
    dma_copy dram:int32[@0x0; 6], dram:int32[@0x500; 6]
; NeuronCore-v1 copies bytes: source and destination have one data type.
    dma_copy dram:int8[@0x0; 16], dram:bf16[@0x5c0; 16]                                           ; error: dma_copy-C2
    dma_copy dram:bf16[@0x0; 16], dram:bf16[@0x5c0; 16]
; Runs are cut at 512 bytes or more, and at no more than the longest descriptor.
    dma_copy dram:int8[@0x0; 1024], dram:int8[@0x1000; 1024], longest=511                         ; error: dma_copy-C3
    dma_copy dram:int8[@0x0; 1024], dram:int8[@0x1000; 1024], longest=65537                       ; error: dma_copy-C3
    dma_copy dram:int8[@0x0; 1024], dram:int8[@0x1000; 1024], longest=512
