// SPDX-License-Identifier: Apache-2.0
//! The guest's stage 1 (Arm ARM, AT S1E1R).

use super::barrier;
use baton_sysreg::{instruction, read_sysreg, write_sysreg};

/// `PAR_EL1.F`: the translation faulted.
const FAULT: u64 = 1;
/// `PAR_EL1.PA`, bits 47 to 12.
const ADDRESS: u64 = 0xffff_ffff_f000;

/// Returns the physical address of the guest's virtual `address`, if it can be read at EL1.
pub fn translate(address: u64) -> Option<u64> {
    // SAFETY: The instruction writes PAR_EL1 alone, which gets the guest's value back.
    let par = unsafe {
        let saved = read_sysreg!(PAR_EL1);
        instruction!("at s1e1r", address);
        barrier::isb();
        let par = read_sysreg!(PAR_EL1);
        write_sysreg!(PAR_EL1, saved);
        par
    };
    (par & FAULT == 0).then_some(par & ADDRESS | address & 0xfff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_sysreg::fake;

    /// The page at 0xffff_8000_0000_1000 is at 0x4567_8000, nothing else is mapped.
    fn one_page() {
        fake::reset();
        fake::set("PAR_EL1", 0x1234);
        fake::on_instruction("at s1e1r", |address| {
            // ATTR and SH lie around the address.
            let par = match address & !0xfff {
                0xffff_8000_0000_1000 => 0xff00_0000_4567_8b80,
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
    fn a_fault_has_no_address() {
        one_page();
        assert_eq!(translate(0xffff_8000_0000_2abc), None);
    }

    #[test]
    fn the_guest_gets_its_par_back() {
        one_page();
        translate(0xffff_8000_0000_1abc);
        assert_eq!(fake::get("PAR_EL1"), 0x1234);
    }
}
