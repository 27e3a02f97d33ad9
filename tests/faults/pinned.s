; === loading writes what every run reads
; expect sound
.buffer w constant bf16 [2, 4] @0x0
.buffer y output bf16 [2, 4] @0x40
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@w; 8]
.stream q0
  dma_copy dram:bf16[@y; 8], sbuf:bf16[0..2 @0x0; 4]

; === a run reads past what loading writes
; expect SYS-V030
.buffer w constant bf16 [2, 4] @0x0
.buffer y output bf16 [2, 5] @0x40
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@w; 8]
.stream q0
  dma_copy dram:bf16[@y; 10], sbuf:bf16[0..2 @0x0; 5]                     ; error

; === a run reads a partition that loading leaves alone
; expect SYS-V030
.buffer w constant bf16 [2, 4] @0x0
.buffer y output bf16 [3, 4] @0x40
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@w; 8]
.stream q0
  dma_copy dram:bf16[@y; 12], sbuf:bf16[0..3 @0x0; 4]                     ; error

; === a run writes over pinned bytes
; expect SYS-V035
.buffer w constant bf16 [2, 4] @0x0
.buffer y output bf16 [2, 4] @0x40
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@w; 8]
.stream DVE
  memset sbuf:bf16[0..2 @0x6; 4], 0.0  !s2+1                              ; error
.stream q0
  dma_copy dram:bf16[@y; 8], sbuf:bf16[0..2 @0x0; 4]  ?s2>=1

; === a run writes beside pinned bytes
; expect sound
.buffer w constant bf16 [2, 4] @0x0
.buffer y output bf16 [2, 4] @0x40
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@w; 8]
.stream DVE
  memset sbuf:bf16[0..2 @0x8; 4], 0.0
.stream q0
  dma_copy dram:bf16[@y; 8], sbuf:bf16[0..2 @0x0; 4]

; === loading reads an input, which is not there yet
; expect SYS-V041
.buffer x input bf16 [2, 4] @0x0
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@x; 8]

; === loading writes PSUM, which a run is free to use
; expect SYS-V034
.buffer w constant fp32 [2, 4] @0x0
.stream pinned
  dma_copy psum:fp32[0..2 @0x0; 4], dram:fp32[@w; 8]

; === loading waits for what never comes
; expect SYS-V011
.buffer w constant bf16 [2, 4] @0x0
.stream pinned
  dma_copy sbuf:bf16[0..2 @0x0; 4], dram:bf16[@w; 8]  ?s1>=1

; === an engine's work is no part of loading
; expect SYS-V001
.stream pinned
  memset sbuf:bf16[0..2 @0x0; 4], 0.0
