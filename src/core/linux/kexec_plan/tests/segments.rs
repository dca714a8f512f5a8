// SPDX-License-Identifier: Apache-2.0
//! Plans of a `kimage`, with its segments.

use super::*;
use std::collections::HashSet;

/// Writes a `kimage` whose list puts `file` pages into each segment; the first words of each source
/// come from the segment.
struct Loaded {
    segments: Vec<(Segment, [(u64, u64); 2])>,
    in_place: Vec<usize>,
    start: u64,
}

const IMAGE: [(u64, u64); 2] = [(56, 0x644d_5241), (0, 0xfa40_5a4d)];
const FDT: [(u64, u64); 2] = [(0, 0xedfe_0dd0), (8, 0)];
const DATA: [(u64, u64); 2] = [(0, 1), (8, 2)];

impl Loaded {
    const KIMAGE: u64 = 0xef00_0500;

    fn write(&self, ram: &Ram) -> Kimage {
        let mut entries = Vec::new();
        let mut source = 0xb000_0000;
        ram.write(Self::KIMAGE, LISTS | I);
        ram.write(Self::KIMAGE + 0x18, self.start);
        ram.write(Self::KIMAGE + 0x38, self.segments.len() as u64);
        for (number, (segment, words)) in self.segments.iter().enumerate() {
            let field = Self::KIMAGE + 0x40 + 0x20 * number as u64;
            ram.write(field + 8, segment.file_size);
            ram.write(field + 16, segment.start);
            ram.write(field + 24, segment.size);
            let in_place = self.in_place.contains(&number);
            let first = if in_place { segment.start } else { source };
            words
                .iter()
                .for_each(|(offset, value)| ram.write(first + offset, *value));
            if !in_place {
                entries.push(segment.start | D);
                for _ in 0..segment.size / 0x1000 {
                    entries.push(source | S);
                    source += 0x1000;
                }
            }
        }
        entries.push(DONE);
        write_list(ram, 0x1000, &entries);
        Kimage::read(ram, Self::KIMAGE).unwrap()
    }

    fn plan(&self, ram: &Ram) -> Result<Box<Plan>, PlanError> {
        check_kimage(ram, &self.write(ram))
    }
}

fn check_kimage(ram: &Ram, kimage: &Kimage) -> Result<Box<Plan>, PlanError> {
    check(ram, PageSize::Size4K, ALL_RAM, Request::Kimage(kimage))
}

fn segment(start: u64, file_size: u64, size: u64) -> Segment {
    Segment {
        file_size,
        start,
        size,
    }
}

const KERNEL: u64 = 0x4020_0000;
const INITRD: u64 = 0x4800_0000;
const DTB: u64 = 0x4900_0000;
const PURGATORY: u64 = 0x4901_0000;

/// Returns the segments that kexec-tools loads.
fn loaded() -> Loaded {
    Loaded {
        segments: vec![
            (segment(KERNEL, 0x3800, 0x6000), IMAGE),
            (segment(INITRD, 0x1234, 0x2000), DATA),
            (segment(DTB, 0x800, 0x1000), FDT),
            (segment(PURGATORY, 0x3000, 0x4000), DATA),
        ],
        in_place: vec![],
        start: PURGATORY,
    }
}

#[test]
fn skips_the_purgatory_and_zeroes_behind_the_kernel() {
    let ram = Ram::new();
    let plan = loaded().plan(&ram).unwrap();
    assert_eq!(
        plan.next_kernel(),
        NextKernel {
            entry: KERNEL,
            x0: DTB
        }
    );
    assert_eq!(plan.pages(), 6 + 2 + 1 + 4);
    let ops = all_ops(&plan, &ram, 3);
    let sizes: Vec<_> = ops
        .iter()
        .map(|op| (op.destination, op.copied, op.zeroed))
        .collect();
    assert_eq!(
        sizes[2..6],
        [
            (KERNEL + 0x2000, 0x1000, 0),
            (KERNEL + 0x3000, 0x800, 0x800),
            (KERNEL + 0x4000, 0, 0x1000),
            (KERNEL + 0x5000, 0, 0x1000)
        ]
    );
    assert!(
        sizes[6..].iter().all(|size| size.1 == 0x1000),
        "only the kernel has zeroes behind it: {sizes:x?}"
    );
}

#[test]
fn leaves_the_choice_to_a_purgatory_when_in_doubt() {
    for (change, what) in [
        ((1, IMAGE), "two kernels"),
        ((1, FDT), "two trees"),
        ((0, DATA), "no kernel"),
        ((2, DATA), "no tree"),
    ] {
        let ram = Ram::new();
        let mut loaded = loaded();
        loaded.segments[change.0].1 = change.1;
        let plan = loaded.plan(&ram).unwrap();
        assert_eq!(
            plan.next_kernel(),
            NextKernel {
                entry: PURGATORY,
                x0: 0
            },
            "{what}"
        );
    }
}

#[test]
fn refuses_a_kernel_that_would_have_no_tree() {
    for other in [DATA, FDT] {
        let mut loaded = loaded();
        loaded.start = KERNEL;
        loaded.segments[2].1 = other;
        loaded.segments[1].1 = other;
        assert_eq!(
            loaded.plan(&Ram::new()).unwrap_err(),
            PlanError::NoDeviceTree(KERNEL)
        );
    }
    let mut loaded = loaded();
    loaded.start = KERNEL;
    assert_eq!(
        loaded.plan(&Ram::new()).unwrap().next_kernel(),
        NextKernel {
            entry: KERNEL,
            x0: DTB
        }
    );
}

#[test]
fn cleans_segments_that_are_in_place() {
    for in_place in [vec![0], vec![1, 2], vec![0, 1, 2, 3]] {
        let ram = Ram::new();
        let loaded = Loaded {
            in_place,
            ..loaded()
        };
        let plan = loaded.plan(&ram).unwrap();
        assert_eq!(plan.pages(), 13);
        assert_eq!(
            plan.next_kernel(),
            NextKernel {
                entry: KERNEL,
                x0: DTB
            },
            "{:?} in place",
            loaded.in_place
        );
        for of in [1, 2, 5, 13, 20] {
            let ops = all_ops(&plan, &ram, of);
            let seen: HashSet<u64> = ops.iter().map(|op| op.destination).collect();
            assert_eq!(seen.len(), 13);
            for op in ops {
                let number = loaded.segments.iter().position(|(segment, _)| {
                    (segment.start..segment.start + segment.size).contains(&op.destination)
                });
                assert_eq!(
                    op.is_in_place(),
                    loaded.in_place.contains(&number.unwrap()),
                    "{op:x?}"
                );
                assert!(!op.is_in_place() || op.copied == 0x1000, "{op:x?}");
            }
        }
    }
}

#[test]
fn takes_a_kimage_without_a_list() {
    let ram = Ram::new();
    let loaded = Loaded {
        in_place: vec![0, 1, 2, 3],
        ..loaded()
    };
    loaded.write(&ram);
    ram.write(Loaded::KIMAGE, DONE);
    let kimage = Kimage::read(&ram, Loaded::KIMAGE).unwrap();
    let plan = check_kimage(&ram, &kimage).unwrap();
    assert_eq!(plan.pages(), 13);
    assert_eq!(all_ops(&plan, &ram, 4).len(), 13);
    for head in [0x5000_0000 | D, 0x5000_0000 | S] {
        ram.write(Loaded::KIMAGE, head);
        let kimage = Kimage::read(&ram, Loaded::KIMAGE).unwrap();
        let error = check_kimage(&ram, &kimage).unwrap_err();
        assert!(
            matches!(
                error,
                PlanError::List(ListError {
                    fault: Fault::Head,
                    ..
                })
            ),
            "{error}"
        );
    }
}

#[test]
fn refuses_wrong_segments() {
    let with = |number: usize, wrong: Segment| {
        let ram = Ram::new();
        let loaded = loaded();
        loaded.write(&ram);
        let field = Loaded::KIMAGE + 0x40 + 0x20 * number as u64;
        ram.write(field + 16, wrong.start);
        ram.write(field + 24, wrong.size);
        let kimage = Kimage::read(&ram, Loaded::KIMAGE).unwrap();
        check_kimage(&ram, &kimage).unwrap_err()
    };
    let (start, size) = (KERNEL + 8, 0x6000);
    assert_eq!(
        with(0, segment(start, 0, size)),
        PlanError::Segment(SegmentError::Unaligned {
            number: 0,
            start,
            size
        })
    );
    for (start, size) in [
        (Ram::MONITOR, 0x1000),
        (0, 0x1000),
        (Ram::MONITOR - 0x1000, 0x2000),
        (INITRD, !0xfff),
    ] {
        assert_eq!(
            with(1, segment(start, 0, size)),
            PlanError::Segment(SegmentError::Outside {
                number: 1,
                start,
                size
            })
        );
    }
    assert_eq!(
        with(2, segment(INITRD + 0x1000, 0, 0x1000)),
        PlanError::Segment(SegmentError::Overlap {
            number: 2,
            other: 1
        })
    );
    assert_eq!(
        with(1, segment(INITRD, 0, 0x3000)),
        PlanError::Segment(SegmentError::Partial {
            number: 1,
            expected: 3,
            listed: 2
        })
    );
    let error = with(1, segment(INITRD, 0, 0x1000));
    assert!(
        matches!(
            error,
            PlanError::List(ListError {
                fault: Fault::OutsideSegments,
                ..
            })
        ),
        "{error}"
    );
}
