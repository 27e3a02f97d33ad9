; Programs with a race, each beside one that differs by the missing order. `expect` names the codes
; that the verifier finds, `error` marks the lines that it has to name.

; === an engine reads what another writes at the same time
; expect SYS-V020
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 16], 1.0                                  ; error
.stream ACT
  activation sbuf:fp32[0..128 @0x100; 16], sbuf:fp32[0..128 @0x0; 16]     ; error

; === the reader waits for the writer
; expect sound
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 16], 1.0  !s0+1
.stream ACT
  activation sbuf:fp32[0..128 @0x100; 16], sbuf:fp32[0..128 @0x0; 16]  ?s0>=1

; === the reader waits for the instruction in front of the writer
; expect SYS-V020
.stream DVE
  nop  !s0+1
  memset sbuf:fp32[0..128 @0x0; 16], 1.0  !s0+1                           ; error
.stream ACT
  activation sbuf:fp32[0..128 @0x100; 16], sbuf:fp32[0..128 @0x0; 16]  ?s0>=1   ; error

; === two engines write the same last byte
; expect SYS-V020
.buffer x input uint8 [128, 4] @0x0
.stream DVE
  memset sbuf:uint8[0..128 @0x0; 17], 1.0                                 ; error
.stream ACT
  activation sbuf:uint8[32..64 @0x10; 4], sbuf:uint8[32..64 @0x40; 4] ?s1>=1   ; error
.stream q0
  dma_copy sbuf:uint8[0..128 @0x40; 4], dram:uint8[@x; 128, 4]  !s1+1

; === two engines write neighbouring bytes
; expect sound
.buffer x input uint8 [128, 4] @0x0
.stream DVE
  memset sbuf:uint8[0..128 @0x0; 16], 1.0
.stream ACT
  activation sbuf:uint8[32..64 @0x10; 4], sbuf:uint8[32..64 @0x40; 4] ?s1>=1
.stream q0
  dma_copy sbuf:uint8[0..128 @0x40; 4], dram:uint8[@x; 128, 4]  !s1+1

; === two engines write the same bytes of neighbouring partitions
; expect sound
.buffer x input fp32 [32, 16] @0x0
.stream DVE
  memset sbuf:fp32[0..32 @0x0; 16], 1.0
.stream ACT
  activation sbuf:fp32[32..64 @0x0; 16], sbuf:fp32[32..64 @0x40; 16] ?s1>=1
.stream q0
  dma_copy sbuf:fp32[32..64 @0x40; 16], dram:fp32[@x; 32, 16]  !s1+1

; === even and odd elements do not meet
; expect sound
.buffer x input bf16 [128, 16] @0x0
.stream DVE
  memset sbuf:bf16[0..128 @0x0; 16:2], 1.0
.stream q0
  dma_copy sbuf:bf16[0..128 @0x2; 16:2], dram:bf16[@x; 128, 16]

; === every third and every fourth element meet at the twelfth
; expect SYS-V021
.buffer x input bf16 [128, 16] @0x0
.stream DVE
  memset sbuf:bf16[0..128 @0x0; 16:3], 1.0                                ; error
.stream q0
  dma_copy sbuf:bf16[0..128 @0x0; 16:4], dram:bf16[@x; 128, 16]           ; error

; === a buffer is filled again while its reader still reads (write after read)
; expect SYS-V021
.buffer x input fp32 [128, 8] @0x0
.stream q0
  dma_copy sbuf:fp32[0..128 @0x0; 8], dram:fp32[@x; 128, 8]  !s0+1
  dma_copy sbuf:fp32[0..128 @0x0; 8], dram:fp32[@x; 128, 8]               ; error
.stream DVE
  tensor_copy sbuf:fp32[0..128 @0x100; 8], sbuf:fp32[0..128 @0x0; 8]  ?s0>=1   ; error

; === the second fill waits for the reader
; expect sound
.buffer x input fp32 [128, 8] @0x0
.stream q0
  dma_copy sbuf:fp32[0..128 @0x0; 8], dram:fp32[@x; 128, 8]  !s0+1
  dma_copy sbuf:fp32[0..128 @0x0; 8], dram:fp32[@x; 128, 8]  ?s1>=1
.stream DVE
  tensor_copy sbuf:fp32[0..128 @0x100; 8], sbuf:fp32[0..128 @0x0; 8]  ?s0>=1 !s1+1

; === two queues write one byte of an output
; expect SYS-V021
.buffer y output uint8 [64] @0x0
.stream DVE
  memset sbuf:uint8[0..1 @0x0; 64], 1.0 !s0+1
.stream q0
  dma_copy dram:uint8[@y; 33], sbuf:uint8[0..1 @0x0; 33] ?s0>=1           ; error
.stream q1
  dma_copy dram:uint8[@y+0x20; 32], sbuf:uint8[0..1 @0x0; 32] ?s0>=1      ; error

; === two queues write two halves of an output
; expect sound
.buffer y output uint8 [64] @0x0
.stream DVE
  memset sbuf:uint8[0..1 @0x0; 64], 1.0 !s0+1
.stream q0
  dma_copy dram:uint8[@y; 32], sbuf:uint8[0..1 @0x0; 32] ?s0>=1
.stream q1
  dma_copy dram:uint8[@y+0x20; 32], sbuf:uint8[0..1 @0x0; 32] ?s0>=1

; === a semaphore with two signallers: one signal may be either's
; expect SYS-V020
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 4], 1.0  !s0+1                            ; error
.stream SP
  nop  !s0+1
.stream ACT
  activation sbuf:fp32[0..128 @0x40; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1   ; error

; === a semaphore with two signallers: two signals are both's
; expect sound
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 4], 1.0  !s0+1
.stream SP
  nop  !s0+1
.stream ACT
  activation sbuf:fp32[0..128 @0x40; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=2

; === three readers, and a writer that waits for two of them
; expect SYS-V020
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 4], 1.0  !s0+1
  memset sbuf:fp32[0..128 @0x0; 4], 2.0  ?s1>=1 ?s2>=1                    ; error
.stream ACT
  activation sbuf:fp32[0..128 @0x40; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1  ; error
.stream q0
  dma_copy sbuf:fp32[0..128 @0x50; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1 !s1+1
.stream q1
  dma_copy sbuf:fp32[0..128 @0x60; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1 !s2+1

; === three readers, and a writer that waits for all of them
; expect sound
.stream DVE
  memset sbuf:fp32[0..128 @0x0; 4], 1.0  !s0+1
  nop  ?s3>=1
  memset sbuf:fp32[0..128 @0x0; 4], 2.0  ?s1>=1 ?s2>=1
.stream ACT
  activation sbuf:fp32[0..128 @0x40; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1 !s3+1
.stream q0
  dma_copy sbuf:fp32[0..128 @0x50; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1 !s1+1
.stream q1
  dma_copy sbuf:fp32[0..128 @0x60; 4], sbuf:fp32[0..128 @0x0; 4]  ?s0>=1 !s2+1

; === a column operand is read as well
; expect SYS-V020
.stream DVE
  memset sbuf:fp32[0..64 @0x0; 4], 1.0  !s0+1
  memset sbuf:fp32[0..64 @0x80; 1], 1.0                                   ; error
.stream ACT
  activation sbuf:fp32[0..64 @0x40; 4], sbuf:fp32[0..64 @0x0; 4], bias=sbuf:fp32[0.. @0x80]  ?s0>=1  ; error

; === hundreds of cells with two readers each, and a writer that waits for both
; expect sound
.stream DVE
  memset sbuf:fp32[0..32 @0x0; 400], 1.0  !s0+1
  memset sbuf:fp32[0..32 @0x0; 400], 2.0  ?s1>=1 ?s2>=1
.stream ACT
  activation sbuf:fp32[0..32 @0x800; 200], sbuf:fp32[0..32 @0x0; 200:2]  ?s0>=1 !s1+1
.stream q0
  dma_copy sbuf:fp32[0..32 @0x1000; 200], sbuf:fp32[0..32 @0x0; 200:2]  ?s0>=1 !s2+1

; === hundreds of cells with two readers each, and a writer that waits for one of them
; expect SYS-V021
.stream DVE
  memset sbuf:fp32[0..32 @0x0; 400], 1.0  !s0+1
  memset sbuf:fp32[0..32 @0x0; 400], 2.0  ?s1>=1                                        ; error
.stream ACT
  activation sbuf:fp32[0..32 @0x800; 200], sbuf:fp32[0..32 @0x0; 200:2]  ?s0>=1 !s1+1
.stream q0
  dma_copy sbuf:fp32[0..32 @0x1000; 200], sbuf:fp32[0..32 @0x0; 200:2]  ?s0>=1 !s2+1   ; error
