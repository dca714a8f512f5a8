// SPDX-License-Identifier: Apache-2.0
//! The guest's stage 1 (Arm ARM, AT S1E1R).

use super::barrier;
use baton_core::memory::guest_walk::Stage1;
use baton_sysreg::{instruction, read_sysreg, write_sysreg};

/// `PAR_EL1.F`: the translation faulted.
const FAULT: u64 = 1;
/// `PAR_EL1.PA`, bits 47 to 12.
const ADDRESS: u64 = 0xffff_ffff_f000;

/// Where `PAR_EL1.ATTR` begins: attributes as in MAIR_EL1, the outer ones in the upper half.
const ATTRIBUTES: u32 = 56;
/// Of either half: Normal memory, Write-Back, non-transient.
const WRITE_BACK: u64 = 0xc;

/// Returns the guest's stage 1 on this CPU.
pub fn stage1() -> Stage1 {
    // SAFETY: These are the guest's registers.
    unsafe {
        Stage1 {
            tcr: read_sysreg!(TCR_EL1),
            ttbr0: read_sysreg!(TTBR0_EL1),
            ttbr1: read_sysreg!(TTBR1_EL1),
        }
    }
}

/// Returns the physical address of the guest's virtual `address`, if it can be read at EL1.
pub fn translate(address: u64) -> Option<u64> {
    physical(par(address), address)
}

/// As [`translate`], of what the guest has mapped as memory that is cached.
pub fn translate_cached(address: u64) -> Option<u64> {
    let par = par(address);
    let cached = par >> ATTRIBUTES >> 4 & WRITE_BACK == WRITE_BACK;
    physical(par, address).filter(|_| cached)
}

fn physical(par: u64, address: u64) -> Option<u64> {
    (par & FAULT == 0).then_some(par & ADDRESS | address & 0xfff)
}

/// Returns `PAR_EL1` for the guest's `address`.
fn par(address: u64) -> u64 {
    // SAFETY: The instruction writes PAR_EL1 alone, which gets the guest's value back.
    unsafe {
        let saved = read_par();
        instruction!("at s1e1r", address);
        barrier::isb();
        let par = read_par();
        write_sysreg!(PAR_EL1, saved);
        par
    }
}

/// Reads `PAR_EL1`; without the barriers, that and an access to a device can make a deadlock
/// (`Workaround::BarriersAroundPar`).
fn read_par() -> u64 {
    barrier::dmb_sy();
    // SAFETY: Reading it changes nothing.
    let par = unsafe { read_sysreg!(PAR_EL1) };
    barrier::dmb_sy();
    par
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_sysreg::fake;

    /// The page at 0xffff_8000_0000_1000 is at 0x4567_8000, and a device's at 0xffff_8000_0000_5000;
    /// nothing else is mapped.
    fn one_page() {
        fake::reset();
        fake::set("PAR_EL1", 0x1234);
        fake::on_instruction("at s1e1r", |address| {
            // ATTR and SH lie around the address.
            let par = match address & !0xfff {
                0xffff_8000_0000_1000 => 0xff00_0000_4567_8b80,
                0xffff_8000_0000_5000 => 0x0400_0000_0900_0b80,
                _ => 0x809,
            };
            fake::set("PAR_EL1", par);
        });
    }

    #[test]
    fn what_is_mapped_has_its_offset_in_the_page() {
        one_page();
        assert_eq!(translate(0xffff_8000_0000_1abc), Some(0x4567_8abc));
    }

    #[test]
    fn a_device_is_no_memory() {
        one_page();
        assert_eq!(translate_cached(0xffff_8000_0000_1abc), Some(0x4567_8abc));
        assert_eq!(translate(0xffff_8000_0000_5000), Some(0x900_0000));
        assert_eq!(translate_cached(0xffff_8000_0000_5000), None);
        assert_eq!(translate_cached(0xffff_8000_0000_2000), None);
    }

    #[test]
    fn a_fault_has_no_address() {
        one_page();
        assert_eq!(translate(0xffff_8000_0000_2abc), None);
    }

    #[test]
    fn a_read_of_par_stands_between_barriers() {
        one_page();
        translate(0xffff_8000_0000_1abc);
        let read = ["dmb sy", "dmb sy"];
        let expected = [&read[..], &["at s1e1r", "isb"], &read].concat();
        assert_eq!(fake::instructions(), expected);
    }

    #[test]
    fn the_guest_gets_its_par_back() {
        one_page();
        translate(0xffff_8000_0000_1abc);
        assert_eq!(fake::get("PAR_EL1"), 0x1234);
    }
}
