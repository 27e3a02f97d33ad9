; The gpsimd engine has no port to PSUM.
; target: trn1
.stream POOL
    memset psum:fp32[0..128 @0x0; 64], 0.0                                      ; error: E-4
    memset sbuf:fp32[0..128 @0x0; 64], 0.0
    tensor_copy sbuf:fp32[0..128 @0x0; 64], psum:fp32[0..128 @0x0; 64]          ; error: E-4
.stream DVE
    memset psum:fp32[0..128 @0x0; 64], 0.0
    tensor_copy sbuf:fp32[0..128 @0x0; 64], psum:fp32[0..128 @0x0; 64]
