; The scalar engine's own rules: each broken alone, beside a near miss.
; target: trn2

.stream ACT
; The input and the result have as many free elements.
    act_tensor_scalar psum:bf16[0..16 @0x5a0; 6], sbuf:bf16[0..16 @0xa0; 7], 0.5                  ; error: act_tensor_scalar-C1
    act_tensor_scalar psum:bf16[0..16 @0x5a0; 6], sbuf:bf16[0..16 @0xa0; 6], 0.5
; The operators are multiply and add, multiply alone, or add alone.
    act_tensor_scalar sbuf:bf16[0..32 @0xa0; 6], psum:bf16[64..96 @0x560; 6], 0.0, op0=xor        ; error: act_tensor_scalar-C2
    act_tensor_scalar sbuf:bf16[0..32 @0xa0; 6], psum:bf16[64..96 @0x560; 6], 0.0, op0=add
; The input and the result have as many free elements.
    act_tensor_copy sbuf:fp32[0..16 @0x0; 6], psum:fp32[0..16 @0x9c0; 12]                         ; error: act_tensor_copy-C1
    act_tensor_copy sbuf:fp32[0..16 @0x0; 6], psum:fp32[0..16 @0x9c0; 6]
