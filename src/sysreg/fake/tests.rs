// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::{encoding, mnemonic};

#[test]
fn a_register_holds_what_was_written_last() {
    // SAFETY: Fakes need none.
    unsafe {
        assert_eq!(read_sysreg!(ICC_PMR_EL1), 0, "nothing was written");
        write_sysreg!(ICC_PMR_EL1, 0xf0);
        write_sysreg!(ICC_IGRPEN1_EL1, 1);
        write_sysreg!(ICC_PMR_EL1, read_sysreg!(ICC_PMR_EL1) | 8);
        assert_eq!(read_sysreg!(ICC_PMR_EL1), 0xf8);
    }
    assert_eq!(get("ICC_IGRPEN1_EL1"), 1);
    assert_eq!(
        writes(),
        [
            ("ICC_PMR_EL1", 0xf0),
            ("ICC_IGRPEN1_EL1", 1),
            ("ICC_PMR_EL1", 0xf8)
        ]
    );
}

#[test]
fn what_a_test_sets_is_read_and_is_no_write() {
    set("ID_AA64PFR0_EL1", 0x11);
    // SAFETY: Fakes need none.
    assert_eq!(unsafe { read_sysreg!(ID_AA64PFR0_EL1) }, 0x11);
    assert_eq!(writes(), []);
}

#[test]
fn fixed_bits_do_not_take() {
    fix("SCTLR_EL1", 0xff0, 0x540);
    assert_eq!(get("SCTLR_EL1"), 0x540);
    // SAFETY: Fakes need none.
    unsafe {
        write_sysreg!(SCTLR_EL1, 0xffff);
        assert_eq!(read_sysreg!(SCTLR_EL1), 0xf54f);
    }
    assert_eq!(writes(), [("SCTLR_EL1", 0xffff)], "as it was written");
    fix("SCTLR_EL1", 0, 0);
    assert_eq!(get("SCTLR_EL1"), 0xffff, "no bit is fixed any more");
}

#[test]
fn a_register_that_is_not_there_reads_as_its_stand_in() {
    // SAFETY: Fakes need none.
    unsafe {
        assert_eq!(read_sysreg!(MDCCINT_EL1 or 7), 7);
        write_sysreg!(MDCCINT_EL1, 0);
        assert_eq!(read_sysreg!(MDCCINT_EL1 or 7), 0, "it was written");
    }
}

#[test]
fn parts_are_one_name() {
    // SAFETY: Fakes need none.
    unsafe {
        write_sysreg!("DBGBCR" 3 "_EL1", 1);
        assert_eq!(read_sysreg!(DBGBCR3_EL1), 1);
        assert_eq!(read_sysreg!("DBGBCR" 3 "_EL1"), 1);
    }
}

#[test]
fn each_thread_has_its_own() {
    set("HCR_EL2", 1);
    let other = std::thread::spawn(|| get("HCR_EL2"));
    assert_eq!(other.join().unwrap(), 0);
    assert_eq!(get("HCR_EL2"), 1);
}

#[test]
fn reset_forgets_all() {
    fix("HCR_EL2", 1, 1);
    // SAFETY: Fakes need none.
    unsafe { write_sysreg!(HCR_EL2, 2) };
    reset();
    assert_eq!(get("HCR_EL2"), 0);
    assert_eq!(writes(), []);
}

#[test]
fn names_that_the_assembler_lacks_have_an_encoding() {
    assert_eq!(encoding!(ZCR_EL1), "S3_0_C1_C2_0");
    assert_eq!(encoding!(ICC_PMR_EL1), "ICC_PMR_EL1");
    assert_eq!(encoding!("DBGBCR" 3 "_EL1"), "DBGBCR3_EL1");
    assert_eq!(
        concat!("mrs {value}, ", encoding!(FPCR)),
        "mrs {value}, S3_3_C4_C4_0"
    );
}

#[test]
fn hooks_make_of_accesses_what_they_like() {
    set("PMCNTENSET_EL0", 0xff);
    on_write("PMCNTENCLR_EL0", |ones| {
        set("PMCNTENSET_EL0", get("PMCNTENSET_EL0") & !ones);
        0
    });
    on_read("PMCNTENCLR_EL0", |_| get("PMCNTENSET_EL0"));
    // SAFETY: Fakes need none.
    unsafe {
        write_sysreg!(PMCNTENCLR_EL0, 0xf);
        assert_eq!(read_sysreg!(PMCNTENCLR_EL0), 0xf0);
    }
    assert_eq!(writes(), [("PMCNTENCLR_EL0", 0xf)], "as it was written");
}

#[test]
fn instructions_and_writes_are_noted_in_their_order() {
    on_instruction("at s1e1r", |address| set("PAR_EL1", address));
    // SAFETY: Fakes need none.
    unsafe {
        write_sysreg!(SCTLR_EL1, 1);
        instruction!("at s1e1r", 0x1000);
        instruction!("isb");
        assert_eq!(read_sysreg!(PAR_EL1), 0x1000);
    }
    assert_eq!(
        events(),
        [
            Event::Write("SCTLR_EL1", 1),
            Event::Execute("at s1e1r", Some(0x1000)),
            Event::Execute("isb", None),
        ]
    );
    assert_eq!(instructions(), ["at s1e1r", "isb"]);
}

#[test]
fn the_counter_counts() {
    // SAFETY: Fakes need none.
    let (first, second) = unsafe { (read_sysreg!(CNTPCT_EL0), read_sysreg!(CNTPCT_EL0)) };
    assert_eq!((first, second), (1, 2));
}

#[test]
fn instructions_that_the_assembler_lacks_have_a_mnemonic() {
    assert_eq!(mnemonic!("psb csync"), "hint #17");
    assert_eq!(mnemonic!("dsb sy"), "dsb sy");
}
