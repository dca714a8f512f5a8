// SPDX-License-Identifier: Apache-2.0
// Where UEFI firmware enters the image, and how the image goes on without it.

.section .text.efi, "ax"
// Where a loader of an arm64 Image enters it, by its header.
.type loaded, %function
loaded:
	b	probe_start
.size loaded, . - loaded

// EFI_IMAGE_ENTRY_POINT (UEFI 2.10, 4.1). x0: image handle, x1: system table.
.global efi_entry
.type efi_entry, %function
efi_entry:
	stp	x29, x30, [sp, #-32]!
	stp	x0, x1, [sp, #16]
	apply_relocations
	ldp	x0, x1, [sp, #16]
	bl	{leave_firmware}
	mov	x20, x0				// the device tree
	mrs	x1, currentel
	cmp	x1, #(1 << 2)
	b.ne	2f
	// Firmware's map goes: nothing may be in a cache alone.
	bl	discard_image_lines
	mrs	x1, sctlr_el1
	bic	x1, x1, #(1 << 0)		// M
	bic	x1, x1, #(1 << 2)		// C
	msr	sctlr_el1, x1
	isb
	mov	x0, x20
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	b	probe_start
2:	wfi					// EL2 is firmware's still: there is no monitor
	b	2b
.size efi_entry, . - efi_entry
