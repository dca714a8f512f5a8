// SPDX-License-Identifier: Apache-2.0
//! Registers of the interrupt controller in memory, by their offsets in bytes (Arm IHI 0069, chapter 12;
//! those of a GICv2 alone: IHI 0048B, chapter 4).
//!
//! The probe and the tests' firmware have them from here. The monitor has its own, most of them from the
//! crate `arm-gic`: where the two differ, the probe's audit fails.

/// Arrays with a bit or a field for each interrupt: in the distributor, and in the second frame of a
/// redistributor.
pub mod array {
    /// Group.
    pub const IGROUPR: u64 = 0x0080;
    /// Set-enable.
    pub const ISENABLER: u64 = 0x0100;
    /// Clear-enable.
    pub const ICENABLER: u64 = 0x0180;
    /// Set-pending.
    pub const ISPENDR: u64 = 0x0200;
    /// Clear-pending.
    pub const ICPENDR: u64 = 0x0280;
    /// Set-active.
    pub const ISACTIVER: u64 = 0x0300;
    /// Priority.
    pub const IPRIORITYR: u64 = 0x0400;
    /// Level or edge.
    pub const ICFGR: u64 = 0x0c00;
}

/// The distributor.
pub mod gicd {
    /// Control.
    pub const CTLR: u64 = 0x0000;
    /// Type.
    pub const TYPER: u64 = 0x0004;
    /// GICv2: targets.
    pub const ITARGETSR: u64 = 0x0800;
    /// GICv2: sends an SGI.
    pub const SGIR: u64 = 0x0f00;
    /// GICv2: set-pending of SGIs, by their source.
    pub const SPENDSGIR: u64 = 0x0f20;
    /// Routes of SPIs.
    pub const IROUTER: u64 = 0x6000;
    /// Routes of extended SPIs.
    pub const IROUTER_E: u64 = 0x8000;

    /// CTLR: EnableGrp1NS; in the Non-secure view, EnableGrp1A.
    pub const CTLR_GRP1: u32 = 1 << 1;
    /// CTLR: both groups of a single security state. With a GICv2's Security Extensions, the first bit
    /// is of group 1.
    pub const CTLR_BOTH_GROUPS: u32 = 3;
    /// CTLR: ARE, of the Secure state where there are two.
    pub const CTLR_ARE: u32 = 1 << 4;
    /// CTLR: ARE_NS, where there are two security states.
    pub const CTLR_ARE_NS: u32 = 1 << 5;
    /// CTLR: DS, there is one security state.
    pub const CTLR_DS: u32 = 1 << 6;
    /// CTLR: RWP, a write is under way.
    pub const CTLR_RWP: u32 = 1 << 31;
    /// SGIR: TargetListFilter, the CPU that writes it.
    pub const SGIR_SELF: u32 = 2 << 24;
}

/// A redistributor: two frames, or four with virtual LPIs.
pub mod gicr {
    /// Size of a frame; [`array`](super::array) is in the second one.
    pub const FRAME: u64 = 0x1_0000;

    /// Control.
    pub const CTLR: u64 = 0x0000;
    /// Type.
    pub const TYPER: u64 = 0x0008;
    /// Wake.
    pub const WAKER: u64 = 0x0014;
    /// Properties of LPIs.
    pub const PROPBASER: u64 = 0x0070;
    /// Pending LPIs.
    pub const PENDBASER: u64 = 0x0078;
    /// Pending virtual LPIs, in the third frame.
    pub const VPENDBASER: u64 = 2 * FRAME + 0x0078;

    /// CTLR: EnableLPIs.
    pub const CTLR_ENABLE_LPIS: u32 = 1;
    /// CTLR: DPG0, DPG1NS, DPG1S.
    pub const CTLR_DPG: u32 = 7 << 24;
    /// TYPER: VLPIS.
    pub const TYPER_VLPIS: u64 = 1 << 1;
    /// TYPER: Last.
    pub const TYPER_LAST: u64 = 1 << 4;
    /// WAKER: ProcessorSleep.
    pub const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
    /// WAKER: ChildrenAsleep.
    pub const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;
}

/// An ITS.
pub mod gits {
    /// Control.
    pub const CTLR: u64 = 0x0000;
    /// Type.
    pub const TYPER: u64 = 0x0008;
    /// The command queue.
    pub const CBASER: u64 = 0x0080;
    /// Where software writes the next command.
    pub const CWRITER: u64 = 0x0088;
    /// Which command the ITS reads next.
    pub const CREADR: u64 = 0x0090;
    /// Its tables.
    pub const BASER: u64 = 0x0100;
    /// How many registers [`BASER`] there are.
    pub const BASERS: u64 = 8;

    /// CTLR: Enabled.
    pub const CTLR_ENABLED: u32 = 1;
    /// CTLR: Quiescent.
    pub const CTLR_QUIESCENT: u32 = 1 << 31;
    /// CBASER, BASER: Valid.
    pub const VALID: u64 = 1 << 63;
    /// BASER: Indirect.
    pub const INDIRECT: u64 = 1 << 62;
}

/// GICv2: the CPU interface.
pub mod gicc {
    /// Control.
    pub const CTLR: u64 = 0x00;
    /// Priority mask.
    pub const PMR: u64 = 0x04;
    /// Acknowledges an interrupt.
    pub const IAR: u64 = 0x0c;
    /// Ends an interrupt.
    pub const EOIR: u64 = 0x10;
}
