//! LPIs of a redistributor, physical and virtual (Arm IHI 0069, 5.1 and 12.11).

use super::redistributor::Redistributor;
use super::{RWP_US, wait_clear};
use crate::teardown::error::StepError;
use crate::vcpu::verify::expect;
use arm_gic::gicv3::registers::GicrCtlr;
use safe_mmio::fields::ReadPureWrite;
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits 51 to 12 of `GICR_PROPBASER` and, with zeros, of `GICR_PENDBASER`: where the table is.
/// Cacheability and shareability may be fixed.
const TABLE: u64 = 0xf_ffff_ffff_f000;

/// `GICR_VPENDBASER.Valid`, `GICR_VPROPBASER.Valid` (GICv4.1).
const VALID: u64 = 1 << 63;

/// `GICR_VPENDBASER.Dirty`: the virtual pending table is still being written.
const DIRTY: u64 = 1 << 60;

/// The registers of VLPI_base.
#[derive(Clone, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C, align(8))]
pub struct Vlpi {
    _reserved0: [u32; 28],
    /// `GICR_VPROPBASER`, at 0x70.
    vpropbaser: ReadPureWrite<u64>,
    /// `GICR_VPENDBASER`, at 0x78.
    vpendbaser: ReadPureWrite<u64>,
}

impl Redistributor {
    /// Switches LPIs off and forgets their tables; first the virtual ones.
    ///
    /// # Errors
    ///
    /// [`StepError::Timeout`] if the redistributor does not say in time that it is done;
    /// [`StepError::Sticky`] with `GICR_CTLR` if LPIs cannot be switched off any more
    /// (`GICR_CTLR.CES` may be clear then): the tables stay in use, and stay named.
    pub fn reset_lpis(&mut self) -> Result<(), StepError> {
        let typer = field_shared!(self.gicr(), typer).read();
        if !typer.physical_lpis_supported() {
            return Ok(());
        }
        let result = self.reset_virtual_lpis();
        let mut gicr = self.gicr();
        let ctlr = field_shared!(gicr, ctlr).read();
        field!(gicr, ctlr).write(ctlr - GicrCtlr::EnableLPIs);
        let result = result.and(self.wait());

        let mut gicr = self.gicr();
        let enabled = field_shared!(gicr, ctlr).read();
        if enabled.contains(GicrCtlr::EnableLPIs) {
            // Writing the table registers now would be UNPREDICTABLE.
            return result.and(Err(StepError::Sticky {
                register: "GICR_CTLR",
                wanted: (ctlr - GicrCtlr::EnableLPIs).bits().into(),
                found: enabled.bits().into(),
            }));
        }
        field!(gicr, propbaser).write(0);
        field!(gicr, pendbaser).write(0);
        let propbaser = field_shared!(gicr, propbaser).read();
        let pendbaser = field_shared!(gicr, pendbaser).read();
        result
            .and(expect("GICR_PROPBASER", 0, TABLE, propbaser))
            .and(expect("GICR_PENDBASER", 0, TABLE, pendbaser))
    }

    /// Leaves no virtual CPU resident, and no table of virtual LPIs (GICv4).
    fn reset_virtual_lpis(&mut self) -> Result<(), StepError> {
        let Some(mut vlpi) = self.virtual_lpis.as_mut().map(UniqueMmioPointer::reborrow) else {
            return Ok(());
        };
        let resident = field_shared!(vlpi, vpendbaser).read();
        if resident & VALID != 0 {
            field!(vlpi, vpendbaser).write(resident & !VALID);
        }
        let result = wait_clear(
            "GICR_VPENDBASER",
            RWP_US,
            || field_shared!(vlpi, vpendbaser).read(),
            |vpendbaser| vpendbaser & (DIRTY | VALID) != 0,
        );
        field!(vlpi, vpendbaser).write(0);
        field!(vlpi, vpropbaser).write(0);
        let vpendbaser = field_shared!(vlpi, vpendbaser).read();
        result.and(expect("GICR_VPENDBASER", 0, VALID, vpendbaser))
    }
}
