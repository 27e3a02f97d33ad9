; The rules of control instructions: each broken alone, beside a near miss.
; target: inf1
.buffer scratch scratch uint8 [1048576] @0x0

.stream PE
; The semaphore is one that the target has.
    sem_clear semaphore=32                                                                        ; error: sem_clear-C1
    sem_clear semaphore=31
; The operator is bypass, add to min, a comparison, and, or, xor or a shift.
    reg_alu op=relu                                                                               ; error: reg_alu-C1
    reg_alu op=xor
; The source has one element.
    reg_load dram:int32[@0x280; 6]                                                                ; error: reg_load-C1
    reg_load dram:int32[@0xb00; 1]
; The destination has one element.
    reg_store dram:int32[@0x280; 6]                                                               ; error: reg_store-C1
    reg_store dram:int32[@0xb00; 1]
; The operator is a comparison.
    branch op=min                                                                                 ; error: branch-C1
    branch op=less
