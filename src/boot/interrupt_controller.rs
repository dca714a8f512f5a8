// SPDX-License-Identifier: Apache-2.0
//! The interrupt controller that the machine has.

use super::stop::stop;
use crate::gic::{Gic, bcm2836, v2, v3};
use alloc::vec::Vec;
use baton_core::devicetree::gic::{Gic as GicNode, GicV3 as GicV3Node};
use core::ptr::NonNull;

/// Returns the interrupt controller that `node` describes, whose registers `map` has mapped. Stops if
/// it is not there.
pub fn find(node: &GicNode) -> Gic {
    match node {
        GicNode::V3(node) => Gic::V3(
            gic_v3(node)
                .unwrap_or_else(|error| stop(format_args!("interrupt controller: {error}"))),
        ),
        GicNode::V2(node) => {
            let [gicd, gicc] = [node.distributor, node.cpu_interface].map(|r| r.start() as usize);
            // SAFETY: `map` mapped them as devices, and only this uses them.
            let gic = unsafe { v2::GicV2::new(gicd, gicc) };
            Gic::V2(gic.unwrap_or_else(|error| stop(format_args!("interrupt controller: {error}"))))
        }
        GicNode::Bcm2836(local) => {
            let base = NonNull::new(local.start() as *mut u8)
                .unwrap_or_else(|| stop(format_args!("interrupt controller: its address is 0")));
            // SAFETY: `map` mapped it as a device, by pages, and only this uses it.
            Gic::Bcm2836(unsafe { bcm2836::Bcm2836::new(base) })
        }
    }
}

fn gic_v3(node: &GicV3Node) -> Result<v3::GicV3, v3::frames::FrameError> {
    let redistributors: Vec<_> = node
        .redistributors
        .iter()
        .map(|region| v3::frames::Region {
            base: region.start() as usize,
            size: region.size() as usize,
        })
        .collect();
    let its: Vec<_> = node
        .its
        .iter()
        .map(|region| region.start() as usize)
        .collect();
    let stride = node.redistributor_stride.map(|stride| stride as usize);
    // SAFETY: `map` mapped them as devices, and only this uses them.
    let mut gic = unsafe {
        v3::GicV3::new(
            node.distributor.start() as usize,
            &redistributors,
            stride,
            &its,
        )
    }?;
    gic.coherent = node.coherent;
    Ok(gic)
}
