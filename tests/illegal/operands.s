; The rules O-n, which hold for every operand. Each broken one stands beside a near miss.
; target: inf1
.buffer x scratch fp32 [4096] @0x0

.stream PE
; a stationary tile comes from SBUF, the tensor engine reads nothing else
    load_stationary psum:fp32[0..128 @0x0; 64]                                  ; error: O-1
    load_stationary sbuf:fp32[0..128 @0x0; 64]
; the array multiplies floating-point numbers
    load_stationary sbuf:int32[0..128 @0x0; 64]                                 ; error: O-2
    load_stationary sbuf:bf16[0..128 @0x0; 64]
; TF32 and FP8 come with v2
    load_stationary sbuf:tf32[0..128 @0x0; 64]                                  ; error: O-10
    load_stationary sbuf:fp8_e4m3[0..128 @0x0; 64]                              ; error: O-10
    load_stationary sbuf:fp16[0..128 @0x0; 64]

.stream DVE
; 128 partitions: a quadrant of 32 from 96 is the last, one of 33 cannot start there at all
    memset sbuf:fp32[96..129 @0x0; 64], 0.0                                     ; error: O-3 O-4
    memset sbuf:fp32[96..128 @0x0; 64], 0.0
; 65 partitions start at 0 only, 64 at 0 or 64, 32 at a quadrant
    memset sbuf:fp32[32..97 @0x0; 64], 0.0                                      ; error: O-4
    memset sbuf:fp32[0..65 @0x0; 64], 0.0
    memset sbuf:fp32[32..96 @0x0; 64], 0.0                                      ; error: O-4
    memset sbuf:fp32[64..128 @0x0; 64], 0.0
    memset sbuf:fp32[16..48 @0x0; 64], 0.0                                      ; error: O-4
    memset sbuf:fp32[32..64 @0x0; 64], 0.0
    memset sbuf:fp32[1..2 @0x0; 64], 0.0                                        ; error: O-4
    memset sbuf:fp32[96..97 @0x0; 64], 0.0
; an SBUF partition has 0x18000 bytes, a PSUM partition 0x4000; a step may go down, not below 0
    memset sbuf:fp32[0..128 @0x17f04; 64], 0.0                                  ; error: O-5
    memset sbuf:fp32[0..128 @0x17f00; 64], 0.0
    memset psum:fp32[0..128 @0x3f04; 64], 0.0                                   ; error: O-5
    memset psum:fp32[0..128 @0x3f00; 64], 0.0
    memset sbuf:fp32[0..128 @0xf8; 64:-1], 0.0                                  ; error: O-5
    memset sbuf:fp32[0..128 @0xfc; 64:-1], 0.0
; a column is held to the same rules: its last byte, its partitions, its type, its memory
    tensor_scalar sbuf:fp32[0..128 @0x0; 8], sbuf:fp32[0..128 @0x100; 8], sbuf:fp32[0.. @0x18000], op0=add    ; error: O-5
    tensor_scalar sbuf:fp32[0..128 @0x0; 8], sbuf:fp32[0..128 @0x100; 8], sbuf:fp32[0.. @0x17ffc], op0=add
    tensor_scalar sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..64 @0x100; 8], sbuf:fp32[32.. @0x200], op0=add       ; error: O-4
    tensor_scalar sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..64 @0x100; 8], sbuf:fp32[64.. @0x200], op0=add
    scalar_tensor_tensor sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..64 @0x100; 8], sbuf:fp32[0..64 @0x300; 8], sbuf:bf16[0.. @0x200]   ; error: O-2
    scalar_tensor_tensor sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..64 @0x100; 8], sbuf:fp32[0..64 @0x300; 8], sbuf:fp32[0.. @0x200]
    tensor_scalar sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..64 @0x100; 8], dram:fp32[0.. @0x200], op0=add        ; error: O-1 D-3
; FP32 on 4 bytes, BF16 on 2
    memset sbuf:fp32[0..128 @0x2; 64], 0.0                                      ; error: O-6
    memset sbuf:bf16[0..128 @0x2; 64], 0.0
    memset sbuf:bf16[0..128 @0x3; 64], 0.0                                      ; error: O-6
    memset sbuf:uint8[0..128 @0x3; 64], 0.0
; 65536 elements a partition in SBUF, 4096 in PSUM, however few bytes they repeat
    memset sbuf:uint8[0..128 @0x0; 2:0, 32769], 0.0                             ; error: O-7
    memset sbuf:uint8[0..128 @0x0; 2:0, 32768], 0.0
    memset psum:uint8[0..128 @0x0; 4097], 0.0                                   ; error: O-7
    memset psum:uint8[0..128 @0x0; 4096], 0.0
; partition by partition: as many on both sides, but they may be others (half to half)
    tensor_copy sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..128 @0x100; 8]           ; error: O-8
    tensor_copy sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[64..128 @0x100; 8]
    tensor_copy sbuf:fp32[96..128 @0x0; 8], sbuf:fp32[0..32 @0x100; 8]
; memset takes an immediate, not a column
    memset sbuf:fp32[0..128 @0x0; 64], sbuf:fp32[0.. @0x100]                    ; error: O-9
    memset sbuf:fp32[0..128 @0x0; 64], 0.5

.stream q0
; DMA reaches every partition from every other, and any start partition
    dma_copy sbuf:fp32[5..128 @0x0; 8], sbuf:fp32[0..123 @0x100; 8]
    dma_copy sbuf:fp32[5..129 @0x0; 8], sbuf:fp32[0..124 @0x100; 8]             ; error: O-3
    dma_copy sbuf:fp32[0..128 @0x17fe4; 8], dram:fp32[@x; 1024]                 ; error: O-5
    dma_copy sbuf:fp32[0..128 @0x17fe0; 8], dram:fp32[@x; 1024]
    dma_copy sbuf:fp32[0..128 @0x2; 8], dram:fp32[@x; 1024]                     ; error: O-6
