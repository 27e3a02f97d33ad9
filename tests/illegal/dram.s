; The rules D-n, for accesses to DRAM. 0x100 bytes of x, a gap, then w, y and s end to end.
; target: inf1
.buffer x input fp32 [64] @0x0
.buffer w constant fp32 [64] @0x200
.buffer y output fp32 [64] @0x300
.buffer s scratch fp32 [64] @0x400

.stream q0
; inside one buffer: not past its end, not before its start, not across two neighbours
    dma_copy sbuf:fp32[0..1 @0x0; 64], dram:fp32[@x+0x4; 64]                    ; error: D-1
    dma_copy sbuf:fp32[0..1 @0x0; 63], dram:fp32[@x+0x4; 63]
    dma_copy sbuf:fp32[0..1 @0x0; 2], dram:fp32[@0x100; 2]                      ; error: D-1
    dma_copy sbuf:fp32[0..1 @0x0; 2], dram:fp32[@0xf8; 2]
    dma_copy sbuf:fp32[0..1 @0x0; 64], dram:fp32[@w+0xf8; 64:-1]                ; error: D-1
    dma_copy sbuf:fp32[0..1 @0x0; 64], dram:fp32[@w+0xfc; 64:-1]
    dma_copy sbuf:fp32[0..1 @0x0; 4], dram:fp32[@w+0xf8; 4]                     ; error: D-1
    dma_copy sbuf:fp32[0..1 @0x0; 4], dram:fp32[@w+0xf0; 4]
    dma_copy sbuf:fp32[0..1 @0x0; 2], dram:fp32[@x; 2:0x7fffffff]               ; error: D-1
; inputs and constants are read only
    dma_copy dram:fp32[@x; 64], sbuf:fp32[0..1 @0x0; 64]                        ; error: D-2
    dma_copy dram:fp32[@w; 64], sbuf:fp32[0..1 @0x0; 64]                        ; error: D-2
    dma_copy dram:fp32[@y; 64], sbuf:fp32[0..1 @0x0; 64]
    dma_copy dram:fp32[@s; 64], dram:fp32[@w; 64]
; DRAM is flat
    dma_copy sbuf:fp32[0..2 @0x0; 8], dram:fp32[0..2 @x; 8]                     ; error: D-3
    dma_copy sbuf:fp32[0..2 @0x0; 8], dram:fp32[1..2 @x; 16]                    ; error: D-3
    dma_copy sbuf:fp32[0..2 @0x0; 8], dram:fp32[@x; 16]
; a count that would wrap around is refused before anything multiplies it
    dma_copy dram:fp32[@s; 65536:0, 65537:0], dram:fp32[@w; 65536:0, 65537:0]   ; error: D-4
    dma_copy dram:fp32[@s; 65536:0, 65536:0], dram:fp32[@w; 65536:0, 65536:0]
    dma_copy dram:fp32[@s; 0xffffffff:0, 0xffffffff:0, 0xffffffff:0], dram:fp32[@w; 0xffffffff:0, 0xffffffff:0, 0xffffffff:0] ; error: D-4
