; The rules E-n and S-n: who may execute what, and which semaphores there are.
; target: inf1
.buffer s scratch fp32 [64] @0x0

.stream PE
    memset sbuf:fp32[0..128 @0x0; 64], 0.0                                      ; error: E-1
    nop
.stream DVE
    load_stationary sbuf:bf16[0..128 @0x0; 64]                                  ; error: E-1
    memset sbuf:fp32[0..128 @0x0; 64], 0.0
; 32 semaphores of 31 bits
    nop ?s32>=1                                                                 ; error: S-1
    nop ?s31>=1
    nop ?s0>=1 ?s255>=1                                                         ; error: S-1
    nop !s32+1                                                                  ; error: S-1
    nop !s31+1
    nop ?s0>=0x80000000                                                         ; error: S-2
    nop ?s0>=0x7fffffff
    nop ?s0>=0 ?s1>=0xffffffff                                                  ; error: S-2
; inf1 has no gpsimd engine, and 16 queues
.stream POOL
    nop                                                                         ; error: E-3
.stream q15
    nop
; NeuronCore-v1 copies, it does not add
    dma_accumulate dram:fp32[@s; 8], dram:fp32[@s+0x20; 8]                      ; error: E-2
    dma_copy dram:fp32[@s; 8], dram:fp32[@s+0x20; 8]
.stream q16
    nop                                                                         ; error: E-3
