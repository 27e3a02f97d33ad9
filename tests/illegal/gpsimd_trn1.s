; The gpsimd engine's own rules: each broken alone, beside a near miss.
; target: trn1

.stream POOL
; The input and the result have as many free elements.
    affine_select sbuf:fp32[0..64 @0x700; 8], sbuf:fp32[0..64 @0x640; 7], -0.75, step3=4          ; error: affine_select-C1
    affine_select sbuf:fp32[0..64 @0x700; 8], sbuf:fp32[0..64 @0x640; 8], -0.75, step3=4
; The operator is a comparison.
    affine_select sbuf:bf16[0..32 @0x520; 2], sbuf:bf16[96..128 @0x4a0; 2], 0.5, op=max           ; error: affine_select-C2
    affine_select sbuf:bf16[0..32 @0x520; 2], sbuf:bf16[96..128 @0x4a0; 2], 0.5, op=greater_equal
; A block has 1, 2, 4, 8, 16 or 32 elements, and a row of the input whole blocks.
    local_gather sbuf:fp32[0..128 @0x0; 6], sbuf:fp32[0..128 @0x840; 3], sbuf:uint16[0..128 @0x2c0; 6], block=2, valid=3  ; error: local_gather-C1
    local_gather sbuf:fp32[0..128 @0x0; 6], sbuf:fp32[0..128 @0x840; 6], sbuf:uint16[0..128 @0x2c0; 6], block=2, valid=3
; The result has `valid` blocks, of the input's data type.
    local_gather sbuf:bf16[0..64 @0xe0; 6], sbuf:bf16[0..64 @0x580; 6], sbuf:uint16[0..64 @0x440; 6], valid=5  ; error: local_gather-C4
    local_gather sbuf:bf16[0..64 @0xe0; 6], sbuf:bf16[0..64 @0x580; 6], sbuf:uint16[0..64 @0x440; 6], valid=6
; The result has as many free elements as the indices, and the input's data type.
    n_gather sbuf:fp16[0..64 @0x0; 8], sbuf:bf16[64..128 @0x0; 8], sbuf:uint32[0..64 @0xac0; 8]   ; error: n_gather-C1
    n_gather sbuf:bf16[0..64 @0x0; 8], sbuf:bf16[64..128 @0x0; 8], sbuf:uint32[0..64 @0xac0; 8]
; The result has one partition and the input's free elements.
    tensor_partition_reduce sbuf:bf16[64..65 @0x200; 3], sbuf:bf16[32..33 @0xe0; 6]               ; error: tensor_partition_reduce-C1
    tensor_partition_reduce sbuf:bf16[64..65 @0x200; 6], sbuf:bf16[32..33 @0xe0; 6]
; The operator is add, max, and, or; average goes with add.
    tensor_partition_reduce sbuf:fp32[96..97 @0x300; 2], sbuf:fp32[96..97 @0x80; 2], op=square    ; error: tensor_partition_reduce-C2
    tensor_partition_reduce sbuf:fp32[96..97 @0x300; 2], sbuf:fp32[96..97 @0x80; 2], op=max
; And and or take and give INT32 or UINT32.
    tensor_partition_reduce sbuf:tf32[64..65 @0x9c0; 32], sbuf:bf16[32..33 @0x0; 32], op=or       ; error: tensor_partition_reduce-C3
    tensor_partition_reduce sbuf:tf32[64..65 @0x9c0; 32], sbuf:bf16[32..33 @0x0; 32], op=max
; The tiles have one partition, the result twice the input's free elements.
    sequence_bounds sbuf:fp32[32..33 @0x900; 16], sbuf:fp32[32..33 @0x580; 7]                     ; error: sequence_bounds-C1
    sequence_bounds sbuf:fp32[32..33 @0x900; 16], sbuf:fp32[32..33 @0x580; 8]
; The tiles have 16 partitions, and the input fewer than 65536 elements.
    topk sbuf:bf16[0..16 @0x0; 2], sbuf:bf16[0..16 @0x160; 4096], sbuf:uint32[0..16 @0x4740; 2]   ; error: topk-C1
    topk sbuf:bf16[0..16 @0x0; 2], sbuf:bf16[0..16 @0x160; 4095], sbuf:uint32[0..16 @0x4740; 2]
    topk sbuf:bf16[0..32 @0x0; 2], sbuf:bf16[0..32 @0x160; 2], sbuf:uint32[0..32 @0x740; 2]       ; error: topk-C1
; Values and indices are as many, and no more than the elements of the input.
    topk sbuf:bf16[0..16 @0xa0; 3], sbuf:bf16[0..16 @0x40; 2], sbuf:uint32[0..16 @0x440; 2]       ; error: topk-C2
    topk sbuf:bf16[0..16 @0xa0; 2], sbuf:bf16[0..16 @0x40; 2], sbuf:uint32[0..16 @0x440; 2]
; The inputs and the result have as many free elements.
    tensor_power sbuf:fp32[0..64 @0x0; 5], sbuf:fp32[0..64 @0x800; 6], sbuf:fp32[0..64 @0x700; 6]  ; error: tensor_power-C1
    tensor_power sbuf:fp32[0..64 @0x0; 6], sbuf:fp32[0..64 @0x800; 6], sbuf:fp32[0..64 @0x700; 6]
; The inputs and the result have as many free elements and one data type.
    integer_tensor_tensor sbuf:int32[0..32 @0x980; 6], sbuf:int32[0..32 @0x140; 5], sbuf:int32[0..32 @0x80; 6]  ; error: integer_tensor_tensor-C1
    integer_tensor_tensor sbuf:int32[0..32 @0x980; 6], sbuf:int32[0..32 @0x140; 6], sbuf:int32[0..32 @0x80; 6]
; The operator is bypass, add to min, a comparison, and, or, xor or a shift.
    integer_tensor_tensor sbuf:int32[0..64 @0x0; 8], sbuf:int32[0..64 @0x300; 8], sbuf:int32[0..64 @0x500; 8], op=abs  ; error: integer_tensor_tensor-C2
    integer_tensor_tensor sbuf:int32[0..64 @0x0; 8], sbuf:int32[0..64 @0x300; 8], sbuf:int32[0..64 @0x500; 8], op=xor
; The input and the result have as many free elements and one data type.
    integer_tensor_scalar sbuf:int32[0..16 @0x240; 32], sbuf:int32[0..16 @0xc0; 10], 0.0          ; error: integer_tensor_scalar-C1
    integer_tensor_scalar sbuf:int32[0..16 @0x240; 32], sbuf:int32[0..16 @0xc0; 32], 0.0
; The operators are bypass, add to min, a comparison, and, or, xor or a shift.
    integer_tensor_scalar sbuf:int32[0..32 @0x280; 8], sbuf:int32[0..32 @0x980; 8], 2.0, op1=relu  ; error: integer_tensor_scalar-C2
    integer_tensor_scalar sbuf:int32[0..32 @0x280; 8], sbuf:int32[0..32 @0x980; 8], 2.0, op1=greater
; The tiles have a multiple of 16 partitions.
    local_gather sbuf:bf16[0..8 @0x0; 4], sbuf:bf16[0..8 @0x100; 8], sbuf:uint16[0..8 @0x200; 1], valid=4  ; error: local_gather-C2
    local_gather sbuf:bf16[0..48 @0x0; 4], sbuf:bf16[0..48 @0x100; 8], sbuf:uint16[0..48 @0x200; 1], valid=4
; Sixteen partitions with one index each are 16 indices.
    local_gather sbuf:bf16[0..16 @0x0; 17], sbuf:bf16[0..16 @0x100; 8], sbuf:uint16[0..16 @0x200; 1], valid=17  ; error: local_gather-C3
    local_gather sbuf:bf16[0..16 @0x0; 16], sbuf:bf16[0..16 @0x100; 8], sbuf:uint16[0..16 @0x200; 1], valid=16
    local_gather sbuf:bf16[0..16 @0x0; 4097], sbuf:bf16[0..16 @0x4100; 8], sbuf:uint16[0..16 @0x4200; 257], valid=4097  ; error: local_gather-C3
    local_gather sbuf:bf16[0..16 @0x0; 4096], sbuf:bf16[0..16 @0x4100; 8], sbuf:uint16[0..16 @0x4200; 256], valid=4096
