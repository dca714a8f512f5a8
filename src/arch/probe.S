// SPDX-License-Identifier: Apache-2.0
// A load, and a read of a register, with vectors of their own: what they end in is passed over. ELR_EL2 and SPSR_EL2 are in the
// frame of the guest's exit, and interrupts and SErrors are masked at EL2.

    .section .text.probe, "ax"
    .balign 0x800
probe_vectors:
    .org    probe_vectors + 0x200           // synchronous, of EL2 with its own stack
    mov     x0, #0
    msr     elr_el2, x3
    eret
    dsb     nsh
    isb

// x0: the address. Returns 0 in x0 if the load was aborted, else 1.
    .global try_load
    .type   try_load, %function
try_load:
    .cfi_startproc
    mrs     x1, vbar_el2
    adr     x2, probe_vectors
    msr     vbar_el2, x2
    isb
    adr     x3, 1f
    ldr     x2, [x0]
    mov     x0, #1
    dsb     sy                              // the load is over
1:  msr     vbar_el2, x1
    isb
    ret
    .cfi_endproc
    .size   try_load, . - try_load

// Returns DBGAUTHSTATUS_EL1 in x0, or 0 where it is UNDEFINED.
    .global try_debug_authentication
    .type   try_debug_authentication, %function
try_debug_authentication:
    .cfi_startproc
    mrs     x1, vbar_el2
    adr     x2, probe_vectors
    msr     vbar_el2, x2
    isb
    adr     x3, 1f
    mrs     x0, dbgauthstatus_el1
1:  msr     vbar_el2, x1
    isb
    ret
    .cfi_endproc
    .size   try_debug_authentication, . - try_debug_authentication
