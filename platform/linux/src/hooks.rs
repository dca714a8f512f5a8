// SPDX-License-Identifier: Apache-2.0
//! Whether the two calls of `kernel_kexec()` are patched, so that the next kexec is Baton's.
//!
//! The log says it, where Linux shows that as it is now (ACPI's table). Else the kernel's memory does, as
//! root can read it in `/proc/kcore`.

use crate::evidence::Evidence;
use crate::root::Root;
use baton_abi::hooks::{HOOK1, HOOK2, hvc};
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The function that has them, and the most bytes of it that are looked at.
const FUNCTION: &str = "kernel_kexec";
const FUNCTION_MAX: u64 = 4096;
/// ELF64: bytes of the file's header and of a program header, and fields in them (gABI, chapters 4 and 5).
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PHOFF: usize = 32;
const PHNUM: usize = 56;
const PT_LOAD: u32 = 1;

/// What is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// They are in place.
    InPlace,
    /// They are not, for this reason.
    None(String),
    /// It cannot be seen from here, for this reason.
    Unknown(&'static str),
}

impl Display for Hooks {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::InPlace => f.write_str("in place: the next kexec is Baton's"),
            Self::None(why) => write!(f, "none, kexec takes the kernel's own path: {why}"),
            Self::Unknown(why) => write!(f, "not known: {why}"),
        }
    }
}

impl Hooks {
    /// Looks for them in the system that `evidence` is of.
    pub fn find(root: &Root, evidence: &Evidence) -> Self {
        let words = |line: &str| {
            let rest = line.strip_prefix("hooks: ")?.to_owned();
            Some(rest)
        };
        // The log in a device tree was written before this kernel began.
        let told = evidence
            .is_live()
            .then(|| evidence.log.lines().rev().find_map(words));
        match told.flatten() {
            Some(line) if line.starts_with("kernel at ") => Self::InPlace,
            Some(line) => {
                let why = line.split_once(": ").map_or(line.as_str(), |(_, why)| why);
                Self::None(why.to_owned())
            }
            None => match in_memory(root) {
                Ok(true) => Self::InPlace,
                Ok(false) => Self::None("Baton's log on the console says why".into()),
                Err(why) => Self::Unknown(why),
            },
        }
    }
}

/// Returns whether the kernel's memory has both calls.
fn in_memory(root: &Root) -> Result<bool, &'static str> {
    let symbols = root
        .text("/proc/kallsyms")
        .ok_or("there is no /proc/kallsyms")?;
    let (start, end) = function(&symbols).ok_or("/proc/kallsyms shows no address to this user")?;
    let file = File::open(root.path("/proc/kcore")).map_err(|_| "/proc/kcore cannot be read")?;
    let code = read(&file, start, end - start).ok_or("/proc/kcore does not have the kernel")?;
    let has = |word: u32| {
        code.chunks_exact(4)
            .any(|bytes| bytes == word.to_le_bytes())
    };
    Ok(has(hvc(HOOK1)) && has(hvc(HOOK2)))
}

/// Returns where the function begins and ends: at the next symbol.
fn function(symbols: &str) -> Option<(u64, u64)> {
    let address = |line: &str| u64::from_str_radix(line.split(' ').next()?, 16).ok();
    let is_it = |line: &&str| line.split_whitespace().nth(2) == Some(FUNCTION);
    let start = address(symbols.lines().find(is_it)?).filter(|&start| start != 0)?;
    let behind = symbols
        .lines()
        .filter_map(address)
        .filter(|&at| at > start)
        .min();
    let end = behind
        .unwrap_or(u64::MAX)
        .min(start.checked_add(FUNCTION_MAX)?);
    Some((start, end))
}

/// Reads memory at a virtual address.
fn read(file: &File, address: u64, size: u64) -> Option<Vec<u8>> {
    let bytes = |at: u64, size: usize| {
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    };
    let number = |bytes: &[u8], at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
    };
    let header = bytes(0, HEADER)?;
    let count = u16::from_le_bytes(*header.get(PHNUM..)?.first_chunk()?);
    let headers = bytes(number(&header, PHOFF)?, usize::from(count) * PROGRAM_HEADER)?;
    headers.chunks_exact(PROGRAM_HEADER).find_map(|header| {
        let [offset, start, length] = [8, 16, 32].map(|at| number(header, at).unwrap_or(0));
        let inside = address.checked_sub(start)?;
        let is_here = header.starts_with(&PT_LOAD.to_le_bytes())
            && length.checked_sub(size).is_some_and(|last| inside <= last);
        is_here.then(|| bytes(offset.checked_add(inside)?, usize::try_from(size).ok()?))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;
    use crate::root::fake::System;

    const TREE: &str = "/proc/device-tree/baton/report";
    const TABLE: &str = "/sys/firmware/acpi/tables/BATN";
    const START: u64 = 0xffff_8000_0801_0000;

    fn find(system: &System) -> Hooks {
        let root = system.root();
        let evidence = Evidence::find(&root).expect("whole").expect("Baton");
        Hooks::find(&root, &evidence)
    }

    /// A /proc/kcore with the kernel's code at [`START`].
    fn kcore(words: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 0x100];
        file[PHOFF] = HEADER as u8;
        file[PHNUM] = 2;
        let header = &mut file[HEADER + PROGRAM_HEADER..];
        header[0] = PT_LOAD as u8;
        header[8..16].copy_from_slice(&0x100_u64.to_le_bytes());
        header[16..24].copy_from_slice(&START.to_le_bytes());
        header[32..40].copy_from_slice(&(4 * words.len() as u64).to_le_bytes());
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        file
    }

    fn with_tree(words: &[u32]) -> System {
        let symbols = format!(
            "{START:016x} T _text\n{:016x} t next\n{:016x} T kernel_kexec\n",
            START + 20,
            START + 8
        );
        System::new()
            .with(
                TREE,
                fake::text(None, "", &["hooks: none, an older kernel's line"]),
            )
            .with("/proc/kallsyms", symbols)
            .with("/proc/kcore", kcore(words))
    }

    #[test]
    fn a_table_that_is_live_says_it() {
        let line = "hooks: kernel at 0x40200000, patched at offsets 0x187b28 and 0x187b38 in 14 us";
        let none = "hooks: none, kexec takes the guest's own path: other CPUs are running";
        for (lines, expected) in [
            (&[none, line][..], Hooks::InPlace),
            (&[line, none], Hooks::None("other CPUs are running".into())),
            (
                &["hooks: off: kexec takes the kernel's own path"],
                Hooks::None("kexec takes the kernel's own path".into()),
            ),
            (&[], Hooks::Unknown("there is no /proc/kallsyms")),
        ] {
            let system = System::new().with(TABLE, fake::table(None, "", lines));
            assert_eq!(find(&system), expected);
        }
    }

    #[test]
    fn memory_says_it_on_a_machine_with_a_tree() {
        let (one, two) = (hvc(HOOK1), hvc(HOOK2));
        assert_eq!(find(&with_tree(&[0, 0, one, 0, two, 0])), Hooks::InPlace);
        // In the function before, and in the one behind.
        for words in [[one, two, 0, 0, 0, 0], [0, 0, one, 0, 0, two]] {
            assert!(matches!(find(&with_tree(&words)), Hooks::None(_)));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_known() {
        let hidden = with_tree(&[0; 6]);
        hidden.put("/proc/kallsyms", "0000000000000000 T kernel_kexec\n");
        let why = "/proc/kallsyms shows no address to this user";
        assert_eq!(find(&hidden), Hooks::Unknown(why));
        let short = with_tree(&[0; 3]);
        assert_eq!(
            find(&short),
            Hooks::Unknown("/proc/kcore does not have the kernel")
        );
    }
}
