// SPDX-License-Identifier: Apache-2.0
// What linker/baton.ld leaves to the image itself.

// Applies the image's own relocations, for where it is. Clobbers x0–x5.
.macro apply_relocations
    adrp    x0, __rela_start
    add     x0, x0, :lo12:__rela_start
    adrp    x1, __rela_end
    add     x1, x1, :lo12:__rela_end
    adrp    x2, __image_start
8:  cmp     x0, x1
    b.hs    9f
    ldp     x3, x4, [x0], #16               // r_offset, r_info
    ldr     x5, [x0], #8                    // r_addend
    cmp     w4, #1027                       // R_AARCH64_RELATIVE
    b.ne    8b
    add     x5, x5, x2
    str     x5, [x2, x3]
    b       8b
9:
.endm
