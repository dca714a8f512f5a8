// SPDX-License-Identifier: Apache-2.0
// Entry of the boot CPU (the first byte of the image) and of the others.
//
// Both turn the MMU on before the first line of Rust: without it all memory is Device memory, where
// exclusives need not work. Registers as the machine was entered with them are kept in x9-x13, x21-x28 and
// stored with the MMU on (struct EntryState).

.set GIB_SHIFT, 30

.macro save_entry_state
	mov	x9, x1
	mov	x10, x2
	mov	x11, x3
	mov	x12, sp				// SP_EL1 where SPSel says so
	mrs	x13, cntkctl_el1
	mrs	x21, sctlr_el1
	mrs	x22, tcr_el1
	mrs	x23, mair_el1
	mrs	x24, ttbr0_el1
	mrs	x25, vbar_el1
	mrs	x26, tpidr_el1
	mrs	x27, daif
	mrs	x28, spsel
.endm

// x0: the struct EntryState.
.macro store_entry_state
	str	x21, [x0, #{entry_sctlr_el1}]
	str	x22, [x0, #{entry_tcr_el1}]
	str	x23, [x0, #{entry_mair_el1}]
	str	x24, [x0, #{entry_ttbr0_el1}]
	str	x25, [x0, #{entry_vbar_el1}]
	str	x26, [x0, #{entry_tpidr_el1}]
	str	x27, [x0, #{entry_daif}]
	str	x28, [x0, #{entry_spsel}]
	mrs	x1, currentel
	str	x1, [x0, #{entry_currentel}]
	str	x12, [x0, #{entry_sp_el1}]
	str	x13, [x0, #{entry_cntkctl_el1}]
	str	x9, [x0, #{entry_x1}]
	str	x10, [x0, #{entry_x2}]
	str	x11, [x0, #{entry_x3}]
.endm

.section .text.start, "ax"
// x0: the device tree. The MMU and the caches are off.
.global probe_start
.type probe_start, %function
probe_start:
	save_entry_state
	msr	daifset, #0xf
	msr	spsel, #1
	mov	x20, x0

	// What an earlier generation left in the caches must not be written back over what is
	// written here with the caches off, nor be read instead of it.
	bl	discard_image_lines

	apply_relocations

	adrp	x0, bss_start
	adrp	x1, bss_end
3:	stp	xzr, xzr, [x0], #16
	cmp	x0, x1
	b.lo	3b

	// A first map: blocks of 1 GiB, device memory but for the ones of the image and of the
	// device tree.
	adrp	x0, {first_root}
	add	x0, x0, :lo12:{first_root}
	mov	x1, xzr
	movz	x2, #({device_block} & 0xffff)
	movk	x2, #({device_block} >> 48), lsl #48
4:	orr	x3, x2, x1, lsl #GIB_SHIFT
	str	x3, [x0, x1, lsl #3]
	add	x1, x1, #1
	cmp	x1, #{map_entries}
	b.lo	4b
	adrp	x1, image_start
	bl	map_gibibyte
	cbz	x20, 5f
	mov	x1, x20
	bl	map_gibibyte

5:	bl	discard_image_lines
	adrp	x0, {first_root}
	add	x0, x0, :lo12:{first_root}
	bl	mmu_enable

	adrp	x0, {boot_stack}
	add	x0, x0, :lo12:{boot_stack}
	mov	x1, #{boot_stack_size}
	add	sp, x0, x1
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el1, x0
	msr	tpidr_el1, xzr
	isb
	adrp	x0, {boot_state}
	add	x0, x0, :lo12:{boot_state}
	store_entry_state
	mov	x0, x20
	mov	x29, xzr
	mov	x30, xzr
	b	{probe_main}
.size probe_start, . - probe_start

// x0: context id, the CPU's struct Cpu, which is in x20 then.
.macro enter
	save_entry_state
	msr	daifset, #0xf
	msr	spsel, #1
	mov	x20, x0
	adrp	x0, {root}
	add	x0, x0, :lo12:{root}
	bl	mmu_enable
	msr	tpidr_el1, x20
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el1, x0
	isb
	add	x0, x20, #{cpu_entry_state}
	store_entry_state
.endm

// Where CPU_ON starts a CPU.
.global secondary_start
.type secondary_start, %function
secondary_start:
	enter
	ldr	x0, [x20, #{cpu_stack}]
	mov	sp, x0
	mov	x0, x20
	mov	x29, xzr
	mov	x30, xzr
	b	{secondary_main}
.size secondary_start, . - secondary_start

// Where a CPU comes back that lost its power in a guarded function: that has ended, as by an exception.
.global resume_start
.type resume_start, %function
resume_start:
	enter
	ldr	x0, [x20, #{cpu_guard}]
	str	xzr, [x20, #{cpu_guard}]
	b	guard_landing
.size resume_start, . - resume_start

// Cleans and invalidates the image, end to end, to the point of coherency.
.global discard_image_lines
.type discard_image_lines, %function
discard_image_lines:
	adrp	x0, image_start
	adrp	x1, image_end
	mrs	x2, ctr_el0
	ubfx	x2, x2, #16, #4			// DminLine
	mov	x3, #4
	lsl	x3, x3, x2
1:	dc	civac, x0
	add	x0, x0, x3
	cmp	x0, x1
	b.lo	1b
	dsb	sy
	ret
.size discard_image_lines, . - discard_image_lines

// x0: first map, x1: an address. Makes its GiB normal, executable memory.
.type map_gibibyte, %function
map_gibibyte:
	lsr	x1, x1, #GIB_SHIFT
	mov	x2, #{normal_block}
	orr	x3, x2, x1, lsl #GIB_SHIFT
	str	x3, [x0, x1, lsl #3]
	ret
.size map_gibibyte, . - map_gibibyte

// x0: root of the map. Switches to it with the MMU off in between, as a change of live blocks needs.
.global mmu_enable
.type mmu_enable, %function
mmu_enable:
	dsb	ish
	mrs	x2, sctlr_el1
	bic	x2, x2, #1
	msr	sctlr_el1, x2
	isb
	msr	ttbr0_el1, x0
	mov	x1, #0x04ff			// 0: normal write-back, 1: device nGnRE
	msr	mair_el1, x1
	movz	x1, #0x3519			// T0SZ 25, IRGN0, ORGN0 write-back, SH0 inner
	movk	x1, #0x0080, lsl #16		// EPD1
	mrs	x2, id_aa64mmfr0_el1
	and	x2, x2, #0xf
	cmp	x2, #5
	mov	x3, #5
	csel	x2, x2, x3, lo
	orr	x1, x1, x2, lsl #32		// IPS
	msr	tcr_el1, x1
	tlbi	vmalle1
	ic	iallu
	dsb	nsh
	isb
	movz	x1, #0x1805			// M, C, I, RES1
	movk	x1, #0x30d0, lsl #16		// RES1
	msr	sctlr_el1, x1
	isb
	ret
.size mmu_enable, . - mmu_enable
