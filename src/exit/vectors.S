// The exception vectors of EL2 (Arm ARM, "Exception vectors"): a whole frame, then Rust.

.equ FRAME_SIZE, 33 * 8 + 8

.macro save_frame
    sub     sp, sp, #FRAME_SIZE
    stp     x0, x1, [sp, #16 * 0]
    stp     x2, x3, [sp, #16 * 1]
    stp     x4, x5, [sp, #16 * 2]
    stp     x6, x7, [sp, #16 * 3]
    stp     x8, x9, [sp, #16 * 4]
    stp     x10, x11, [sp, #16 * 5]
    stp     x12, x13, [sp, #16 * 6]
    stp     x14, x15, [sp, #16 * 7]
    stp     x16, x17, [sp, #16 * 8]
    stp     x18, x19, [sp, #16 * 9]
    stp     x20, x21, [sp, #16 * 10]
    stp     x22, x23, [sp, #16 * 11]
    stp     x24, x25, [sp, #16 * 12]
    stp     x26, x27, [sp, #16 * 13]
    stp     x28, x29, [sp, #16 * 14]
    mrs     x0, elr_el2
    mrs     x1, spsr_el2
    stp     x30, x0, [sp, #16 * 15]
    str     x1, [sp, #16 * 16]
    mov     x0, sp
.endm

.macro vector handler, kind
    .balign 0x80
    save_frame
    mov     x1, #\kind
    bl      \handler
    b       leave
.endm

// An exception of the monitor itself never returns: it starts at the top of the CPU's stack, as it
// may be one that the end of the stack caused. SP_EL0 is the guest's, which will not run again.
.macro fatal kind
    .balign 0x80
    msr     sp_el0, x0
    mrs     x0, tpidr_el2
    cbz     x0, 1f
    ldr     x0, [x0, #32]                   // Cpu.stack_top
    b       2f
1:  adrp    x0, __boot_stack_end
2:  mov     sp, x0
    mrs     x0, sp_el0
    save_frame
    mov     x1, #\kind
    bl      exit_from_el2
.endm

.equ SMC64_0, 0x5e000000                     // ESR_EL2 of SMC #0 from AArch64

    .section .text.vectors, "ax"
    .global vectors
    .balign 0x800
vectors:
    fatal   0
    fatal   1
    fatal   2
    fatal   3

    fatal   4
    fatal   5
    fatal   6
    fatal   7

    .balign 0x80
    b       from_guest
    vector  exit_unexpected, 9
    vector  exit_unexpected, 10
    vector  exit_unexpected, 11

    vector  exit_from_guest, 12
    vector  exit_unexpected, 13
    vector  exit_unexpected, 14
    vector  exit_unexpected, 15

// SMCCC_ARCH_WORKAROUND_1 to 3 (DEN0028) go to firmware with nothing but themselves: where a
// CPU needs one, Linux makes it at each change of process, or at each entry from EL0. Whose generation has
// ended traps at its next instruction.
from_guest:
    stp     x0, x1, [sp, #-16]!
    mrs     x1, esr_el2
    movz    x0, #(SMC64_0 >> 16), lsl #16
    cmp     x0, x1
    ldr     x0, [sp]
    b.ne    1f
    eor     w1, w0, #0x80000000
    cmp     w1, #0x8, lsl #12               // WORKAROUND_1: 0x80008000
    b.eq    2f
    add     w1, w1, #1
    cmp     w1, #0x8, lsl #12               // WORKAROUND_2: 0x80007fff
    b.eq    2f
    cmp     w1, #0x4, lsl #12               // WORKAROUND_3: 0x80003fff
    b.ne    1f
2:  adrp    x1, FIRMWARE_ABSENT
    ldrb    w1, [x1, :lo12:FIRMWARE_ABSENT]
    cbnz    w1, 1f
    ldr     x1, [sp, #8]
    smc     #0
    stp     x0, x1, [sp]
    mrs     x0, elr_el2
    add     x0, x0, #4                      // past the guest's SMC
    msr     elr_el2, x0
    mrs     x0, spsr_el2
    and     x0, x0, #~(1 << 21)             // SS: a single step ends with it
    msr     spsr_el2, x0
    ldp     x0, x1, [sp], #16
    eret
    dsb     nsh
    isb
1:  ldp     x0, x1, [sp], #16
    save_frame
    mov     x1, #0
    bl      exit_from_guest

leave:
    ldr     x1, [sp, #16 * 16]
    ldp     x30, x0, [sp, #16 * 15]
    msr     elr_el2, x0
    msr     spsr_el2, x1
    ldp     x28, x29, [sp, #16 * 14]
    ldp     x26, x27, [sp, #16 * 13]
    ldp     x24, x25, [sp, #16 * 12]
    ldp     x22, x23, [sp, #16 * 11]
    ldp     x20, x21, [sp, #16 * 10]
    ldp     x18, x19, [sp, #16 * 9]
    ldp     x16, x17, [sp, #16 * 8]
    ldp     x14, x15, [sp, #16 * 7]
    ldp     x12, x13, [sp, #16 * 6]
    ldp     x10, x11, [sp, #16 * 5]
    ldp     x8, x9, [sp, #16 * 4]
    ldp     x6, x7, [sp, #16 * 3]
    ldp     x4, x5, [sp, #16 * 2]
    ldp     x2, x3, [sp, #16 * 1]
    ldp     x0, x1, [sp, #16 * 0]
    add     sp, sp, #FRAME_SIZE
    eret
    dsb     nsh
    isb
