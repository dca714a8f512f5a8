// SPDX-License-Identifier: Apache-2.0
//! The vector registers of a CPU: floating point, SVE, SME. They are read as the monitor reads them, by
//! code of the probe's own, so that neither vouches for itself.

use super::features::Features;
use super::isb;
use super::sheet::{Index, Page};
use baton_abi::steps;
use baton_sysreg::{read_sysreg, write_sysreg};
use core::arch::asm;

const STEP: &str = steps::VECTORS;
/// SVCR.SM.
const STREAMING: u64 = 1;
/// SVCR.ZA.
const ZA: u64 = 2;
/// The longest vectors, which a CPU rounds down to what it has.
const LONGEST: u64 = 0xf;
/// What the vectors are filled with: every bit that could be left over is seen.
const FILL: u64 = !0;

/// Adds what is in the vector registers. CPACR_EL1 must be open; leaves streaming mode and changes
/// the length.
pub fn audit(page: &mut Page, features: &Features, place: usize) {
    let mut add = |name, found| page.add((STEP, name, Index::None), place, 0, !0, found);
    if features.sme() {
        // SAFETY: SVCR is there with SME; without streaming mode, what follows can be executed.
        unsafe {
            add("SVCR", read_sysreg!(SVCR));
            write_sysreg!(SVCR, 0);
        }
        isb();
    }
    if features.fp() {
        add("V0-V31", any_v());
    }
    if features.sve() {
        // SAFETY: ZCR_EL1 is there with SVE.
        unsafe { write_sysreg!(ZCR_EL1, LONGEST) };
        isb();
        let (z, p, ffr) = any_z();
        add("Z0-Z31 (longest)", z);
        add("P0-P15", p);
        add("FFR", ffr);
    }
}

/// Fills them: at the longest length, with streaming mode on odd CPUs.
pub fn dirty(features: &Features, place: usize) {
    if features.sme() {
        // SAFETY: the registers are there with SME; the probe keeps nothing in vectors.
        unsafe {
            write_sysreg!(SMCR_EL1, LONGEST);
            isb();
            write_sysreg!(SVCR, ZA | place as u64 & STREAMING);
        }
        isb();
        fill_za();
    }
    let streaming = features.sme() && place as u64 & STREAMING != 0;
    if features.sve() && !streaming {
        // SAFETY: ZCR_EL1 is there with SVE.
        unsafe { write_sysreg!(ZCR_EL1, LONGEST) };
        isb();
        fill_z();
    } else if features.fp() && !streaming {
        fill_v();
    }
}

/// The OR of all V registers.
fn any_v() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: the probe is built without floating point, and uses none.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "orr v0.16b, v0.16b, v\\n\\().16b",
            ".endr",
            "umov {low}, v0.d[0]",
            "umov {high}, v0.d[1]",
            low = out(reg) low,
            high = out(reg) high,
            options(nostack, preserves_flags),
        );
    }
    low | high
}

fn fill_v() {
    // SAFETY: as in `any_v`.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "dup v\\n\\().2d, {value}",
            ".endr",
            value = in(reg) FILL,
            options(nostack, preserves_flags),
        );
    }
}

/// The OR of all Z registers, of all predicates, and of the first-fault register, folded to 64 bits.
fn any_z() -> (u64, u64, u64) {
    let z: u64;
    let mut predicates = Predicates([0; 256]);
    let mut ffr = Predicates([0; 256]);
    // SAFETY: as in `any_v`. A predicate has 32 bytes at most.
    unsafe {
        asm!(
            ".arch_extension sve",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "str p\\n, [{p}, #\\n, mul vl]",
            ".endr",
            "rdffr p0.b",
            "str p0, [{f}]",
            ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "orr z0.d, z0.d, z\\n\\().d",
            ".endr",
            "ptrue p0.d",
            "orv d0, p0, z0.d",
            ".arch_extension fp",
            "fmov {z}, d0",
            z = out(reg) z,
            p = in(reg) predicates.0.as_mut_ptr(),
            f = in(reg) ffr.0.as_mut_ptr(),
            options(nostack),
        );
    }
    (z, predicates.any(), ffr.any())
}

/// Room for 16 predicates of 32 bytes, the longest there can be.
#[repr(C, align(16))]
struct Predicates([u16; 256]);

impl Predicates {
    fn any(&self) -> u64 {
        self.0.iter().fold(0, |all, part| all | u64::from(*part))
    }
}

fn fill_z() {
    // SAFETY: as in `any_v`.
    unsafe {
        asm!(
            ".arch_extension sve",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "mov z\\n\\().d, #-1",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "ptrue p\\n\\().b",
            ".endr",
            "setffr",
            options(nostack, preserves_flags),
        );
    }
}

/// Fills ZA, which has to be on, row by row.
fn fill_za() {
    #[repr(C, align(16))]
    struct Row([u64; 32]);
    let row = Row([FILL; 32]);
    // SAFETY: a row has 256 bytes at most; the probe keeps nothing in ZA.
    unsafe {
        asm!(
            ".arch_extension sme",
            "rdsvl {rows}, #1",
            "mov w12, wzr",
            "2: ldr za[w12, 0], [{row}]",
            "add w12, w12, #1",
            "cmp w12, {rows:w}",
            "b.lo 2b",
            rows = out(reg) _,
            row = in(reg) row.0.as_ptr(),
            out("w12") _,
            options(nostack),
        );
    }
}
