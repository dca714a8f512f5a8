// SPDX-License-Identifier: Apache-2.0
// Where a loader enters the image, and where firmware enters a CPU that was turned on.

// SCTLR_EL2 with its RES1 bits alone: MMU and caches off, little-endian.
.equ SCTLR_EL2_OFF, 0x30c50830
.equ CURRENT_EL2, 2 << 2
// HCR_EL2.RW: EL1 is AArch64. E2H and TGE are clear.
.equ HCR_EL2_RW, 1 << 31
.equ HCR_EL2_E2H, 1 << 34

.macro mov32 register, value
    movz    \register, #((\value) & 0xffff)
    movk    \register, #((\value) >> 16), lsl #16
.endm

// A function, for debuggers. Nobody called what calls it, or it is a leaf: nothing is to be unwound.
.macro function name
    .type   \name, %function
\name:
    .cfi_startproc
.endm

.macro end name
    .cfi_endproc
    .size   \name, . - \name
.endm

// EL2 as this code stands on it: no VHE, which gives TCR_EL2 and others another layout, MMU and
// caches off, no translation left from whoever was here before. Goes to \without where the CPU keeps
// E2H. Clobbers x1, x2, x30.
.macro plain_el2 without
    bl      clear_e2h
    cbnz    x1, \without
    mov32   x1, SCTLR_EL2_OFF
    msr     sctlr_el2, x1
    isb
    tlbi    alle2
    tlbi    alle1
    ic      iallu
    dsb     sy
    isb
.endm

    .cfi_sections .debug_frame
    .section .text.head, "ax"
// HCR_EL2 with nothing but RW. Returns x1: 0, or something else where the CPU keeps E2H. Clobbers x2.
    function clear_e2h
    mov     x1, #HCR_EL2_RW
    dsb     nsh                             // no translation is under way (AmpereOne's AC04_CPU_23)
    msr     hcr_el2, x1
    isb
    // Some CPUs of Apple's may read as 0 and have it all the same: FAR_EL1 is then FAR_EL2.
    msr     far_el2, xzr
    mvn     x1, xzr
    msr     far_el1, x1
    isb
    mrs     x1, far_el2
    msr     far_el1, xzr
    mrs     x2, hcr_el2
    and     x2, x2, #HCR_EL2_E2H
    orr     x1, x1, x2
    ret
    end     clear_e2h

// x0: device tree. MMU and data cache off, any exception level.
    .global loaded
    function loaded
    .cfi_undefined x30
    msr     daifset, #0xf
    mov     x19, x0
    mov     x20, xzr
    mov     x21, xzr
    mrs     x1, CurrentEL
    cmp     x1, #CURRENT_EL2
    b.ne    cannot_run
    mrs     x22, cntpct_el0
    b       start
    end     loaded

// The CPU, or the level it is at, is none that the monitor runs on. x19: device tree. MMU off.
    function cannot_run
    .cfi_undefined x30
    bl      prepare_image
    mov     x0, x19
    bl      boot_refused
    end     cannot_run

// A CPU that the monitor cannot have: the others do not see it come.
    function cannot_come
    .cfi_undefined x30
0:  wfe
    b       0b
    end     cannot_come

// Enters the copy of the image at another place.
// x0: device tree, x1: the old place, x2: its size, x3: CNTPCT_EL0 when a loader entered it there.
    .global moved
    function moved
    .cfi_undefined x30
    mov     x19, x0
    mov     x20, x1
    mov     x21, x2
    mov     x22, x3
    end     moved

// x19: device tree, x20, x21: the old place and its size, 0 if this is it, x22: CNTPCT_EL0 when a
// loader entered it. At EL2.
    function start
    .cfi_undefined x30
    mov     x0, x19
    mov     x1, #{TREE_SIZE}
    bl      begin_at_el2
    mov     x0, x19
    cbnz    x21, 2f
    mov     x1, x22
    bl      boot_move
2:  mov     x1, x20
    mov     x2, x21
    mov     x3, x22
    bl      boot_primary                    // returns the guest's frame
    mov     sp, x0
    b       leave_for_guest
    end     start

// From MMU off to the early map, on the boot stack. x0, x1: what is mapped beside the image, and its size.
    function begin_at_el2
    mov     x24, x30
    mov     x25, x0
    mov     x26, x1
    plain_el2 without=3f
    msr     tpidr_el2, xzr                  // nobody knows yet which CPU this is
    bl      prepare_image
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el2, x1
    mov     x0, x25
    mov     x1, x26
    bl      early_map
    // What was written with the caches off must not be shadowed by stale lines.
    dmb     sy
    adrp    x0, __image_start
    adrp    x1, __image_end
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x2, x3, x2
1:  dc      ivac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    adrp    x0, EARLY_MMU_CONFIG
    add     x0, x0, :lo12:EARLY_MMU_CONFIG
    bl      enable_mmu
    ret     x24
3:  mov     x19, x25
    b       cannot_run
    end     begin_at_el2

// Clears .bss, relocates the image to where it is, sets the stack. Clobbers x0–x6.
    function prepare_image
    adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  apply_relocations
    adrp    x0, __boot_stack_end
    mov     sp, x0
    ret
    end     prepare_image

// Turns the MMU on, or from one map to another. Both maps must hold this code at its own address.
// x0: struct MmuConfig. Clobbers x1–x6.
    .global enable_mmu
    function enable_mmu
    ldr     x1, [x0, #{MMU_MAIR}]
    ldr     x2, [x0, #{MMU_TCR}]
    ldr     x3, [x0, #{MMU_TTBR0}]
    ldr     x4, [x0, #{MMU_SCTLR}]
    mov32   x5, SCTLR_EL2_OFF
    dsb     sy
    msr     sctlr_el2, x5
    isb
    tlbi    alle2
    dsb     nsh
    msr     mair_el2, x1
    msr     tcr_el2, x2
    msr     ttbr0_el2, x3
    isb
    msr     sctlr_el2, x4
    isb
    ret
    end     enable_mmu

// Where firmware enters a CPU: MMU off, EL2. x0: struct Cpu, physical.
    .global secondary_entry
    function secondary_entry
    .cfi_undefined x30
    msr     daifset, #0xf
    mov     x19, x0
    plain_el2 without=cannot_come
    bl      enable_mmu
    ldr     x1, [x19, #{CPU_STACK_TOP}]
    sub     x1, x1, #{FRAME_SIZE}
    mov     sp, x1
    msr     tpidr_el2, x19
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el2, x1
    isb
    mov     x0, x19
    mov     x1, sp
    bl      boot_secondary                  // fills in the guest's frame
    b       leave_for_guest
    end     secondary_entry

// Where a CPU comes in that waited in a spin table: MMU off, EL2. It looks for its struct Cpu.
    .global spin_table_entry
    function spin_table_entry
    .cfi_undefined x30
    mrs     x1, mpidr_el1
    mov     x2, #0xffffff                   // Aff2 to Aff0
    movk    x2, #0xff, lsl #32              // Aff3
    and     x1, x1, x2
    mov     x4, #{CPU_SIZE}
    adrp    x2, SPIN_TABLE_CPUS
    add     x2, x2, :lo12:SPIN_TABLE_CPUS
    ldp     x0, x2, [x2]
1:  cmp     x0, x2
    b.hs    2f
    ldr     x3, [x0, #{CPU_MPIDR}]
    cmp     x3, x1
    b.eq    secondary_entry
    add     x0, x0, x4
    b       1b
2:  wfe
    b       2b
    end     spin_table_entry

// Leaves this copy of the image for another. x0: device tree, x1, x2: this place and its size,
// x3: the other place, cleaned to the point of coherency, x4: CNTPCT_EL0 when a loader entered it.
    .global leave_for_copy
    function leave_for_copy
    .cfi_undefined x30
    mov32   x5, SCTLR_EL2_OFF
    dsb     sy
    msr     sctlr_el2, x5
    isb
    ic      iallu
    dsb     nsh
    isb
    adrp    x6, __image_start
    adrp    x5, moved
    add     x5, x5, :lo12:moved
    sub     x5, x5, x6
    add     x5, x5, x3
    mov     x3, x4
    br      x5
    end     leave_for_copy
