// SPDX-License-Identifier: Apache-2.0
// EL1 vectors: every exception saves a struct Frame and goes to `exception`.

// Bytes that the architecture gives a vector (Arm ARM, "Exception vectors").
.set VECTOR_SLOT, 0x80
.set VECTORS, 16

.macro store_pair first, second
	stp	x\first, x\second, [sp, #{frame_x} + 8 * \first]
.endm

.macro load_pair first, second
	ldp	x\first, x\second, [sp, #{frame_x} + 8 * \first]
.endm

// A vector that runs over its slot makes the next `.org` go back, which is an error.
.macro vector kind
	.org	vectors + \kind * VECTOR_SLOT
	sub	sp, sp, #{frame_size}
	store_pair 0, 1
	mov	x1, #\kind
	b	vector_common
.endm

.section .text.vectors, "ax"
.balign VECTORS * VECTOR_SLOT
.global vectors
.type vectors, %function
vectors:
	.set	vector_kind, 0
	.rept	VECTORS
	vector	vector_kind
	.set	vector_kind, vector_kind + 1
	.endr
	.org	vectors + VECTORS * VECTOR_SLOT
.size vectors, . - vectors

// The rest of all vectors. sp: the Frame, with x0 and x1 in it; x1: the vector's index.
.type vector_common, %function
vector_common:
	store_pair 2, 3
	store_pair 4, 5
	store_pair 6, 7
	store_pair 8, 9
	store_pair 10, 11
	store_pair 12, 13
	store_pair 14, 15
	store_pair 16, 17
	store_pair 18, 19
	store_pair 20, 21
	store_pair 22, 23
	store_pair 24, 25
	store_pair 26, 27
	store_pair 28, 29
	str	x30, [sp, #{frame_x} + 8 * 30]
	mrs	x2, elr_el1
	str	x2, [sp, #{frame_elr}]
	mrs	x2, spsr_el1
	str	x2, [sp, #{frame_spsr}]
	mrs	x2, esr_el1
	str	x2, [sp, #{frame_esr}]
	mrs	x2, far_el1
	str	x2, [sp, #{frame_far}]
	mov	x0, sp
	bl	{exception}
	ldr	x2, [sp, #{frame_elr}]
	msr	elr_el1, x2
	ldr	x2, [sp, #{frame_spsr}]
	msr	spsr_el1, x2
	load_pair 2, 3
	load_pair 4, 5
	load_pair 6, 7
	load_pair 8, 9
	load_pair 10, 11
	load_pair 12, 13
	load_pair 14, 15
	load_pair 16, 17
	load_pair 18, 19
	load_pair 20, 21
	load_pair 22, 23
	load_pair 24, 25
	load_pair 26, 27
	load_pair 28, 29
	ldr	x30, [sp, #{frame_x} + 8 * 30]
	load_pair 0, 1
	add	sp, sp, #{frame_size}
	eret
.size vector_common, . - vector_common

// Runs a function that an exception may end.
// x0: the function, x1: its argument, x2: where the CPU keeps its guard, the stack pointer to go back to.
// Returns 0 in x0, or 1 after an exception has ended the function (guard_landing).
.global guard_call
.type guard_call, %function
guard_call:
	stp	x29, x30, [sp, #-{saved_size}]!
	stp	x19, x20, [sp, #{saved_x19} + 8 * 0]
	stp	x21, x22, [sp, #{saved_x19} + 8 * 2]
	stp	x23, x24, [sp, #{saved_x19} + 8 * 4]
	stp	x25, x26, [sp, #{saved_x19} + 8 * 6]
	stp	x27, x28, [sp, #{saved_x19} + 8 * 8]
	str	x2, [sp, #{saved_guard}]
	mov	x9, sp
	str	x9, [x2]
	mov	x9, x0
	mov	x0, x1
	blr	x9
	ldr	x2, [sp, #{saved_guard}]
	str	xzr, [x2]
	mov	x0, xzr
	b	.Lguard_return
.size guard_call, . - guard_call

// Where an exception in a guarded function returns to. x0: the guard.
.global guard_landing
.type guard_landing, %function
guard_landing:
	mov	sp, x0
	mov	x0, #1
.Lguard_return:
	ldp	x19, x20, [sp, #{saved_x19} + 8 * 0]
	ldp	x21, x22, [sp, #{saved_x19} + 8 * 2]
	ldp	x23, x24, [sp, #{saved_x19} + 8 * 4]
	ldp	x25, x26, [sp, #{saved_x19} + 8 * 6]
	ldp	x27, x28, [sp, #{saved_x19} + 8 * 8]
	ldp	x29, x30, [sp], #{saved_size}
	ret
.size guard_landing, . - guard_landing
