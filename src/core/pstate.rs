// SPDX-License-Identifier: Apache-2.0
//! PSTATE on an exception (Arm ARM, AArch64.TakeException).
#![forbid(unsafe_code)]

/// EL1 on SP_EL1, with debug exceptions and interrupts masked.
const EL1H_MASKED: u64 = 0x3c5;
/// Bits of SPSR_ELx (Arm ARM, C5.2): flags, TCO, DIT, PAN, ALLINT, SSBS, EXLOCK; those of PSTATE that
/// are not named here an exception clears.
mod spsr {
    pub const FLAGS: u64 = 0xf << 28;
    pub const TCO: u64 = 1 << 25;
    pub const DIT: u64 = 1 << 24;
    pub const DIT_AARCH32: u64 = 1 << 21;
    pub const PAN: u64 = 1 << 22;
    pub const ALLINT: u64 = 1 << 13;
    pub const SSBS: u64 = 1 << 12;
    pub const EXLOCK: u64 = 1 << 34;
    pub const AARCH32: u64 = 1 << 4;
    pub const EL1: u64 = 1 << 2;
}
/// SCTLR_EL1: what PSTATE gets on an exception.
mod sctlr {
    pub const SPAN: u64 = 1 << 23;
    pub const DSSBS: u64 = 1 << 44;
    pub const SPINTMASK: u64 = 1 << 62;
}
/// ID_AA64PFR1_EL1: FEAT_MTE2, FEAT_NMI and FEAT_GCS.
const MTE: u32 = 8;
const NMI: u32 = 36;
const GCS: u32 = 44;
/// GCSCR_EL1.EXLOCKEN.
const EXLOCKEN: u64 = 1 << 6;

/// Returns whether the field of `register` that begins at bit `low` is `least` or more.
const fn has(register: u64, low: u32, least: u64) -> bool {
    register >> low & 0xf >= least
}

/// Returns whether there is GCSCR_EL1, by ID_AA64PFR1_EL1.
pub const fn has_gcs(pfr1: u64) -> bool {
    has(pfr1, GCS, 1)
}

/// Returns PSTATE as an exception that is taken from `spsr` to EL1 in AArch64 leaves it, by SCTLR_EL1,
/// GCSCR_EL1, which is 0 where there is none, and ID_AA64PFR1_EL1.
pub const fn taken_to_el1(spsr: u64, sctlr: u64, gcscr: u64, pfr1: u64) -> u64 {
    let kept = match spsr & spsr::AARCH32 {
        0 => spsr & (spsr::FLAGS | spsr::DIT | spsr::PAN),
        _ if spsr & spsr::DIT_AARCH32 != 0 => spsr & (spsr::FLAGS | spsr::PAN) | spsr::DIT,
        _ => spsr & (spsr::FLAGS | spsr::PAN),
    };
    let mut entered = kept | EL1H_MASKED;
    if sctlr & sctlr::SPAN == 0 {
        entered |= spsr::PAN;
    }
    if sctlr & sctlr::DSSBS != 0 {
        entered |= spsr::SSBS;
    }
    if has(pfr1, MTE, 2) {
        entered |= spsr::TCO;
    }
    if has(pfr1, NMI, 1) && sctlr & sctlr::SPINTMASK == 0 {
        entered |= spsr::ALLINT;
    }
    if gcscr & EXLOCKEN != 0 && spsr & spsr::EL1 != 0 {
        entered |= spsr::EXLOCK;
    }
    entered
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: u64 = 0;
    const NEW: u64 = 2 << MTE | 1 << NMI | 1 << GCS;
    /// EL0, and EL1 on SP_EL1, in AArch64; EL0 in AArch32.
    const EL0T: u64 = 0;
    const EL1H: u64 = 5;
    const USER32: u64 = 0x10;

    #[track_caller]
    fn expect(seen: u64, expected: u64) {
        assert_eq!(seen, expected, "seen {seen:#x}, expected {expected:#x}");
    }

    #[test]
    fn flags_dit_and_pan_stay_and_all_else_goes() {
        let spsr = !(0x1f | spsr::PAN);
        let expected = spsr::FLAGS | spsr::DIT | EL1H_MASKED;
        expect(taken_to_el1(spsr, sctlr::SPAN, 0, OLD), expected);
        let with_pan = expected | spsr::PAN;
        expect(
            taken_to_el1(spsr | spsr::PAN, sctlr::SPAN, 0, OLD),
            with_pan,
        );
    }

    #[test]
    fn it_begins_on_sp_el1_with_debug_and_interrupts_masked() {
        // M: EL1h; D, A, I and F (Arm ARM, C5.2.19).
        let expected = 0b0101 | 0xf << 6;
        for spsr in [EL0T, EL1H, USER32] {
            expect(taken_to_el1(spsr, sctlr::SPAN, 0, OLD), expected);
        }
    }

    #[test]
    fn there_is_a_gcscr_with_guarded_stacks_alone() {
        assert!(has_gcs(1 << GCS));
        assert!(!has_gcs(!(0xf << GCS)));
    }

    #[test]
    fn pan_is_set_where_the_kernel_has_it_so() {
        expect(taken_to_el1(EL1H, 0, 0, OLD), EL1H_MASKED | spsr::PAN);
    }

    #[test]
    fn dit_has_another_place_in_aarch32() {
        let with = taken_to_el1(USER32 | spsr::DIT_AARCH32, sctlr::SPAN, 0, OLD);
        expect(with, EL1H_MASKED | spsr::DIT);
        // Where AArch64 has it, there is a part of IT.
        let without = taken_to_el1(USER32 | spsr::DIT, sctlr::SPAN, 0, OLD);
        expect(without, EL1H_MASKED);
    }

    #[test]
    fn a_new_cpu_checks_no_tags_and_takes_no_nmi() {
        let seen = taken_to_el1(EL1H, sctlr::SPAN, 0, NEW);
        expect(seen, EL1H_MASKED | spsr::TCO | spsr::ALLINT);
        let seen = taken_to_el1(EL1H, sctlr::SPAN | sctlr::SPINTMASK, 0, NEW);
        expect(seen, EL1H_MASKED | spsr::TCO);
        // Instructions for tags alone are FEAT_MTE: no TCO.
        expect(taken_to_el1(EL1H, sctlr::SPAN, 0, 1 << MTE), EL1H_MASKED);
    }

    #[test]
    fn ssbs_is_as_the_kernel_wants_it() {
        let seen = taken_to_el1(EL1H, sctlr::SPAN | sctlr::DSSBS, 0, OLD);
        expect(seen, EL1H_MASKED | spsr::SSBS);
        expect(
            taken_to_el1(EL1H | spsr::SSBS, sctlr::SPAN, 0, OLD),
            EL1H_MASKED,
        );
    }

    #[test]
    fn an_exception_from_el1_locks_its_return_address() {
        let seen = taken_to_el1(EL1H, sctlr::SPAN, EXLOCKEN, 1 << GCS);
        expect(seen, EL1H_MASKED | spsr::EXLOCK);
        expect(
            taken_to_el1(EL0T, sctlr::SPAN, EXLOCKEN, 1 << GCS),
            EL1H_MASKED,
        );
    }
}
