; The rules of DMA instructions: each broken alone, beside a near miss.
; target: trn1
.buffer scratch scratch uint8 [1048576] @0x0

.stream q0
; Source and destination have as many elements.
    dma_accumulate dram:fp32[@0xb40; 8], dram:fp32[@0x300; 9]                                     ; error: dma_accumulate-C1
    dma_accumulate dram:fp32[@0xb40; 8], dram:fp32[@0x300; 8]
; Each source has as many elements as the destination.
    dma_compute dram:fp32[@0x400; 6], dram:fp32[@0xa40; 5]                                        ; error: dma_compute-C2
    dma_compute dram:fp32[@0x400; 6], dram:fp32[@0xa40; 6]
; The rank is 2, 3 or 4.
    dma_transpose sbuf:fp32[32..33 @0xb00; 8], dram:fp32[@0x480; 8], rank=5                       ; error: dma_transpose-C1
    dma_transpose sbuf:fp32[32..33 @0xb00; 8], dram:fp32[@0x480; 8], rank=4
    dma_transpose sbuf:fp32[32..33 @0xb00; 8], dram:fp32[@0x480; 8], rank=1                       ; error: dma_transpose-C1
    dma_transpose sbuf:fp32[32..33 @0xb00; 8], dram:fp32[@0x480; 8], rank=2
; Source and destination have as many elements, of one data type.
    dma_transpose sbuf:fp32[32..33 @0x5c0; 2], dram:bf16[@0x80; 2]                                ; error: dma_transpose-C2
    dma_transpose sbuf:fp32[32..33 @0x5c0; 2], dram:fp32[@0x80; 2]
; A row of the table has as many elements as a partition of the result.
    dma_gather dram:fp32[@0x140; 2], sbuf:fp32[0..16 @0x600; 8], sbuf:int32[0.. @0x3c0]           ; error: dma_gather-C1
    dma_gather dram:fp32[@0x140; 2], sbuf:fp32[0..16 @0x600; 2], sbuf:int32[0.. @0x3c0]
; A row of the table has as many elements as a partition of the source.
    dma_scatter dram:fp32[@0x1c0; 3], sbuf:fp32[32..48 @0x440; 2], psum:int32[0.. @0x40]          ; error: dma_scatter-C1
    dma_scatter dram:fp32[@0x1c0; 2], sbuf:fp32[32..48 @0x440; 2], psum:int32[0.. @0x40]
; There are 1 to 16 sources.
    dma_compute dram:fp32[@0x400; 6], dram:fp32[@0x1000; 17, 6], sources=17                       ; error: dma_compute-C1
    dma_compute dram:fp32[@0x400; 6], dram:fp32[@0x1000; 16, 6], sources=16
    dma_compute dram:fp32[@0x400; 6], dram:fp32[@0x1000; 6], sources=0                            ; error: dma_compute-C1 dma_compute-C2
