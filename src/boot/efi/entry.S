// SPDX-License-Identifier: Apache-2.0
// Where UEFI firmware enters the image, where a loader calls ExitBootServices, and how the image in its
// last place is reached from there.

    .section .text.efi, "ax"

// EFI_IMAGE_ENTRY_POINT (UEFI 2.10, 4.1). x0: image handle, x1: system table. MMU and caches are on.
    .global efi_entry
    function efi_entry
    stp     x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    stp     x0, x1, [sp, #16]
    apply_relocations
    ldp     x0, x1, [sp, #16]
    bl      efi_main
    ldp     x29, x30, [sp], #32
    ret
    end     efi_entry

// EFI_EXIT_BOOT_SERVICES, as the boot services table has it while the monitor waits. x0: image handle,
// x1: map key. Returns only if firmware refuses; else the caller goes on at EL1.
    .global efi_exit_boot_services
    function efi_exit_boot_services
    sub     sp, sp, #{SAVED_SIZE}
    .cfi_def_cfa_offset {SAVED_SIZE}
    .cfi_offset x29, 80 - {SAVED_SIZE}
    .cfi_offset x30, 88 - {SAVED_SIZE}
    stp     x19, x20, [sp, #16 * 0]
    stp     x21, x22, [sp, #16 * 1]
    stp     x23, x24, [sp, #16 * 2]
    stp     x25, x26, [sp, #16 * 3]
    stp     x27, x28, [sp, #16 * 4]
    stp     x29, x30, [sp, #16 * 5]
    .arch_extension fp
    stp     d8, d9, [sp, #16 * 6]
    stp     d10, d11, [sp, #16 * 7]
    stp     d12, d13, [sp, #16 * 8]
    stp     d14, d15, [sp, #16 * 9]
    .arch_extension nofp
    mov     x2, sp
    bl      exit_boot_services
    ldp     x29, x30, [sp, #16 * 5]
    add     sp, sp, #{SAVED_SIZE}
    ret
    end     efi_exit_boot_services

// Leaves firmware's regime for the image in its last place. x0: struct Handover, x1: its size with all behind
// it, x2: from_firmware there. All are clean to the point of coherency, and so is this. No memory is accessed.
    .global leave_firmware
    function leave_firmware
    .cfi_undefined x30
    msr     daifset, #0xf
    mov32   x3, SCTLR_EL2_OFF
    dsb     sy
    msr     sctlr_el2, x3
    isb
    ic      iallu
    dsb     nsh
    isb
    br      x2
    end     leave_firmware

// x0: struct Handover, x1: its size with all that it refers to. MMU off, at EL2.
    .global from_firmware
    function from_firmware
    .cfi_undefined x30
    mov     x19, x0
    bl      begin_at_el2
    mov     x0, x19
    bl      boot_from_firmware              // returns the caller's frame
    mov     sp, x0
    b       leave_for_guest
    end     from_firmware

// Loads d8 to d15 from x0 on.
    .global load_d8_to_d15
    function load_d8_to_d15
    .arch_extension fp
    ldp     d8, d9, [x0, #16 * 0]
    ldp     d10, d11, [x0, #16 * 1]
    ldp     d12, d13, [x0, #16 * 2]
    ldp     d14, d15, [x0, #16 * 3]
    .arch_extension nofp
    ret
    end     load_d8_to_d15
