; The tensor engine's own rules: each broken alone, beside a near miss.
; target: inf1

.stream PE
; The stationary tile has no more free elements than the array has columns.
    load_stationary sbuf:bf16[0..64 @0xc0; 65]                                                    ; error: load_stationary-C2
    load_stationary sbuf:bf16[0..64 @0xc0; 64]
; The product lies in one PSUM bank.
    matmul psum:fp32[0..32 @0x804; 512], sbuf:bf16[32..64 @0x460; 512]                            ; error: matmul-C3
    matmul psum:fp32[0..32 @0x800; 512], sbuf:bf16[32..64 @0x460; 512]
; The product has as many free elements as the moving tile.
    matmul psum:fp32[0..64 @0x900; 6], sbuf:fp32[0..64 @0x0; 3]                                   ; error: matmul-C4
    matmul psum:fp32[0..64 @0x900; 6], sbuf:fp32[0..64 @0x0; 6]
; The product has no more partitions than the array has columns.
    matmul psum:fp32[0..65 @0xa80; 6], sbuf:fp32[0..64 @0x1c0; 6]                                 ; error: matmul-C5
    matmul psum:fp32[0..64 @0xa80; 6], sbuf:fp32[0..64 @0x1c0; 6]
; A moving tile past the limit has a product past its bank, too.
    matmul psum:fp32[0..64 @0x0; 513], sbuf:bf16[0..128 @0x0; 513]                                ; error: matmul-C2 matmul-C3
    matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x0; 512]
