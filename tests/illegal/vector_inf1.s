; The vector engine's own rules: each broken alone, beside a near miss.
; target: inf1

.stream DVE
; The two inputs are not both in PSUM.
    tensor_tensor psum:fp32[32..48 @0x740; 6], psum:fp32[96..112 @0xa40; 6], psum:fp32[0..16 @0x780; 6]  ; error: tensor_tensor-C1
    tensor_tensor psum:fp32[32..48 @0x740; 6], psum:fp32[96..112 @0xa40; 6], sbuf:fp32[0..16 @0x780; 6]
; The inputs and the result have as many free elements.
    tensor_tensor sbuf:bf16[0..16 @0x500; 6], psum:bf16[0..16 @0x60; 11], sbuf:bf16[0..16 @0x440; 6]  ; error: tensor_tensor-C2
    tensor_tensor sbuf:bf16[0..16 @0x500; 6], psum:bf16[0..16 @0x60; 6], sbuf:bf16[0..16 @0x440; 6]
; A bit-vector operator takes and gives integers of one size.
    tensor_tensor sbuf:fp32[0..64 @0x340; 2], sbuf:fp32[0..64 @0x800; 2], psum:fp32[0..64 @0x5c0; 2], op=xor  ; error: tensor_tensor-C3
    tensor_tensor sbuf:fp32[0..64 @0x340; 2], sbuf:fp32[0..64 @0x800; 2], psum:fp32[0..64 @0x5c0; 2], op=add
; Power of two tensors: on v1, which has no gpsimd engine, the vector engine does it (vector_trn1.s).
    tensor_tensor sbuf:fp32[0..32 @0x840; 8], psum:fp32[0..32 @0x300; 8], sbuf:fp32[0..32 @0x600; 8], op=power
; The input and the result have as many free elements.
    tensor_scalar psum:int8[0..64 @0xe0; 128], psum:bf16[0..64 @0x60; 64], 1.0                    ; error: tensor_scalar-C1
    tensor_scalar psum:int8[0..64 @0xe0; 128], psum:bf16[0..64 @0x60; 128], 1.0
; Both operators are arithmetic, or both are bit-vector.
    tensor_scalar sbuf:int8[64..96 @0x100; 6], psum:int8[0..32 @0x10; 6], 3.0, op0=multiply, op1=and, reverse1  ; error: tensor_scalar-C2
    tensor_scalar sbuf:int8[64..96 @0x100; 6], psum:int8[0..32 @0x10; 6], 3.0, op0=multiply, op1=abs_max, reverse1
; A bit-vector operator takes and gives integers of one size.
    tensor_scalar sbuf:bf16[0..32 @0x560; 6], psum:bf16[0..32 @0xa0; 6], 3.0, op1=xor             ; error: tensor_scalar-C3
    tensor_scalar sbuf:bf16[0..32 @0x560; 6], psum:bf16[0..32 @0xa0; 6], 3.0, op1=greater
; A column is FP32 for arithmetic, integers of the input's size for bit-vectors.
    tensor_scalar psum:bf16[0..16 @0x360; 64], psum:bf16[64..80 @0x560; 4, 16], psum:int32[64.. @0xa00]  ; error: tensor_scalar-C4
    tensor_scalar psum:bf16[0..16 @0x360; 64], psum:bf16[64..80 @0x560; 4, 16], psum:fp32[64.. @0xa00]
; The two inputs are not both in PSUM.
    scalar_tensor_tensor sbuf:bf16[0..128 @0x380; 6], psum:bf16[0..128 @0x120; 6], psum:bf16[0..128 @0x3c0; 6], 1.0  ; error: scalar_tensor_tensor-C1
    scalar_tensor_tensor sbuf:bf16[0..128 @0x380; 6], sbuf:bf16[0..128 @0x120; 6], psum:bf16[0..128 @0x3c0; 6], 1.0
; The inputs and the result have as many free elements.
    scalar_tensor_tensor sbuf:int32[0..64 @0x140; 2], sbuf:fp32[0..64 @0x540; 2], sbuf:fp32[0..64 @0x480; 7], 0.0  ; error: scalar_tensor_tensor-C2
    scalar_tensor_tensor sbuf:int32[0..64 @0x140; 2], sbuf:fp32[0..64 @0x540; 2], sbuf:fp32[0..64 @0x480; 2], 0.0
; Both operators are arithmetic.
    scalar_tensor_tensor sbuf:fp32[0..128 @0x3c0; 8], sbuf:fp32[0..128 @0x600; 8], psum:int32[0..128 @0x5c0; 8], -1.0, op0=xor  ; error: scalar_tensor_tensor-C3
    scalar_tensor_tensor sbuf:fp32[0..128 @0x3c0; 8], sbuf:fp32[0..128 @0x600; 8], psum:int32[0..128 @0x5c0; 8], -1.0, op0=add
; Between one and four dimensions are reduced.
    tensor_reduce sbuf:fp32[0..64 @0x0; 1], sbuf:fp32[0..64 @0x600; 8], axes=5                    ; error: tensor_reduce-C1
    tensor_reduce sbuf:fp32[0..64 @0x0; 1], sbuf:fp32[0..64 @0x600; 8], axes=4
    tensor_reduce sbuf:fp32[0..64 @0x0; 8], sbuf:fp32[0..64 @0x600; 8], axes=0                    ; error: tensor_reduce-C1
    tensor_reduce sbuf:fp32[0..64 @0x0; 1], sbuf:fp32[0..64 @0x600; 8], axes=1
; The result has one element for each element of the dimensions that stay.
    tensor_reduce sbuf:int32[0..128 @0x340; 9], sbuf:fp32[0..128 @0x480; 2, 4, 8]                 ; error: tensor_reduce-C2
    tensor_reduce sbuf:int32[0..128 @0x340; 8], sbuf:fp32[0..128 @0x480; 2, 4, 8]
; The operator is add, multiply, max, min, and, or, or xor.
    tensor_reduce sbuf:fp32[0..32 @0xc0; 8], psum:fp32[0..32 @0x540; 2, 4, 8], op=rsqrt           ; error: tensor_reduce-C3
    tensor_reduce sbuf:fp32[0..32 @0xc0; 8], psum:fp32[0..32 @0x540; 2, 4, 8], op=max
; A bit-vector operator takes and gives integers of one size, and is not negated.
    tensor_reduce sbuf:int8[0..128 @0x980; 1], sbuf:int32[0..128 @0x0; 1], op=xor                 ; error: tensor_reduce-C4
    tensor_reduce sbuf:int32[0..128 @0x980; 1], sbuf:int32[0..128 @0x0; 1], op=xor
; The input and the result have as many free elements.
    tensor_copy sbuf:fp32[0..16 @0x0; 6], psum:fp32[0..16 @0x9c0; 12]                             ; error: tensor_copy-C1
    tensor_copy sbuf:fp32[0..16 @0x0; 6], psum:fp32[0..16 @0x9c0; 6]
; The input and the result have as many free elements.
    reciprocal sbuf:fp32[0..16 @0x0; 6], psum:fp32[0..16 @0x9c0; 12]                              ; error: reciprocal-C1
    reciprocal sbuf:fp32[0..16 @0x0; 6], psum:fp32[0..16 @0x9c0; 6]
; The input and the result have as many free elements, the sums have one.
    tensor_scalar_reduce psum:fp32[0..64 @0x6c0; 5], psum:fp32[0..64 @0x4c0; 6], sbuf:fp32[0..64 @0x980; 1], 0.0, op0=add  ; error: tensor_scalar_reduce-C1
    tensor_scalar_reduce psum:fp32[0..64 @0x6c0; 6], psum:fp32[0..64 @0x4c0; 6], sbuf:fp32[0..64 @0x980; 1], 0.0, op0=add
; The first operator is arithmetic, the second add, multiply, max or min.
    tensor_scalar_reduce psum:bf16[0..64 @0x280; 1], sbuf:bf16[0..64 @0x120; 1], sbuf:bf16[64..128 @0x280; 1], 2.0, reduce_op=abs_max  ; error: tensor_scalar_reduce-C2
    tensor_scalar_reduce psum:bf16[0..64 @0x280; 1], sbuf:bf16[0..64 @0x120; 1], sbuf:bf16[64..128 @0x280; 1], 2.0, reduce_op=max
; The command reduces, and `initial` is there exactly when it is load_reduce.
    tensor_scalar_reduce sbuf:bf16[32..48 @0x100; 1], psum:bf16[0..16 @0x5a0; 1], psum:bf16[96..112 @0xc0; 1], 2.0, command=idle  ; error: tensor_scalar_reduce-C3
    tensor_scalar_reduce sbuf:bf16[32..48 @0x100; 1], psum:bf16[0..16 @0x5a0; 1], psum:bf16[96..112 @0xc0; 1], 2.0, command=reduce
; The input and the result have as many free elements.
    tensor_scalar_cumulative psum:bf16[0..16 @0x60; 3], sbuf:fp32[0..16 @0x780; 6], 2.0           ; error: tensor_scalar_cumulative-C1
    tensor_scalar_cumulative psum:bf16[0..16 @0x60; 6], sbuf:fp32[0..16 @0x780; 6], 2.0
; The first operator is arithmetic, the second add, subtract, multiply, max or min.
    tensor_scalar_cumulative psum:uint8[32..33 @0x170; 2], psum:bf16[64..65 @0x200; 2], 3.0, op0=or  ; error: tensor_scalar_cumulative-C2
    tensor_scalar_cumulative psum:uint8[32..33 @0x170; 2], psum:bf16[64..65 @0x200; 2], 3.0, op0=less
; The command reduces, and `initial` is there exactly when it is load_reduce.
    tensor_scalar_cumulative sbuf:fp32[0..64 @0x0; 6], psum:fp32[0..64 @0x280; 6], 0.5, command=idle  ; error: tensor_scalar_cumulative-C3
    tensor_scalar_cumulative sbuf:fp32[0..64 @0x0; 6], psum:fp32[0..64 @0x280; 6], 0.5, command=reduce
; Neither the input nor the result is a 32-bit integer.
    tensor_scalar_cumulative sbuf:uint32[0..128 @0x340; 8], psum:bf16[0..128 @0x5c0; 8], 2.0      ; error: tensor_scalar_cumulative-C4
    tensor_scalar_cumulative sbuf:bf16[0..128 @0x340; 8], psum:bf16[0..128 @0x5c0; 8], 2.0
; The two inputs are not both in PSUM.
    tensor_tensor_scan sbuf:bf16[0..128 @0x380; 6], psum:bf16[0..128 @0x120; 6], psum:bf16[0..128 @0x3c0; 6], 1.0  ; error: tensor_tensor_scan-C1
    tensor_tensor_scan sbuf:bf16[0..128 @0x380; 6], sbuf:bf16[0..128 @0x120; 6], psum:bf16[0..128 @0x3c0; 6], 1.0
; The inputs and the result have as many free elements.
    tensor_tensor_scan sbuf:int32[0..64 @0x140; 2], sbuf:fp32[0..64 @0x540; 2], sbuf:fp32[0..64 @0x480; 7], 0.0  ; error: tensor_tensor_scan-C2
    tensor_tensor_scan sbuf:int32[0..64 @0x140; 2], sbuf:fp32[0..64 @0x540; 2], sbuf:fp32[0..64 @0x480; 2], 0.0
; Both operators are arithmetic.
    tensor_tensor_scan sbuf:fp32[0..128 @0x3c0; 8], sbuf:fp32[0..128 @0x600; 8], psum:int32[0..128 @0x5c0; 8], -1.0, op0=xor  ; error: tensor_tensor_scan-C3
    tensor_tensor_scan sbuf:fp32[0..128 @0x3c0; 8], sbuf:fp32[0..128 @0x600; 8], psum:int32[0..128 @0x5c0; 8], -1.0, op0=add
; The input has at most 512 free elements.
    bn_stats sbuf:bf16[0..128 @0x0; 6], sbuf:bf16[0..128 @0x80; 513]                              ; error: bn_stats-C1
    bn_stats sbuf:bf16[0..128 @0x0; 6], sbuf:bf16[0..128 @0x80; 512]
; The result has six free elements.
    bn_stats sbuf:bf16[0..64 @0x80; 3], psum:bf16[0..64 @0x0; 6]                                  ; error: bn_stats-C2
    bn_stats sbuf:bf16[0..64 @0x80; 6], psum:bf16[0..64 @0x0; 6]
; The input's free size is a multiple of three.
    bn_aggr psum:bf16[32..48 @0x1a0; 2], sbuf:fp16[0..16 @0x0; 5]                                 ; error: bn_aggr-C1
    bn_aggr psum:bf16[32..48 @0x1a0; 2], sbuf:fp16[0..16 @0x0; 6]
; The result has two free elements.
    bn_aggr sbuf:fp32[0..16 @0x780; 4], sbuf:fp32[0..16 @0xc0; 6]                                 ; error: bn_aggr-C2
    bn_aggr sbuf:fp32[0..16 @0x780; 2], sbuf:fp32[0..16 @0xc0; 6]
; The input and the predicate are not both in PSUM.
    tensor_copy_predicated sbuf:bf16[0..64 @0xa0; 8], psum:bf16[0..64 @0x160; 8], psum:uint8[64..128 @0x70; 8]  ; error: tensor_copy_predicated-C1
    tensor_copy_predicated sbuf:bf16[0..64 @0xa0; 8], sbuf:bf16[0..64 @0x160; 8], psum:uint8[64..128 @0x70; 8]
; The input, the predicate and the result have as many free elements.
    tensor_copy_predicated sbuf:fp32[0..32 @0x0; 6], psum:fp32[0..32 @0x200; 6], sbuf:uint8[0..32 @0x240; 3]  ; error: tensor_copy_predicated-C2
    tensor_copy_predicated sbuf:fp32[0..32 @0x0; 6], psum:fp32[0..32 @0x200; 6], sbuf:uint8[0..32 @0x240; 6]
; The predicate and the result have as many free elements.
    fill_predicated sbuf:fp32[0..16 @0x40; 8], psum:uint32[0..16 @0x4c0; 4], 2.0                  ; error: fill_predicated-C1
    fill_predicated sbuf:fp32[0..16 @0x40; 8], psum:uint32[0..16 @0x4c0; 8], 2.0
; The tensor and the predicate are not both in PSUM.
    select_reduce sbuf:bf16[0..128 @0x380; 6], psum:bf16[0..128 @0x120; 6], psum:int16[0..128 @0x3c0; 6], 1.0  ; error: select_reduce-C1
    select_reduce sbuf:bf16[0..128 @0x380; 6], sbuf:bf16[0..128 @0x120; 6], psum:int16[0..128 @0x3c0; 6], 1.0
; The tensor, the predicate and the result have as many free elements.
    select_reduce sbuf:bf16[0..16 @0x40; 8], psum:uint16[0..16 @0x1e0; 16], sbuf:int8[0..16 @0xc0; 8], 3.0  ; error: select_reduce-C2
    select_reduce sbuf:bf16[0..16 @0x40; 8], psum:uint16[0..16 @0x1e0; 8], sbuf:int8[0..16 @0xc0; 8], 3.0
; The input has 8 to 16384 free elements.
    max8 sbuf:bf16[0..32 @0x0; 8], psum:bf16[0..32 @0x0; 7]                                       ; error: max8-C1
    max8 sbuf:bf16[0..32 @0x0; 8], psum:bf16[0..32 @0x0; 8]
    max8 sbuf:bf16[0..32 @0x0; 8], sbuf:bf16[0..32 @0x100; 16385]                                 ; error: max8-C1
    max8 sbuf:bf16[0..32 @0x0; 8], sbuf:bf16[0..32 @0x100; 16384]
; The result has eight free elements.
    max8 psum:bf16[0..16 @0x0; 16], psum:bf16[0..16 @0x80; 8]                                     ; error: max8-C2
    max8 psum:bf16[0..16 @0x0; 8], psum:bf16[0..16 @0x80; 8]
; The input has 8 to 16384 free elements.
    find_index8 psum:uint16[0..16 @0x60; 8], sbuf:bf16[0..16 @0x180; 7], sbuf:bf16[32..48 @0xa0; 8]  ; error: find_index8-C1
    find_index8 psum:uint16[0..16 @0x60; 8], sbuf:bf16[0..16 @0x180; 8], sbuf:bf16[32..48 @0xa0; 8]
    find_index8 psum:uint16[0..16 @0x60; 8], sbuf:bf16[0..16 @0x180; 16385], sbuf:bf16[32..48 @0xa0; 8]  ; error: find_index8-C1
    find_index8 psum:uint16[0..16 @0x60; 8], sbuf:bf16[0..16 @0x180; 16384], sbuf:bf16[32..48 @0xa0; 8]
; The values and the result have eight free elements.
    find_index8 psum:uint16[0..64 @0x0; 8], psum:fp32[0..64 @0x980; 8], psum:fp32[0..64 @0x3c0; 7]  ; error: find_index8-C2
    find_index8 psum:uint16[0..64 @0x0; 8], psum:fp32[0..64 @0x980; 8], psum:fp32[0..64 @0x3c0; 8]
; The input has 8 to 16384 free elements, the result as many.
    match_replace8 psum:fp32[32..48 @0x0; 16], sbuf:fp32[0..16 @0x80; 8], sbuf:fp32[0..16 @0x780; 8], 0.0  ; error: match_replace8-C1
    match_replace8 psum:fp32[32..48 @0x0; 8], sbuf:fp32[0..16 @0x80; 8], sbuf:fp32[0..16 @0x780; 8], 0.0
; The values have eight free elements.
    match_replace8 psum:bf16[0..16 @0x60; 8], sbuf:bf16[0..16 @0x2a0; 8], sbuf:bf16[0..16 @0x80; 7], 3.0  ; error: match_replace8-C2
    match_replace8 psum:bf16[0..16 @0x60; 8], sbuf:bf16[0..16 @0x2a0; 8], sbuf:bf16[0..16 @0x80; 8], 3.0
; The input is one block of at most 32x32, turned, or a whole number of 32x32 blocks.
    vector_transpose psum:bf16[0..32 @0x560; 6], psum:bf16[0..32 @0x0; 32]                        ; error: vector_transpose-C1
    vector_transpose psum:bf16[0..32 @0x560; 32], psum:bf16[0..32 @0x0; 32]
; The input and the result have one data type.
    vector_transpose sbuf:bf16[0..32 @0x0; 32], sbuf:fp16[0..32 @0x460; 32]                       ; error: vector_transpose-C2
    vector_transpose sbuf:bf16[0..32 @0x0; 32], sbuf:bf16[0..32 @0x460; 32]
; The input and the result have as many free elements and one data type.
    stream_shuffle sbuf:fp32[0..64 @0x4c0; 18], psum:fp32[0..64 @0x80; 6]                         ; error: stream_shuffle-C2
    stream_shuffle sbuf:fp32[0..64 @0x4c0; 6], psum:fp32[0..64 @0x80; 6]
; An entry is 0 to 31, or 63.
    stream_shuffle sbuf:bf16[0..64 @0xa0; 8], sbuf:bf16[0..64 @0x160; 8], mask3=32                ; error: stream_shuffle-C3
    stream_shuffle sbuf:bf16[0..64 @0xa0; 8], sbuf:bf16[0..64 @0x160; 8], mask3=31
    stream_shuffle sbuf:bf16[0..64 @0xa0; 8], sbuf:bf16[0..64 @0x160; 8], mask0=62                ; error: stream_shuffle-C3
    stream_shuffle sbuf:bf16[0..64 @0xa0; 8], sbuf:bf16[0..64 @0x160; 8], mask0=63
; The result has as many free elements as the three inner dimensions of the input.
    tensor_copy_dynamic_src sbuf:fp32[0..64 @0xc0; 8], psum:bf16[0..64 @0x40; 4]                  ; error: tensor_copy_dynamic_src-C1
    tensor_copy_dynamic_src sbuf:fp32[0..64 @0xc0; 8], psum:bf16[0..64 @0x40; 8]
; The input has as many free elements as the three inner dimensions of the result.
    tensor_copy_dynamic_dst sbuf:fp32[0..64 @0xc0; 8], psum:bf16[0..64 @0x40; 4]                  ; error: tensor_copy_dynamic_dst-C1
    tensor_copy_dynamic_dst sbuf:fp32[0..64 @0xc0; 8], psum:bf16[0..64 @0x40; 8]
; The input and the result have as many free elements.
    dropout sbuf:bf16[0..64 @0x400; 3], psum:bf16[0..64 @0xa0; 6], 3.0                            ; error: dropout-C1
    dropout sbuf:bf16[0..64 @0x400; 6], psum:bf16[0..64 @0xa0; 6], 3.0
; The seed is one element.
    set_rng_seed sbuf:int32[32..34 @0x0; 1]                                                       ; error: set_rng_seed-C1
    set_rng_seed sbuf:int32[32..33 @0x0; 1]
; The tiles have 32, 64, 96 or 128 partitions.
    stream_shuffle sbuf:bf16[0..16 @0xa0; 8], sbuf:bf16[0..16 @0x160; 8]                          ; error: stream_shuffle-C1
    stream_shuffle sbuf:bf16[0..96 @0xa0; 8], sbuf:bf16[0..96 @0x160; 8]
