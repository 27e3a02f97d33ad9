; The scalar engine's own rules: each broken alone, beside a near miss.
; target: inf1

.stream ACT
; The input and the result have as many free elements.
    activation psum:int32[0..128 @0x300; 7], sbuf:bf16[0..128 @0x580; 8], alpha=6                 ; error: activation-C1
    activation psum:int32[0..128 @0x300; 8], sbuf:bf16[0..128 @0x580; 8], alpha=6
; The reduce command is not load_reduce: there is no operand to load.
    activation psum:int32[0..32 @0x0; 8], sbuf:int32[0..32 @0x80; 8], reduce=load_reduce, alpha=4  ; error: activation-C2
    activation psum:int32[0..32 @0x0; 8], sbuf:int32[0..32 @0x80; 8], reduce=reset, alpha=4
; The input and the result have as many free elements, the sums have one.
    activation_reduce sbuf:bf16[0..128 @0x60; 16], sbuf:fp16[0..128 @0x260; 9], psum:bf16[0..128 @0x40; 1], bias=0.0  ; error: activation_reduce-C1
    activation_reduce sbuf:bf16[0..128 @0x60; 16], sbuf:fp16[0..128 @0x260; 16], psum:bf16[0..128 @0x40; 1], bias=0.0
; The result has one free element.
    act_read_accumulator sbuf:bf16[0..128 @0x60; 8]                                               ; error: act_read_accumulator-C1
    act_read_accumulator sbuf:bf16[0..128 @0x60; 1]
