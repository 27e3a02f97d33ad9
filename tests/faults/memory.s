; === SBUF is read that nothing wrote
; expect SYS-V030
.stream ACT
  activation sbuf:fp32[0..128 @0x100; 16], sbuf:fp32[0..128 @0x0; 16]     ; error

; === one element of it was not written
; expect SYS-V030
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 15], 1.0
  tensor_copy sbuf:fp32[0..128 @0x100; 16], sbuf:fp32[0..128 @0x0; 16]    ; error

; === one partition of it was not written
; expect SYS-V030
.stream DVE
  memset sbuf:fp32[0..63 @0x0; 16], 1.0
  tensor_copy sbuf:fp32[0..64 @0x100; 16], sbuf:fp32[0..64 @0x0; 16]      ; error

; === it was written in two pieces
; expect sound
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 15], 1.0
  memset sbuf:fp32[0..128 @0x3c; 1], 1.0
  tensor_copy sbuf:fp32[0..128 @0x100; 16], sbuf:fp32[0..128 @0x0; 16]

; === PSUM is read that nothing wrote
; expect SYS-V031
.stream DVE
  tensor_copy sbuf:fp32[0..128 @0x100; 16], psum:fp32[0..128 @0x0; 16]    ; error

; === PSUM is read that the vector engine wrote
; expect sound
.stream DVE
  memset psum:fp32[0..128 @0x0; 16], 1.0
  tensor_copy sbuf:fp32[0..128 @0x100; 16], psum:fp32[0..128 @0x0; 16]

; === scratch is read that nothing wrote
; expect SYS-V032
.buffer t scratch fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..4 @0x0; 16], dram:fp32[@t; 4, 16]                 ; error

; === scratch is read that was written
; expect sound
.buffer t scratch fp32 [64] @0x0
.buffer x input fp32 [64] @0x100
.stream q0
  dma_copy dram:fp32[@t; 4, 16], dram:fp32[@x; 4, 16]
  dma_copy sbuf:fp32[0..4 @0x0; 16], dram:fp32[@t; 4, 16]

; === an output is not written to its end
; expect SYS-V033
.buffer x constant fp32 [64] @0x0
.buffer y output fp32 [64] @0x100
.stream q0
  dma_copy dram:fp32[@y; 63], dram:fp32[@x; 63]

; === an output has a hole
; expect SYS-V033
.buffer x constant fp32 [64] @0x0
.buffer y output fp32 [64] @0x100
.stream q0
  dma_copy dram:fp32[@y; 32:2], dram:fp32[@x; 32:2]
  dma_copy dram:fp32[@y+0x4; 31:2], dram:fp32[@x; 31:2]

; === the hole is filled
; expect sound
.buffer x constant fp32 [64] @0x0
.buffer y output fp32 [64] @0x100
.stream q0
  dma_copy dram:fp32[@y; 32:2], dram:fp32[@x; 32:2]
  dma_copy dram:fp32[@y+0x4; 32:2], dram:fp32[@x; 32:2]

; === an input is written
; expect SYS-V040
.buffer x input fp32 [64] @0x0
.buffer w constant fp32 [64] @0x100
.stream q0
  dma_copy dram:fp32[@x; 64], dram:fp32[@w; 64]                           ; error

; === a constant is written
; expect SYS-V040
.buffer x input fp32 [64] @0x0
.buffer w constant fp32 [64] @0x100
.stream q0
  dma_copy dram:fp32[@w+0xfc; 1], dram:fp32[@x; 1]                        ; error

; === DRAM outside every buffer
; expect SYS-V041
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..4 @0x0; 1], dram:fp32[@0x100; 4, 1]               ; error

; === a DRAM access runs on into the next buffer
; expect SYS-V041
.buffer x input fp32 [64] @0x0
.buffer w constant fp32 [64] @0x100
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 65], dram:fp32[@x; 65]                    ; error

; === a DRAM access ends at the end of its buffer
; expect sound
.buffer x input fp32 [64] @0x0
.buffer w constant fp32 [64] @0x100
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 64], dram:fp32[@x; 64]

; === a negative step runs in front of DRAM
; expect SYS-V041
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 5], dram:fp32[@0xc; 5:-1]                 ; error

; === a negative step runs to the first element
; expect sound
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 4], dram:fp32[@0xc; 4:-1]

; === past the end of an SBUF partition
; expect SYS-V042
.stream DVE
  memset sbuf:fp32[0..128 @0x17fc4; 16], 1.0                              ; error

; === up to the end of an SBUF partition
; expect sound
.stream DVE
  memset sbuf:fp32[0..128 @0x17fc0; 16], 1.0

; === in front of an SBUF partition
; expect SYS-V042
.stream DVE
  memset sbuf:fp32[0..128 @0x8; 4:-1], 1.0                                ; error

; === past the last partition
; expect SYS-V042
.stream DVE
  memset sbuf:fp32[96..129 @0x0; 4], 1.0                                  ; error

; === past the end of PSUM
; expect SYS-V043
.stream DVE
  memset psum:fp32[0..128 @0x3ffc; 2], 1.0                                ; error

; === up to the end of PSUM
; expect sound
.stream DVE
  memset psum:fp32[0..128 @0x3ffc; 1], 1.0

; === two buffers share a byte
; expect SYS-V003
.buffer x input uint8 [65] @0x0
.buffer w constant uint8 [64] @0x40
.stream q0
  nop

; === a stream that inf1 does not have
; expect SYS-V002
.stream POOL
  memset sbuf:fp32[0..128 @0x0; 4], 1.0                                   ; error

; === a queue that inf1 does not have
; expect SYS-V002
.stream q16
  nop                                                                     ; error

; === the last queue that it has
; expect sound
.stream q15
  nop

; === two elements to three places
; expect SYS-V070
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 3], dram:fp32[@x; 2]                      ; error

; === a DMA writes a place twice
; expect SYS-V071
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 2, 3:0], dram:fp32[@x; 6]                 ; error

; === a DMA's windows overlap
; expect SYS-V071
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 3:2, 3], dram:fp32[@x; 9]                 ; error

; === a DMA's windows touch
; expect sound
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 3:3, 3], dram:fp32[@x; 9]

; === a DMA reads a place twice
; expect sound
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 2, 3], dram:fp32[@x; 2, 3:0]

; === interleaved dimensions that never meet
; expect sound
.buffer x input fp32 [64] @0x0
.stream q0
  dma_copy sbuf:fp32[0..1 @0x0; 2:3, 2:2], dram:fp32[@x; 4]
