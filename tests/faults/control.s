; === a loop of three signals
; expect sound
.stream SP
  reg_move to=1
  nop  !s0+1
  reg_alu to=1, left=1, constant, value=1
  branch left=1, constant, value=3, op=less, target=1
.stream DVE
  nop  ?s0>=3

; === a loop of two signals, one too few
; expect SYS-V011
.stream SP
  reg_move to=1
  nop  !s0+1
  reg_alu to=1, left=1, constant, value=1
  branch left=1, constant, value=2, op=less, target=1
.stream DVE
  nop  ?s0>=3                                                  ; error

; === the second round of a loop races with what the first one was ordered with
; expect SYS-V020
.stream DVE
  reg_move to=1
  memset sbuf:fp32[0..32 @0x0; 4], 1.0  !s0+1                  ; error
  reg_alu to=1, left=1, constant, value=1
  branch left=1, constant, value=2, op=less, target=1
.stream ACT
  activation sbuf:fp32[0..32 @0x40; 4], sbuf:fp32[0..32 @0x0; 4]  ?s0>=1   ; error

; === a branch skips the instruction that would race
; expect sound
.stream DVE
  memset sbuf:fp32[0..32 @0x0; 4], 1.0  !s0+1
  branch target=3
  memset sbuf:fp32[0..32 @0x0; 4], 2.0
.stream ACT
  activation sbuf:fp32[0..32 @0x40; 4], sbuf:fp32[0..32 @0x0; 4]  ?s0>=1

; === a branch on loaded data
; expect SYS-V085
.buffer n input int32 [1] @0x0
.stream SP
  reg_load dram:int32[@n; 1], to=1
  branch left=1, constant, value=3, op=less, target=0

; === a loop that never ends
; expect SYS-V086
.stream SP
  nop
  branch target=0
