; Every program here begins with memory that is written: the runner puts `memset`s in front.

; === accumulate with no group open
; expect SYS-V050
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], stop          ; error

; === accumulate after the group was closed
; expect SYS-V050
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], start, stop
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], stop          ; error

; === a group of three
; expect sound
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], start
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], stop

; === two groups in two banks, interleaved
; expect sound
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], start
  matmul psum:fp32[0..64 @0x800; 512], sbuf:bf16[0..128 @0x100; 512], start
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], stop
  matmul psum:fp32[0..64 @0x800; 512], sbuf:bf16[0..128 @0x100; 512], stop

; === start on an open group
; expect SYS-V051
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], start         ; error
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], start, stop   ; error

; === start on one element of an open group
; expect SYS-V051 SYS-V050
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start             ; error
  matmul psum:fp32[0..64 @0x1c; 8], sbuf:bf16[0..128 @0x100; 8], start, stop      ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop             ; error

; === an open group is read
; expect SYS-V052
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start  !s0+1      ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop  ?s1>=1
.stream ACT
  activation sbuf:fp32[0..64 @0x800; 8], psum:fp32[0..64 @0x0; 8]  ?s0>=1 !s1+1   ; error

; === a closed group is read
; expect sound
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop  !s0+1
.stream ACT
  activation sbuf:fp32[0..64 @0x800; 8], psum:fp32[0..64 @0x0; 8]  ?s0>=1

; === an engine writes into an open group
; expect SYS-V053
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start  !s0+1      ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop  ?s1>=1
.stream ACT
  activation psum:fp32[0..64 @0x0; 1], sbuf:fp32[0..64 @0x800; 1]  ?s0>=1 !s1+1   ; error

; === an engine writes beside an open group
; expect sound
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start  !s0+1
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop  ?s1>=1
.stream ACT
  activation psum:fp32[0..64 @0x20; 1], sbuf:fp32[0..64 @0x800; 1]  ?s0>=1 !s1+1

; === a group is never closed
; expect SYS-V054
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 512], sbuf:bf16[0..128 @0x100; 512], start         ; error

; === a group is accumulated with another shape
; expect SYS-V055
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start             ; error
  matmul psum:fp32[0..64 @0x0; 4], sbuf:bf16[0..128 @0x100; 4]                    ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop

; === the same bytes with other dimensions
; expect sound
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 64], sbuf:bf16[0..128 @0x100; 64], start
  matmul psum:fp32[0..64 @0x0; 8, 8], sbuf:bf16[0..128 @0x100; 8:16, 8]
  matmul psum:fp32[0..64 @0x0; 8:1, 8:8], sbuf:bf16[0..128 @0x100; 64], stop

; === as many elements, other bytes
; expect SYS-V055 SYS-V050
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start             ; error
  matmul psum:fp32[0..64 @0x0; 8:2], sbuf:bf16[0..128 @0x100; 8]                  ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], stop

; === a matmul before any stationary tile
; expect SYS-V060
.stream PE
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start, stop       ; error
  load_stationary sbuf:bf16[0..128 @0x0; 64]

; === other partitions than the stationary tile
; expect SYS-V061
.stream PE
  load_stationary sbuf:bf16[0..64 @0x0; 64]                                       ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[64..128 @0x100; 8], start, stop      ; error

; === the stationary tile that counts is the last one
; expect sound
.stream PE
  load_stationary sbuf:bf16[0..64 @0x0; 64]
  load_stationary sbuf:bf16[64..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[64..128 @0x100; 8], start, stop

; === fewer product partitions than stationary columns
; expect SYS-V062
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 64]                                      ; error
  matmul psum:fp32[0..32 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start, stop       ; error

; === FP32 meets BF16
; expect SYS-V063
.stream PE
  load_stationary sbuf:fp32[0..128 @0x0; 64]                                      ; error
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start, stop       ; error

; === FP16 meets BF16
; expect sound
.stream PE
  load_stationary sbuf:fp16[0..128 @0x0; 64]
  matmul psum:fp32[0..64 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start, stop

; === a rule of the instruction is broken
; expect SYS-V001
.stream PE
  load_stationary sbuf:bf16[0..128 @0x0; 65]                                      ; error
  matmul psum:fp32[0..65 @0x0; 8], sbuf:bf16[0..128 @0x100; 8], start, stop       ; error

; === an instruction on the wrong engine
; expect SYS-V001
.stream ACT
  load_stationary sbuf:bf16[0..128 @0x0; 64]                                      ; error

; === a data type that the instruction does not take
; expect SYS-V001
.stream PE
  load_stationary sbuf:int32[0..128 @0x0; 64]                                     ; error

; === reduce registers are read before they are set
; expect SYS-V080
.stream ACT
  act_read_accumulator sbuf:fp32[0..64 @0x0; 1]                                   ; error

; === more reduce registers are read than are set
; expect SYS-V080
.stream ACT
  activation sbuf:fp32[0..64 @0x800; 8], sbuf:fp32[0..64 @0x0; 8], reduce=reset_reduce
  act_read_accumulator sbuf:fp32[0..128 @0x40; 1]                                 ; error

; === reduce registers go on from what nothing set
; expect SYS-V080
.stream ACT
  activation sbuf:fp32[0..64 @0x800; 8], sbuf:fp32[0..64 @0x0; 8], reduce=reduce  ; error

; === reduce registers are set, then read
; expect sound
.stream ACT
  activation sbuf:fp32[0..64 @0x800; 8], sbuf:fp32[0..64 @0x0; 8], reduce=reset
  activation sbuf:fp32[0..64 @0x800; 8], sbuf:fp32[0..64 @0x0; 8], reduce=reduce
  act_read_accumulator sbuf:fp32[0..64 @0x40; 1]
