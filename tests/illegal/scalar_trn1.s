; The scalar engine's own rules: each broken alone, beside a near miss.
; target: trn1

.stream ACT
; On NeuronCore-v2 the bias is a column, and reciprocal takes none.
    activation psum:fp32[0..32 @0xb00; 8], sbuf:fp32[64..96 @0x740; 8], bias=3.0                  ; error: activation-C3
    activation psum:fp32[0..32 @0xb00; 8], sbuf:fp32[64..96 @0x740; 8]
; On NeuronCore-v2 the bias is a column, and reciprocal takes none.
    activation_reduce psum:bf16[0..16 @0x80; 1], psum:bf16[0..16 @0x5c0; 1], sbuf:bf16[0..16 @0x280; 1], bias=1.0  ; error: activation_reduce-C2
    activation_reduce psum:bf16[0..16 @0x80; 1], psum:bf16[0..16 @0x5c0; 1], sbuf:bf16[0..16 @0x280; 1]
