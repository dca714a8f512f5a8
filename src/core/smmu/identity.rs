// SPDX-License-Identifier: Apache-2.0
//! What an SMMU is by its identification registers (6.3.1 to 6.3.8), whether stage 2 of the monitor's can stand
//! in front of all its streams, and what of it the guest sees then.

use super::{QUEUE_BITS, SPLIT, STREAM_BITS};
use thiserror::Error;

/// IDR0.
const S2P: u32 = 1 << 0;
const S1P: u32 = 1 << 1;
const AARCH64_TABLES: u32 = 1 << 3;
const COHACC: u32 = 1 << 4;
const BTM: u32 = 1 << 5;
const HYP: u32 = 1 << 9;
const ATS: u32 = 1 << 10;
const MSI: u32 = 1 << 13;
const ATOS: u32 = 1 << 15;
const PRI: u32 = 1 << 16;
const VMW: u32 = 1 << 17;
const VATOS: u32 = 1 << 20;
const ENDIAN: u32 = 3 << 21;
const BIG_ENDIAN: u32 = 3 << 21;
const STALL: u32 = 3 << 24;
const STALL_FORCED: u32 = 2 << 24;
const TWO_LEVELS: u32 = 1 << 27;
const HIDDEN_0: u32 = S2P | BTM | HYP | ATS | MSI | ATOS | PRI | VMW | VATOS;
/// IDR1: SIDSIZE; EVENTQS; CMDQS; what is where the maker has put it; queues of commands beside the one.
const SIDSIZE: u32 = 0x3f;
const EVENTQS_SHIFT: u32 = 16;
const CMDQS_SHIFT: u32 = 21;
const QUEUE_SIZE: u32 = 0x1f;
const PRIQS: u32 = 0x1f << 11;
const PRESET: u32 = 1 << 28 | 1 << 29 | 1 << 30;
const ECMDQ: u32 = 1 << 31;
/// IDR3: MPAM, FWB, DPT. By no field of an entry the guest can use them.
const HIDDEN_3: u32 = 1 << 7 | 1 << 8 | 1 << 15;
/// IDR5: GRAN4K; OAS.
const GRAN4K: u32 = 1 << 4;
const OAS: u32 = 7;
const OAS_BITS: [u32; 8] = [32, 36, 40, 42, 44, 48, 52, 56];
/// IIDR of Arm's, and products of theirs whose nested translations can go wrong: MMU-600 before r2 (erratum
/// 1209401), MMU-700 before r1p1 (2268618, 2812531).
const ARM: u32 = 0x43b;
const MMU_600: u32 = 0x483;
const MMU_700: u32 = 0x487;

/// Why an SMMU has no stage 2 of the monitor's in front of its streams.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    /// It does not do both stages.
    #[error("it has not both stages of translation")]
    Stages,
    /// It reads no tables as those of a CPU.
    #[error("it does not walk a CPU's tables: {0}")]
    Tables(&'static str),
    /// What it reads of memory may be older than what CPUs have stored.
    #[error("it does not look into the caches")]
    NotCoherent,
    /// Its tables or queues are where they are.
    #[error("tables, queues or their attributes are preset")]
    Preset,
    /// It has queues of commands beside the one that is looked through.
    #[error("it has enhanced command queues")]
    MoreQueues,
    /// A device whose access faults waits until somebody says what becomes of it.
    #[error("faults stall their devices, always")]
    Stalls,
    /// It has fewer bits of address than stage 2.
    #[error("it has {has} bits of address, and the guest {needed}")]
    Bits {
        /// What it has.
        has: u32,
        /// What stage 2 has.
        needed: u32,
    },
    /// It has one level of stream table, of more streams than a page has entries.
    #[error("its stream table has one level for {0} bits of stream ID")]
    OneLevel(u32),
    /// Its nested translations can go wrong.
    #[error("its nested translations have errata (IIDR {0:#x})")]
    Errata(u32),
}

/// The identification registers of an SMMU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// IDR0 to IDR5.
    pub idr: [u32; 6],
    /// IIDR.
    pub iidr: u32,
    /// AIDR.
    pub aidr: u32,
}

impl Identity {
    /// Checks that stage 2 with `bits` of address can stand in front of its streams.
    ///
    /// # Errors
    ///
    /// [`Unfit`] with the first reason.
    pub fn fit(&self, bits: u32) -> Result<(), Unfit> {
        let [idr0, idr1, .., idr5] = self.idr;
        if idr0 & (S1P | S2P) != S1P | S2P {
            return Err(Unfit::Stages);
        }
        if idr0 & COHACC == 0 {
            return Err(Unfit::NotCoherent);
        }
        if idr0 & AARCH64_TABLES == 0 {
            return Err(Unfit::Tables("no tables of AArch64"));
        }
        if idr0 & ENDIAN == BIG_ENDIAN {
            return Err(Unfit::Tables("big-endian alone"));
        }
        if idr5 & GRAN4K == 0 {
            return Err(Unfit::Tables("no granule of 4 KiB"));
        }
        if idr0 & STALL == STALL_FORCED {
            return Err(Unfit::Stalls);
        }
        if idr1 & PRESET != 0 {
            return Err(Unfit::Preset);
        }
        if idr1 & ECMDQ != 0 {
            return Err(Unfit::MoreQueues);
        }
        let has = OAS_BITS[(idr5 & OAS) as usize];
        if has < bits {
            return Err(Unfit::Bits { has, needed: bits });
        }
        if !self.has_two_levels() && idr1 & SIDSIZE > SPLIT {
            return Err(Unfit::OneLevel(idr1 & SIDSIZE));
        }
        if self.has_errata() {
            return Err(Unfit::Errata(self.iidr));
        }
        Ok(())
    }

    fn has_errata(&self) -> bool {
        let (product, variant) = (self.iidr >> 20, self.iidr >> 16 & 0xf);
        let revision = self.iidr >> 12 & 0xf;
        match product {
            _ if self.iidr & 0xfff != ARM => false,
            MMU_600 => variant < 2,
            MMU_700 => variant < 1 || revision < 1,
            _ => false,
        }
    }

    /// Returns whether its stream table may have two levels.
    pub fn has_two_levels(&self) -> bool {
        self.idr[0] & TWO_LEVELS != 0
    }

    /// Returns whether devices may come with translations of their own, which are looked at with CR0.ATSCHK alone.
    pub fn has_ats(&self) -> bool {
        self.idr[0] & ATS != 0
    }

    /// Returns how many bits of a stream ID are served.
    pub fn stream_bits(&self) -> u32 {
        (self.idr[1] & SIDSIZE).min(STREAM_BITS)
    }

    /// Returns how many events its queue has at most, as a power of two.
    pub fn event_bits(&self) -> u32 {
        self.idr[1] >> EVENTQS_SHIFT & QUEUE_SIZE
    }

    /// Returns how many commands the guest's queue has at most, as a power of two.
    pub fn command_bits(&self) -> u32 {
        (self.idr[1] >> CMDQS_SHIFT & QUEUE_SIZE).min(QUEUE_BITS)
    }

    /// Returns this as the guest sees it: without what would reach memory past stage 2, or is the monitor's.
    pub fn shown(&self) -> Self {
        let mut idr = self.idr;
        idr[0] &= !HIDDEN_0;
        idr[1] &= !(SIDSIZE | PRIQS | QUEUE_SIZE << CMDQS_SHIFT);
        idr[1] |= self.stream_bits() | self.command_bits() << CMDQS_SHIFT;
        // VATOS_base.
        idr[2] = 0;
        idr[3] &= !HIDDEN_3;
        Self { idr, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 10.
    const QEMU: Identity = Identity {
        idr: [0x0d44_101b, 0x0273_0010, 0, 0x1404, 0, 0x0054],
        iidr: 0,
        aidr: 1,
    };

    #[test]
    fn qemus_is_fit_and_shown_without_stage_2() {
        assert_eq!(QEMU.fit(44), Ok(()));
        let shown = QEMU.shown();
        assert_eq!(shown.idr[0], 0x0d44_101a);
        assert_eq!(shown.idr[1], 0x0153_0010);
        assert_eq!((shown.idr[3], shown.idr[5]), (0x1404, 0x54));
        let bits = (QEMU.stream_bits(), QEMU.command_bits(), QEMU.event_bits());
        assert_eq!(bits, (16, 10, 19));
    }

    /// What lets it write, or be written to, past stage 2.
    #[test]
    fn what_the_guest_may_not_use_is_not_shown() {
        let mut whole = QEMU;
        whole.idr = [u32::MAX; 6];
        let shown = whole.shown();
        assert_eq!(shown.idr[0], !0x13_a621);
        assert_eq!(
            shown.idr[1],
            0xfff0_0000 & !(0x1f << 21) | 0x1f << 16 | 10 << 21 | 0x7c0 | 16
        );
        assert_eq!((shown.idr[2], shown.idr[3]), (0, !0x8180));
    }

    #[test]
    fn what_it_lacks_is_named() {
        let changed = |register: usize, clear: u32, set: u32| {
            let mut identity = QEMU;
            identity.idr[register] = identity.idr[register] & !clear | set;
            identity.fit(44)
        };
        for (register, clear, set, expected) in [
            (0, 1, 0, Unfit::Stages),
            (0, 2, 0, Unfit::Stages),
            (0, 1 << 4, 0, Unfit::NotCoherent),
            (0, 1 << 3, 0, Unfit::Tables("no tables of AArch64")),
            (0, 0, 3 << 21, Unfit::Tables("big-endian alone")),
            (5, 1 << 4, 0, Unfit::Tables("no granule of 4 KiB")),
            (0, 3 << 24, 2 << 24, Unfit::Stalls),
            (1, 0, 1 << 28, Unfit::Preset),
            (1, 0, 1 << 29, Unfit::Preset),
            (1, 0, 1 << 30, Unfit::Preset),
            (1, 0, 1 << 31, Unfit::MoreQueues),
            (
                5,
                7,
                3,
                Unfit::Bits {
                    has: 42,
                    needed: 44,
                },
            ),
            (0, 1 << 27, 0, Unfit::OneLevel(16)),
        ] {
            let seen = changed(register, clear, set);
            assert_eq!(seen, Err(expected), "IDR{register} ^ {:#x}", clear | set);
        }
    }

    #[test]
    fn one_level_will_do_for_a_page_of_streams() {
        let mut identity = QEMU;
        identity.idr[0] &= !(1 << 27);
        identity.idr[1] = identity.idr[1] & !0x3f | 6;
        assert_eq!(identity.fit(40), Ok(()));
        identity.idr[1] += 1;
        assert_eq!(identity.fit(40), Err(Unfit::OneLevel(7)));
    }

    #[test]
    fn errata_are_of_products_and_their_revisions() {
        for (iidr, has) in [
            (0x4830_043b, true),
            (0x4831_143b, true),
            (0x4832_043b, false),
            (0x4870_143b, true),
            (0x4871_043b, true),
            (0x4871_143b, false),
            (0x4830_0102, false),
            (0x4980_043b, false),
        ] {
            let seen = Identity { iidr, ..QEMU }.fit(40);
            let expected = if has {
                Err(Unfit::Errata(iidr))
            } else {
                Ok(())
            };
            assert_eq!(seen, expected, "IIDR {iidr:#x}");
        }
    }
}
