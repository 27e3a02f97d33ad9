; The vector engine's rules that only a newer core has: each broken alone, beside a near miss.
; target: trn1

.stream DVE
; From v2 on, power of two tensors is the gpsimd engine's `tensor_power`.
    tensor_tensor sbuf:fp32[0..32 @0x840; 8], psum:fp32[0..32 @0x300; 8], sbuf:fp32[0..32 @0x600; 8], op=power  ; error: tensor_tensor-C4
    tensor_tensor sbuf:fp32[0..32 @0x840; 8], psum:fp32[0..32 @0x300; 8], sbuf:fp32[0..32 @0x600; 8], op=rsqrt
