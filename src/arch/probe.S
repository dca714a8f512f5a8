// SPDX-License-Identifier: Apache-2.0
// A load, and a read of a register, with vectors of their own: what they end in is passed over. ELR_EL2 and
// SPSR_EL2 are in the frame of the guest's exit, and interrupts and SErrors are masked at EL2.

    .section .text.probe, "ax"
    .balign 0x800
probe_vectors:
    .org    probe_vectors + 0x200           // synchronous, of EL2 with its own stack
    mov     x0, #0
    msr     elr_el2, x3
    eret
    dsb     nsh
    isb

// A function whose instructions up to passed_over go on there, with 0 in x0, if they end in an exception.
// Clobbers x1, x2, x3.
.macro passing_over name
    .global \name
    .type   \name, %function
\name:
    .cfi_startproc
    mrs     x1, vbar_el2
    adr     x2, probe_vectors
    msr     vbar_el2, x2
    isb
    adr     x3, 1f
.endm

.macro passed_over name
1:  msr     vbar_el2, x1
    isb
    ret
    .cfi_endproc
    .size   \name, . - \name
.endm

// x0: the address. Returns 0 in x0 if the load was aborted, else 1.
    passing_over try_load
    ldr     x2, [x0]
    mov     x0, #1
    dsb     sy                              // the load is over
    passed_over try_load

// Returns DBGAUTHSTATUS_EL1 in x0, or 0 where it is UNDEFINED.
    passing_over try_debug_authentication
    mrs     x0, dbgauthstatus_el1
    passed_over try_debug_authentication
