//! The interrupt controller, which belongs to the guest and is left by the monitor as at reset.

pub mod v3;

/// The interrupt controller of the machine.
pub enum Gic {
    /// GICv3 or GICv4.
    V3(v3::GicV3),
}
