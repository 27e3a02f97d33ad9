; The rules P-n, for the program's DRAM buffers; the device has 8 GiB.
; target: inf1
.buffer x input fp32 [64] @0x0
.buffer y output fp32 [64] @0xfc                         ; error: P-1
.buffer z output fp32 [64] @0x200
.buffer after output fp32 [64] @0x300
.buffer short output fp32 [64] @0x400 size=255           ; error: P-3
.buffer exact output fp32 [64] @0x500 size=256
.buffer large output fp32 [64] @0x600 size=1024
.buffer shapeless scratch uint8 [] @0xa00 size=0
.buffer last scratch uint8 [256] @0x1ffffff00
.buffer past scratch uint8 [257] @0x200000000            ; error: P-2
