// SPDX-License-Identifier: Apache-2.0
// The exception vectors of EL2 (Arm ARM, "Exception vectors"): a whole frame, then Rust.

    .cfi_sections .debug_frame

// Says where a frame at sp has the guest's registers, so that a debugger unwinds through an exit.
// ELR_EL2, DWARF register 33, is where the guest goes on.
.macro cfi_frame
    .cfi_def_cfa sp, {FRAME_SIZE}
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    .cfi_offset \n, {FRAME_X} + 8 * \n - {FRAME_SIZE}
    .endr
    .cfi_offset 33, {FRAME_ELR} - {FRAME_SIZE}
    .cfi_return_column 33
.endm

.macro save_frame
    stp     x0, x1, [sp, #-{FRAME_SIZE}]!
    save_rest
.endm

// x0 and x1 are in the frame.
.macro save_rest
    stp     x2, x3, [sp, #{FRAME_X} + 16 * 1]
    stp     x4, x5, [sp, #{FRAME_X} + 16 * 2]
    stp     x6, x7, [sp, #{FRAME_X} + 16 * 3]
    stp     x8, x9, [sp, #{FRAME_X} + 16 * 4]
    stp     x10, x11, [sp, #{FRAME_X} + 16 * 5]
    stp     x12, x13, [sp, #{FRAME_X} + 16 * 6]
    stp     x14, x15, [sp, #{FRAME_X} + 16 * 7]
    stp     x16, x17, [sp, #{FRAME_X} + 16 * 8]
    stp     x18, x19, [sp, #{FRAME_X} + 16 * 9]
    stp     x20, x21, [sp, #{FRAME_X} + 16 * 10]
    stp     x22, x23, [sp, #{FRAME_X} + 16 * 11]
    stp     x24, x25, [sp, #{FRAME_X} + 16 * 12]
    stp     x26, x27, [sp, #{FRAME_X} + 16 * 13]
    stp     x28, x29, [sp, #{FRAME_X} + 16 * 14]
    mrs     x0, elr_el2
    mrs     x1, spsr_el2
    str     x30, [sp, #{FRAME_X} + 16 * 15]
    stp     x0, x1, [sp, #{FRAME_ELR}]      // ELR_EL2 and SPSR_EL2 stand side by side
    cfi_frame
    mov     x0, sp
.endm

// Fails the build if what began at label 9 is longer than a vector's slot.
.macro end_of_slot
    .org    9b + 0x80
    .cfi_endproc
.endm

.macro vector handler, kind
    .balign 0x80
    .cfi_startproc
9:  save_frame
    mov     x1, #\kind
    bl      \handler
    b       leave_for_guest
    end_of_slot
.endm

// A fatal exception of the monitor never returns: it starts at the top of the CPU's stack, as it
// may be one that the end of the stack caused. SP_EL0 is the guest's, which will not run again.
.macro fatal kind
    .balign 0x80
    .cfi_startproc
9:  msr     sp_el0, x0
    die     \kind
    end_of_slot
.endm

// x0 is in SP_EL0.
.macro die kind
    mrs     x0, tpidr_el2
    cbz     x0, 1f
    ldr     x0, [x0, #{CPU_STACK_TOP}]
    b       2f
1:  adrp    x0, __boot_stack_end
2:  mov     sp, x0
    mrs     x0, sp_el0
    save_frame
    mov     x1, #\kind
    bl      exit_from_el2
.endm

.equ SMC64_0, 0x5e000000                     // ESR_EL2 of SMC #0 from AArch64
.equ SPSR_SS, 1 << 21                        // the instruction is yet to be stepped
.equ WORKAROUND_1, 0x80008000                // SMCCC_ARCH_WORKAROUND_1 to 3 (DEN0028)
.equ WORKAROUND_2, 0x80007fff
.equ WORKAROUND_3, 0x80003fff

    .section .text.vectors, "ax"
    .global vectors
    .type   vectors, %function
    .balign 0x800
vectors:
    fatal   0
    fatal   1
    fatal   2
    fatal   3

    .balign 0x80
    b       from_el2
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
    .size   vectors, . - vectors

// A synchronous exception of the monitor: of an instruction that may end in one (arch/probe.S), or fatal.
    .type   from_el2, %function
from_el2:
    .cfi_startproc
    msr     sp_el0, x0
    msr     tpidr_el0, x1
    mrs     x0, elr_el2
    adr     x1, tries
    cmp     x0, x1
    b.lo    3f
    adr     x1, tries_passed
    cmp     x0, x1
    b.hs    3f
    msr     elr_el2, x1
    eret
    dsb     nsh
    isb
3:  mrs     x1, tpidr_el0
    die     4
    .cfi_endproc
    .size   from_el2, . - from_el2

// SMCCC_ARCH_WORKAROUND_1 to 3 go to firmware with nothing but themselves: where a CPU needs one,
// Linux makes it at each change of process, or at each entry from EL0. Whose generation has ended
// traps at its next instruction.
    .type   from_guest, %function
from_guest:
    .cfi_startproc
    stp     x0, x1, [sp, #-{FRAME_SIZE}]!
    mrs     x1, esr_el2
    movz    x0, #(SMC64_0 >> 16), lsl #16
    cmp     x0, x1
    b.ne    1f
    ldr     x0, [sp]
    eor     w1, w0, #0x80000000
    cmp     w1, #(WORKAROUND_1 - 0x80000000)
    b.eq    2f
    add     w1, w1, #1
    cmp     w1, #(WORKAROUND_2 - 0x80000000 + 1)
    b.eq    2f
    cmp     w1, #(WORKAROUND_3 - 0x80000000 + 1)
    b.ne    1f
2:  adrp    x1, NOT_DIRECTLY
    ldrb    w1, [x1, :lo12:NOT_DIRECTLY]
    cbnz    w1, 1f
    ldr     x1, [sp, #8]
    smc     #0
    stp     x0, x1, [sp]
    mrs     x0, elr_el2
    add     x0, x0, #4                      // past the guest's SMC
    msr     elr_el2, x0
    mrs     x0, spsr_el2
    and     x0, x0, #~SPSR_SS
    msr     spsr_el2, x0
    ldp     x0, x1, [sp], #{FRAME_SIZE}
    eret
    dsb     nsh
    isb
1:  hint    #22                             // CLRBHB: the guest's branches predict none here
    isb
    save_rest
    bl      exit_from_guest
    // What follows is leave_for_guest.
    .cfi_endproc
    .size   from_guest, . - from_guest

// Leaves for the guest. sp: struct Frame, at the top of this CPU's stack.
    .global leave_for_guest
    .type   leave_for_guest, %function
leave_for_guest:
    .cfi_startproc
    cfi_frame
    mrs     x0, tpidr_el2
    ldrb    w0, [x0, #{CPU_CRASH_ASKED}]
    cbnz    w0, leave_by_crash_interrupt
    ldr     x30, [sp, #{FRAME_X} + 16 * 15]
    ldp     x0, x1, [sp, #{FRAME_ELR}]
    msr     elr_el2, x0
    msr     spsr_el2, x1
    ldp     x28, x29, [sp, #{FRAME_X} + 16 * 14]
    ldp     x26, x27, [sp, #{FRAME_X} + 16 * 13]
    ldp     x24, x25, [sp, #{FRAME_X} + 16 * 12]
    ldp     x22, x23, [sp, #{FRAME_X} + 16 * 11]
    ldp     x20, x21, [sp, #{FRAME_X} + 16 * 10]
    ldp     x18, x19, [sp, #{FRAME_X} + 16 * 9]
    ldp     x16, x17, [sp, #{FRAME_X} + 16 * 8]
    ldp     x14, x15, [sp, #{FRAME_X} + 16 * 7]
    ldp     x12, x13, [sp, #{FRAME_X} + 16 * 6]
    ldp     x10, x11, [sp, #{FRAME_X} + 16 * 5]
    ldp     x8, x9, [sp, #{FRAME_X} + 16 * 4]
    ldp     x6, x7, [sp, #{FRAME_X} + 16 * 3]
    ldp     x4, x5, [sp, #{FRAME_X} + 16 * 2]
    ldp     x2, x3, [sp, #{FRAME_X} + 16 * 1]
    ldp     x0, x1, [sp], #{FRAME_SIZE}
    eret
    dsb     nsh
    isb
    .cfi_endproc
    .size   leave_for_guest, . - leave_for_guest

    .type   leave_by_crash_interrupt, %function
leave_by_crash_interrupt:
    .cfi_startproc
    cfi_frame
    mov     x0, sp
    bl      exit_by_crash_interrupt
    b       leave_for_guest
    .cfi_endproc
    .size   leave_by_crash_interrupt, . - leave_by_crash_interrupt

// Firmware calls this for the event of the crash interrupt (DEN0054, "Event handler"), whatever the CPU does: x2 is
// where it was, x3 its PSTATE. x0 to x17 are firmware's to put back, and there is no stack to be used. From the guest,
// firmware goes on as if that had trapped. In the monitor, what it does is done first; if it was about to leave, it
// may have looked already, and leaves once more.
    .global sdei_event
    .type   sdei_event, %function
sdei_event:
    .cfi_startproc
    .cfi_undefined x30
    mrs     x4, tpidr_el2
    mov     w5, #1
    strb    w5, [x4, #{CPU_CRASH_ASKED}]
    adrp    x4, NOT_DIRECTLY
    mov     w5, #{EVENT_WAITS}
    strb    w5, [x4, :lo12:NOT_DIRECTLY]
    movz    w0, #({EVENT_COMPLETE} >> 16), lsl #16
    movk    w0, #({EVENT_COMPLETE} & 0xffff)
    adr     x1, event_from_guest
    tbz     x3, #3, 1f                      // not from EL2
    adr     x1, leave_again
    adr     x4, leave_for_guest
    sub     x4, x2, x4
    cmp     x4, #(leave_by_crash_interrupt - leave_for_guest)
    b.lo    1f
    mov     x1, #0                          // EV_HANDLED
    b       2f
1:  add     w0, w0, #1                      // EVENT_COMPLETE_AND_RESUME
2:  smc     #0
3:  wfe                                     // firmware has refused: the event never ends
    b       3b
    .cfi_endproc
    .size   sdei_event, . - sdei_event

// Reached by firmware, as if by an exception of the guest.
    .type   event_from_guest, %function
event_from_guest:
    .cfi_startproc
    hint    #22                             // CLRBHB
    isb
    save_frame
    b       leave_for_guest
    .cfi_endproc
    .size   event_from_guest, . - event_from_guest

// Reached by firmware from within leave_for_guest, whose frame is whole still.
    .type   leave_again, %function
leave_again:
    .cfi_startproc
    .cfi_undefined x30
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #{CPU_STACK_TOP}]
    sub     sp, x0, #{FRAME_SIZE}
    b       leave_for_guest
    .cfi_endproc
    .size   leave_again, . - leave_again
