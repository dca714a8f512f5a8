// SPDX-License-Identifier: Apache-2.0
// The file's two headers in one: an arm64 Image (Documentation/arch/arm64/booting.rst) is a PE32+ image
// (Microsoft, "PE Format") too, where its first instruction begins with the letters MZ.

.equ SUBSYSTEM_EFI_APPLICATION, 10
.equ SECTION_ALIGN, 4096
.equ FILE_ALIGN, 512
.equ TEXT, 0x60000020                       // code, execute, read
.equ RODATA, 0x40000040                     // initialized data, read
.equ DATA, 0xc0000040                       // initialized data, read, write

// Addresses in memory and offsets in the file are the same. The linker script has the numbers pe_….
.macro section_header name, start, size, file_size, flags
9:  .ascii  "\name"
    .org    9b + 8
    .long   \size                           // VirtualSize
    .long   \start                          // VirtualAddress
    .long   \file_size                      // SizeOfRawData
    .long   \start                          // PointerToRawData
    .long   0, 0, 0                         // no relocations, no line numbers
    .long   \flags
.endm

    .section .head, "ax"
    .global head
head:
    .inst   0xfa405a4d                      // code0: "MZ", ccmp x18, #0, #0xd, pl
    b       loaded                          // code1
    .quad   0                               // text_offset
    .quad   __image_size                    // image_size
    .quad   0xa                             // flags: little-endian, 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   pe - head
    .global APPENDED
APPENDED:                                   // a guest kernel behind the image (append.sh writes it)
    .quad   0                               // its distance from the header, 0: there is none
    .quad   0                               // its size

    .balign 8
pe: .ascii  "PE\0\0"
    .short  0xaa64                          // Machine: ARM64
    .short  (sections_end - sections) / 40
    .long   0, 0, 0                         // no time, no symbols
    .short  sections - optional
    .short  0x226                           // executable, no line numbers, large addresses, no debug
optional:
    .short  0x20b                           // PE32+
    .byte   0, 0
    .long   pe_text_size                    // SizeOfCode
    .long   pe_data_file_size               // SizeOfInitializedData
    .long   0                               // SizeOfUninitializedData
    .long   pe_entry                        // AddressOfEntryPoint
    .long   pe_text                         // BaseOfCode
    .quad   0                               // ImageBase
    .long   SECTION_ALIGN
    .long   FILE_ALIGN
    .short  0, 0, 0, 0, 0, 0                // versions: system, image, subsystem
    .long   0
    .long   __image_size                    // SizeOfImage
    .long   pe_text                         // SizeOfHeaders
    .long   0                               // CheckSum
    .short  SUBSYSTEM_EFI_APPLICATION
    .short  0x100                           // NX_COMPAT: no section is both written and executed
    .quad   0, 0, 0, 0                      // sizes of stack and heap
    .long   0
    .long   (sections - directories) / 8
directories:
    .quad   0, 0, 0, 0                      // export, import, resource, exception
    .quad   0                               // certificates: where sbsign puts a signature
    .quad   0                               // base relocations: the image applies its own
sections:
    section_header .text, pe_text, pe_text_size, pe_text_size, TEXT
    section_header .rodata, pe_rodata, pe_rodata_size, pe_rodata_size, RODATA
    section_header .sbat, pe_sbat, pe_sbat_size, pe_sbat_file_size, RODATA
    section_header .data, pe_data, pe_data_size, pe_data_file_size, DATA
sections_end:
