// SPDX-License-Identifier: Apache-2.0
//! Writes the inputs that fuzzing begins with: `seeds DIRECTORY`.

use baton_abi::{IND_DONE, IND_SOURCE};
use baton_fuzz::trees::Sample;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::args().nth(1).expect("usage: seeds DIRECTORY");
    for (target, name, bytes) in seeds() {
        let directory = Path::new(&root).join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut small = Sample::empty();
    small.set("/chosen", "bootargs", "log=debug");
    vec![
        ("tree", "virt", Sample::virt().blob()),
        ("tree", "small", small.blob()),
        // The sound tree, and one with changes each: see `trees::change`.
        ("board", "whole", Vec::new()),
        ("board", "cpu", vec![6, 11, 0, 1, 1, 3]),
        (
            "board",
            "gic",
            vec![5, 14, 0, 4, 1, 27, 1, 16, 1, 28, 1, 20],
        ),
        ("board", "memory", vec![5, 5, 0, 2, 1, 31, 1, 30]),
        (
            "board",
            "spin-table",
            vec![3, 12, 10, 6, 5, 12, 11, 1, 1, 30],
        ),
        ("modules", "whole", Vec::new()),
        ("modules", "empty", vec![5, 2, 0, 2, 1, 30, 0, 0]),
        // The monitor's memory at the end of RAM, and in the middle of it.
        ("guest_tree", "end", vec![0, 0xe0, 0x3f, 0x20, 0, 0]),
        (
            "guest_tree",
            "middle",
            vec![0, 0, 0x20, 0x20, 0, 3, b'a', b'b', b'c'],
        ),
        (
            "guest_tree",
            "two-banks",
            vec![
                0, 0, 0x20, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5, 0, 4, 1, 30, 1, 30, 1,
                29, 1, 20,
            ],
        ),
        ("image", "efi", image([0xfa40_5a4d, 0x1400_0100], 0xa)),
        ("image", "plain", image([0x1400_0010, 0], 0x2)),
        ("image", "gzip", b"\x1f\x8b\x08".to_vec()),
        // The small kernel of each layout; one with a word changed; bytes that are no kernel.
        ("kallsyms", "offsets-first", vec![0]),
        ("kallsyms", "offsets-last", vec![1]),
        ("kallsyms", "place-relative", vec![2]),
        ("kallsyms", "changed", vec![1, 2, 6, 4, 0, 1, 0]),
        (
            "kallsyms",
            "raw",
            b"\x030\x001\x002\x003\x004\x005\x006\x007\x008\x009\0".to_vec(),
        ),
        // A KEXEC call with two pages, and a kimage with a segment of four.
        (
            "kimage",
            "call",
            vec![0x10, 3, 40, 41, 4, 60, 0, 20, 0, 22, 7],
        ),
        (
            "kimage",
            "segment",
            vec![0, 7, 60, 41, 11, 0, 60, 4, 8, 9, 20, 1, 4, 60, 8, 20, 4, 7],
        ),
        ("kimage", "loop", vec![0x10, 1, 40, 41, 14]),
        // Notes of three CPUs, VMCOREINFO and RAM; one on a segment; one that wraps around; a purgatory
        // that is sound, one with a changed entry, and one that shall not look.
        (
            "core_header",
            "dump",
            vec![
                0, 0, 0, 40, 8, 0, 41, 8, 1, 42, 16, 4, 60, 0, 16, 0x44, 8, 0, 0x70,
            ],
        ),
        (
            "core_header",
            "on-segment",
            vec![1, 40, 4, 0, 16, 0, 0, 0, 0, 40, 8],
        ),
        ("core_header", "wraps", vec![0, 0, 0, 40, 8, 6, 60, 3, 3]),
        ("purgatory", "sound", vec![3, 40, 16, 60, 4, 70, 1, 0x40, 2]),
        (
            "purgatory",
            "damaged",
            vec![3, 40, 16, 60, 4, 70, 1, 0x40, 2, 2, 2, 1, 20],
        ),
        (
            "purgatory",
            "unchecked",
            vec![1, 40, 16, 0, 0, 2, 0, 0, 0, 2, 1, 0, 0, 2, 36, 0, 1],
        ),
        // Sound tables with ranges of redistributors, with one for each CPU, of a GICv2, without PSCI;
        // by the RSDT; with a CPU that is not there, one that can be brought in, a broken checksum, and
        // an entry more.
        ("acpi", "ranges", vec![0]),
        ("acpi", "single", vec![2]),
        ("acpi", "gicv2", vec![4]),
        ("acpi", "parked", vec![6]),
        ("acpi", "rsdt", vec![16]),
        ("acpi", "absent", vec![0, 1, 56, 0, 0]),
        ("acpi", "capable", vec![0, 1, 56, 0, 8]),
        ("acpi", "checksum", vec![0, 0x21, 56, 0, 8]),
        ("acpi", "its", {
            let its = [
                0x0f, 20, 0, 0, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ];
            [&[0, 0x0d, 0, 0, 20][..], &its].concat()
        }),
        (
            "acpi",
            "bytes",
            vec![1, 0, 0, 0, 0, 0, 0, b'A', b'P', b'I', b'C'],
        ),
        // Memory, tables and the monitor beside each other; one in another; one that wraps around.
        (
            "memory_map",
            "beside",
            vec![
                0, 0, 0, 0xe0, 0x7f, 32, 0, 7, 0, 0x40, 0xff, 0, 9, 0, 0x50, 16, 0,
            ],
        ),
        (
            "memory_map",
            "within",
            vec![
                0, 1, 7, 0, 0x40, 0xff, 0, 0, 2, 0x40, 4, 0, 0x47, 1, 0x40, 4, 0,
            ],
        ),
        ("memory_map", "wraps", vec![0, 0, 0x87, 3, 12, 1, 4, 0]),
        // UEFI's tables at physical and at virtual addresses; more tables than there are; other ones.
        ("system_table", "flat", vec![0]),
        ("system_table", "mapped", vec![1]),
        ("system_table", "count", vec![1, 1, 104, 0, 4]),
        ("system_table", "elsewhere", vec![0, 9, 112, 0, 4, 0, 0, 1]),
        ("system_table", "cut-off", vec![0, 18, 30, 0]),
        // One part; a chain of three; a circle; a part that is too short.
        ("memory_reserve", "one", vec![2, 0, 1, 1, 31, 1, 16, 0]),
        (
            "memory_reserve",
            "chain",
            vec![1, 2, 0, 0, 2, 3, 1, 1, 20, 1, 12, 0, 4, 0, 0],
        ),
        ("memory_reserve", "circle", vec![1, 2, 0, 0, 1, 1, 0, 0]),
        (
            "memory_reserve",
            "cut-off",
            vec![4, 0, 2, 1, 31, 1, 16, 1, 30, 1, 12, 3, 20],
        ),
        // A machine of ACPI and one of a tree; without a word; with a change in the tree, and in a table.
        ("description", "acpi", vec![0, 0]),
        ("description", "tree", vec![1, 1]),
        ("description", "version", vec![2, 4, 1, 2, 0, 0, 0, 0]),
        ("description", "no-size", vec![3, 2, 3]),
        ("description", "cpu", vec![9, 6, 6, 11, 0, 1, 1, 3, 0]),
        ("description", "map", vec![0, 0, 8, 12, 0, 4, 0, 0, 0, 0]),
        (
            "efi_config",
            "file",
            b"\x30log=debug wait=9 # x\r\nnext=/EFI/a.efi quiet a=b\nx=y".to_vec(),
        ),
        (
            "efi_config",
            "load-options",
            [&[0][..], &utf16("BATON.EFI a=b next=\\b.efi c")].concat(),
        ),
        // 4 KiB pages and 39 bits: three levels; 64 KiB and 48 bits; a circle.
        (
            "efi_tables",
            "three-levels",
            vec![
                0, 1, 0, 0, 0, 1, 3, 2, 2, 0x40, 0, 2, 3, 0, 4, 0x60, 0, 5, 0x41, 1, 4, 0, 0x20, 9,
                3,
            ],
        ),
        (
            "efi_tables",
            "large",
            vec![4, 16, 0x40, 0, 0, 0, 63, 0, 0x40, 0, 3, 0x41],
        ),
        (
            "efi_tables",
            "circle",
            vec![4, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
        ),
        // A value; memory by address; a list of two pages.
        ("tee", "value", vec![1, 1, 3, 0, 0, 8, 0, 0, 0]),
        ("tee", "memory", vec![1, 1, 9, 0, 0, 20, 8, 0, 0]),
        (
            "tee",
            "list",
            vec![
                1, 4, 10, 2, 8, 30, 0, 16, 0, 2, 0, 0, 30, 40, 0, 1, 30, 41, 0,
            ],
        ),
        ("psci", "cpu-on", vec![5, 3, 0, 1, 1, 1, 30, 0, 7]),
        ("psci", "suspend", vec![1, 1, 1, 1, 16]),
        ("psci", "reset2", vec![5, 0x12, 0, 0]),
        (
            "psci",
            "any",
            [&[2][..], &(IND_DONE | IND_SOURCE).to_le_bytes()].concat(),
        ),
        // LPIs, and an ITS, as Linux sets them up; a table of virtual LPIs.
        (
            "gic_tables",
            "lpis",
            vec![
                0, 0, 15, 0x21, 16, 15, 0, 0, 0, 0x22, 24, 0, 0, 0, 0, 0x20, 1, 0,
            ],
        ),
        (
            "gic_tables",
            "its",
            vec![
                0, 0, 15, 0x26, 32, 0, 0, 0x80, 0, 0x27, 0, 40, 0, 2, 0x80, 0, 0x25, 1, 0x25, 0, 1,
            ],
        ),
        (
            "gic_tables",
            "virtual",
            vec![0, 0, 15, 0x23, 16, 0, 0, 0x80, 0],
        ),
        // 4 KiB pages and 39 bits; 64 KiB and 48, with a root of 64 entries; 16 KiB and 47.
        (
            "guest_walk",
            "three-levels",
            vec![
                0x41, 25, 0, 0, 0, 0, 0x20, 0, 0xc0, 0xff, 0xff, 0xff, 16, 0, 0, 0, 0, 0, 17, 3, 0,
                18, 3, 0, 19, 3, 0,
            ],
        ),
        (
            "guest_walk",
            "small-root",
            vec![
                0x48, 16, 0, 0, 0, 0, 0, 0x60, 0, 4, 0, 0, 16, 0, 6, 1, 0, 0, 17, 3, 0, 18, 3, 0,
                19, 3, 0,
            ],
        ),
        (
            "guest_walk",
            "sixteen",
            vec![
                0x50, 17, 0, 0, 0, 0, 0, 0x12, 0x20, 0, 0, 0, 16, 0, 0, 0, 0, 0, 20, 3, 0, 24, 3,
                0, 28, 3, 0,
            ],
        ),
        // A driver sets an SMMU up, with a table of one level, and of two whose base comes in halves; queues outside
        // its memory, and one with more commands than places.
        (
            "smmu",
            "one-level",
            smmu(&[
                ([0x9, 1 << 44], 0x4002_0040, (0x80, 8), 0x4002_0000),
                ([0x4004_000b, 0x54], 0x4002_0080, (0x88, 4), 8),
                ([0x4, 31], 0x4000_c000, (0x90, 8), 0x4000_c00a),
                ([0x46, 0], 0x4000_c010, (0x20, 4), 0x8),
                ([1 << 32 | 0x3, 1], 0x4000_c020, (0x98, 4), 3),
                (
                    [5 << 48 | 0x12, 0x1001],
                    0x4000_c030,
                    (0xa0, 8),
                    0x4001_0005,
                ),
                ([0x2046, 0], 0x4000_c040, (0x50, 4), 5),
                ([0x44, 1], 0x4000_c050, (0x20, 4), 0xd),
                ([0xff, 0], 0x4000_c060, (0x98, 4), 7),
                ([0; 2], 0, (0x64, 4), 1),
                ([0; 2], 0, (0x20, 4), 0),
            ]),
        ),
        (
            "smmu",
            "two-levels",
            smmu(&[
                ([0x4003_0009, 0x4003_8003], 0x4002_0000, (0x84, 4), 0),
                ([0x9, 1 << 44], 0x4003_0040, (0x80, 4), 0x4002_0000),
                ([0x4004_000b, 0x54], 0x4003_8040, (0x88, 4), 0x1_0210),
                ([0x30, 0], 0x4000_c000, (0x94, 4), 0),
                ([0x46, 0], 0x4000_c010, (0x90, 4), 0x4000_c004),
                ([0x10, 0], 0x4000_c020, (0x20, 4), 0x9),
                ([0; 2], 0, (0x98, 4), 3),
            ]),
        ),
        (
            "smmu",
            "commands-outside",
            smmu(&[
                ([0; 2], 0, (0x90, 8), 0x4007_800a),
                ([0; 2], 0, (0x20, 4), 0x8),
            ]),
        ),
        (
            "smmu",
            "events-outside",
            smmu(&[
                ([0; 2], 0, (0xa0, 8), 0x4007_8005),
                ([0; 2], 0, (0x20, 4), 0x4),
            ]),
        ),
        (
            "smmu",
            "too-many-commands",
            smmu(&[
                ([0; 2], 0, (0x90, 8), 0x4000_c002),
                ([0; 2], 0, (0x98, 4), 5),
                ([0; 2], 0, (0x20, 4), 0x8),
            ]),
        ),
        (
            "options",
            "all",
            b"hooks=off log=debug skip-steps=pmu teardown=serial wait=20 park=9".to_vec(),
        ),
        (
            "options",
            "bad",
            b"quiet hooks=maybe wait=-1 lpis=keep report=rows".to_vec(),
        ),
    ]
}

/// Returns a text in UCS-2.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Returns an input of `smmu`, for QEMU's: each step is a command that is an entry too, where it is written, a store to
/// a register, by offset and size, and its value. Then the entry of stream 1 is read.
fn smmu(steps: &[([u64; 2], u64, (u8, u8), u64)]) -> Vec<u8> {
    const CR0: u8 = 0x20;
    let idr1 = 0x0273_0010_u32.to_le_bytes();
    let mut input = [&[4, 0], &idr1[..]].concat();
    for &([first, second], at, (offset, size), value) in steps {
        let word = |word: u64| [&[2], &word.to_le_bytes()[..]].concat();
        input.extend([word(first), word(second), word(at)].concat());
        input.extend([offset / 4, size.ilog2() as u8]);
        input.extend(word(value));
        if offset == CR0 {
            // CMDQ_CONS as it is.
            input.extend([0, 0]);
        }
        input.extend(1_u32.to_le_bytes());
    }
    input
}

/// Returns the header of an Image.
fn image(code: [u32; 2], flags: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    for field in [0x8_0000, 0x200_0000, flags] {
        header.extend(u64::to_le_bytes(field));
    }
    header.resize(56, 0);
    header.extend(b"ARM\x64");
    header.resize(64, 0);
    header
}
