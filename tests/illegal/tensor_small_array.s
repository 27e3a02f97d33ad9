; An array of 64 rows: tiles of more partitions than rows.
; target: inf1 pe_rows=64

.stream PE
    load_stationary sbuf:bf16[0..65 @0x0; 64]                                                         ; error: load_stationary-C1
    load_stationary sbuf:bf16[0..64 @0x0; 64]
    matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..65 @0x0; 512]                                     ; error: matmul-C1
    matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..64 @0x0; 512]
