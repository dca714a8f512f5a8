// SPDX-License-Identifier: Apache-2.0
// Where firmware enters the application. No loader of an arm64 Image does.

    .section .text.efi, "ax"
// EFI_IMAGE_ENTRY_POINT (UEFI 2.10, 4.1). x0: image handle, x1: system table.
    .global efi_entry
efi_entry:
    stp     x29, x30, [sp, #-32]!
    stp     x0, x1, [sp, #16]
    apply_relocations
    ldp     x0, x1, [sp, #16]
    bl      efi_main
    ldp     x29, x30, [sp], #32
    ret

loaded:
    wfe
    b       loaded
