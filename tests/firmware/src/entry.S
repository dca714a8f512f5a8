// SPDX-License-Identifier: Apache-2.0
// The way into EL3 and out of it.

// x0: number of this CPU, by its affinity fields. Clobbers x1.
.macro number
    mrs     x0, mpidr_el1
    ubfx    x1, x0, #8, #8
    and     x0, x0, #0xff
    add     x0, x0, x1, lsl #4
.endm
.if {cluster} != 16
    .error "a cluster has 1 << 4 CPUs"
.endif

// The stack of the CPU with the number in \number. Clobbers x9, x10.
.macro take_stack number
    mov     x9, #{stack}
    adrp    x10, {stacks}
    add     x10, x10, x9
    madd    x10, \number, x9, x10
    mov     sp, x10
.endm

    .section .text.reset, "ax"
    .global reset
reset:
    msr     daifset, #0xf
    number
    take_stack x0
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el3, x1
    isb
    b       {boot}

// x0: where, x1: context, x2: number of this CPU.
    .global enter_el2
enter_el2:
    take_stack x2
    msr     elr_el3, x0
    mov     x3, #0x3c9                      // EL2h, all masked
    msr     spsr_el3, x3
    mov     x0, x1
    mov     x1, xzr                         // booting.rst
    mov     x2, xzr
    mov     x3, xzr
    movz    x4, #0xdead, lsl #48
    .irp n, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov     x\n, x4
    .endr
    eret

// Stores or loads what Rust does not keep by itself.
.macro registers op
    \op     x0, x1, [sp]
    \op     x2, x3, [sp, #16]
    \op     x4, x5, [sp, #32]
    \op     x6, x7, [sp, #48]
    \op     x8, x9, [sp, #64]
    \op     x10, x11, [sp, #80]
    \op     x12, x13, [sp, #96]
    \op     x14, x15, [sp, #112]
    \op     x16, x17, [sp, #128]
    \op     x18, x30, [sp, #144]
.endm

// SMCCC: all registers but x0 to x3 come back as they were.
call:
    sub     sp, sp, #160
    registers stp
    mrs     x0, esr_el3
    ubfx    x0, x0, #26, #6
    cmp     x0, #0x17                       // SMC from AArch64
    b.ne    other
    number
    mov     x1, x0
    mov     x0, sp
    bl      {call}
    registers ldp
    add     sp, sp, #160
    eret

other:
    number
    mov     x2, x0
    take_stack x2
    mrs     x0, esr_el3
    mrs     x1, elr_el3
    b       {unexpected}

    .balign 2048
vectors:
    .rept 8
    .balign 128
    b       other
    .endr
    .balign 128
    b       call                            // synchronous, from a lower level in AArch64
    .rept 7
    .balign 128
    b       other
    .endr
