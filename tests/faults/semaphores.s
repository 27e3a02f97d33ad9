; === two streams wait for each other
; expect SYS-V010
.stream DVE
  nop  ?s1>=1 !s0+1            ; error
.stream ACT
  nop  ?s0>=1 !s1+1            ; error

; === one of the two goes first
; expect sound
.stream DVE
  nop  !s0+1
  nop  ?s1>=1
.stream ACT
  nop  ?s0>=1 !s1+1

; === a cycle of three, one stream beside it
; expect SYS-V010
.stream DVE
  nop  ?s2>=1 !s0+1            ; error
.stream ACT
  nop  ?s0>=1 !s1+1            ; error
.stream SP
  nop  ?s1>=1 !s2+1            ; error
.stream PE
  nop  ?s0>=1

; === a stream waits for itself
; expect SYS-V010
.stream DVE
  nop  ?s0>=1                  ; error
  nop  !s0+1

; === a stream waits for what it did before
; expect sound
.stream DVE
  nop  !s0+1
  nop  ?s0>=1

; === two signallers, and the wait needs the one behind it
; expect SYS-V010
.stream DVE
  nop  !s0+1
  nop  ?s1>=1 !s0+1            ; error
.stream ACT
  nop  !s0+1
  nop  ?s0>=3 !s1+1            ; error

; === nobody signals
; expect SYS-V011
.stream DVE
  nop  ?s5>=1                  ; error

; === one signal too few
; expect SYS-V011
.stream DVE
  nop  ?s5>=3                  ; error
.stream ACT
  nop  !s5+2

; === one signal more
; expect sound
.stream DVE
  nop  ?s5>=3
.stream ACT
  nop  !s5+3

; === a semaphore counts past its maximum (the test's core stops at 1000)
; expect SYS-V012
.stream ACT
  nop  !s5+600
  nop  !s5+401                 ; error

; === a semaphore counts up to its maximum
; expect sound
.stream ACT
  nop  !s5+600
  nop  !s5+400

; === a clear between: each epoch stays below the maximum
; expect sound
.stream ACT
  nop  !s5+600
  sem_clear semaphore=5
  nop  !s5+600

; === a clear that a signal may come before or after
; expect SYS-V013
.stream ACT
  sem_clear semaphore=5                  ; error
.stream DVE
  nop  !s5+1                   ; error

; === a clear that comes after the signal
; expect sound
.stream ACT
  sem_clear semaphore=5  ?s5>=1
.stream DVE
  nop  !s5+1

; === a wait may pass on what was there before the clear
; expect SYS-V013
.stream ACT
  sem_clear semaphore=5  ?s5>=1          ; error
  nop  !s5+1
.stream DVE
  nop  !s5+1
  nop  ?s5>=1                  ; error

; === the wait comes after the clear by another semaphore
; expect sound
.stream ACT
  sem_clear semaphore=5  ?s5>=1 !s6+1
  nop  !s5+1
.stream DVE
  nop  !s5+1
  nop  ?s6>=1
  nop  ?s5>=1

; === the same instruction waits for both: it may look at the old value first
; expect SYS-V013
.stream ACT
  sem_clear semaphore=5  ?s5>=1 !s6+1    ; error
  nop  !s5+1
.stream DVE
  nop  !s5+1
  nop  ?s6>=1 ?s5>=1           ; error

; === the order through a second epoch holds a write and a read together
; expect sound
.stream DVE
  nop  !s5+1
  memset sbuf:fp32[0..32 @0x0; 4], 1.0 ?s6>=1 !s5+1
.stream ACT
  sem_clear semaphore=5  ?s5>=1 !s6+1
  activation sbuf:fp32[0..32 @0x40; 4], sbuf:fp32[0..32 @0x0; 4] ?s5>=1
