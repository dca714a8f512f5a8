// SPDX-License-Identifier: Apache-2.0
// Loads, and the read of a register, that may end in an exception: that is passed over.
//
// The vectors send a synchronous exception of an instruction from tries on to tries_passed, and need SP_EL0 and
// TPIDR_EL0 for that, which are the guest's: they are in x4 and x5 meanwhile. ELR_EL2 and SPSR_EL2 are in the frame
// of the guest's exit, and interrupts and SErrors are masked at EL2.

    .section .text.probe, "ax"
    .global tries
    .global tries_passed

.macro try name
    .global \name
    .type   \name, %function
\name:
    .cfi_startproc
    mrs     x4, sp_el0
    mrs     x5, tpidr_el0
.endm

.macro tried name
    ret
    .cfi_endproc
    .size   \name, . - \name
.endm

tries:
// x0: the address. Returns 0 in x0, or all ones if the load was aborted.
    try     try_load
    ldr     x2, [x0]
    mov     x0, #0
    dsb     sy                              // the load is over
    tried   try_load

// x0: the address. Returns the word of 32 bits there, or all ones if the load was aborted. An abort that is
// synchronous is one of the load itself, whoever uses what it has loaded.
    try     try_load_word
    ldr     w0, [x0]
    tried   try_load_word

// Returns DBGAUTHSTATUS_EL1 in x0, or all ones where it is UNDEFINED.
    try     try_debug_authentication
    mrs     x0, dbgauthstatus_el1
    tried   try_debug_authentication

tries_passed:
    msr     sp_el0, x4
    msr     tpidr_el0, x5
    mov     x0, #-1
    ret
