// SPDX-License-Identifier: Apache-2.0
// A load with vectors of its own: what it is aborted by is passed over. ELR_EL2 and SPSR_EL2 are in the
// frame of the guest's exit, and interrupts and SErrors are masked at EL2.

    .section .text.probe, "ax"
    .balign 0x800
probe_vectors:
    .org    probe_vectors + 0x200           // synchronous, of EL2 with its own stack
    mov     x0, #0
    adr     x2, 1f
    msr     elr_el2, x2
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
    ldr     x2, [x0]
    mov     x0, #1
    dsb     sy                              // the load is over
1:  msr     vbar_el2, x1
    isb
    ret
    .cfi_endproc
    .size   try_load, . - try_load
