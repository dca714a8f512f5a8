// SPDX-License-Identifier: Apache-2.0
//! What of a function's capabilities says which other functions there are: its port, and its virtual functions.

use super::{ABSENT, COMMAND_STATUS, ConfigSpace, Function};

/// Registers of every function, and bits in them (PCI Express Base Specification 6.0, 7.5.1).
const HAS_CAPABILITIES: u32 = 1 << 20;
const CAPABILITIES: u16 = 0x34;
/// The most capabilities that fit in 256 bytes, and in 4 KiB.
const MOST: usize = 48;
const MOST_EXTENDED: usize = 480;

/// The capability that every function of PCI Express has (7.5.3), and its type of port.
const EXPRESS: u32 = 0x10;
const ROOT_PORT: u32 = 4;
const DOWNSTREAM_PORT: u32 = 6;

/// The first extended capability, and some of them: Alternative Routing-ID (7.8.8), virtual functions (9.3.3).
const EXTENDED: u16 = 0x100;
const ARI: u32 = 0x0e;
const SR_IOV: u32 = 0x10;
/// Registers of the latter: its control with VF Enable, how many there are, where the first is and how far it is
/// to the next.
const SR_IOV_CONTROL: u16 = 0x08;
const VF_ENABLE: u32 = 1 << 0;
const NUM_VFS: u16 = 0x10;
const FIRST_AND_STRIDE: u16 = 0x14;
/// Where the last one that is whole can begin: it has 64 bytes.
const LAST_SR_IOV: u16 = 0x1000 - 0x40;

/// What is looked for in a function of PCI Express.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Express {
    /// It leads to a link, which has one device at its end.
    pub leads_to_link: bool,
    /// It is of a device with more than 8 functions.
    pub many_functions: bool,
    /// The virtual functions that are enabled.
    pub virtual_functions: Option<VirtualFunctions>,
}

/// The virtual functions of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualFunctions {
    first: u16,
    stride: u16,
    count: u16,
}

impl VirtualFunctions {
    /// Returns them, in the order of their Routing IDs, up to where these would begin anew.
    pub fn iter(self) -> impl Iterator<Item = Function> {
        let id = move |n: u16| {
            let offset = u32::from(n) * u32::from(self.stride);
            u16::try_from(u32::from(self.first) + offset).ok()
        };
        (0..self.count).map_while(id).map(Function::with_id)
    }
}

impl Express {
    /// Reads the capabilities of `function`; nothing of one that has none of PCI Express.
    pub fn read(space: &impl ConfigSpace, function: Function) -> Self {
        let mut express = Self::default();
        let Some(port) = port(space, function) else {
            return express;
        };
        express.leads_to_link = matches!(port, ROOT_PORT | DOWNSTREAM_PORT);
        let mut at = EXTENDED;
        for _ in 0..MOST_EXTENDED {
            let header = space.read(function, at);
            if header == 0 || header == ABSENT {
                break;
            }
            match header & 0xffff {
                ARI => express.many_functions = true,
                SR_IOV => express.virtual_functions = virtual_functions(space, function, at),
                _ => {}
            }
            at = (header >> 20) as u16 & !3;
            if at < EXTENDED {
                break;
            }
        }
        express
    }
}

/// Returns the type of port of a function of PCI Express.
fn port(space: &impl ConfigSpace, function: Function) -> Option<u32> {
    if space.read(function, COMMAND_STATUS) & HAS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = space.read(function, CAPABILITIES) as u8 & !3;
    for _ in 0..MOST {
        if at < 0x40 {
            break;
        }
        let header = space.read(function, at.into());
        match header & 0xff {
            EXPRESS => return Some(header >> 20 & 0xf),
            0xff => break,
            _ => at = (header >> 8) as u8 & !3,
        }
    }
    None
}

fn virtual_functions(
    space: &impl ConfigSpace,
    function: Function,
    at: u16,
) -> Option<VirtualFunctions> {
    if at > LAST_SR_IOV {
        return None;
    }
    let register = |offset| space.read(function, at + offset);
    if register(SR_IOV_CONTROL) & VF_ENABLE == 0 {
        return None;
    }
    let place = register(FIRST_AND_STRIDE);
    Some(VirtualFunctions {
        first: function.id().checked_add(place as u16)?,
        stride: (place >> 16) as u16,
        count: register(NUM_VFS) as u16,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::Fake;
    use alloc::vec::Vec;

    const NIC: Function = Function { bus: 1, number: 0 };

    #[test]
    fn a_function_without_capabilities_has_nothing() {
        let fake = Fake::default();
        fake.function(NIC, 0);
        assert_eq!(Express::read(&fake, NIC), Express::default());
    }

    #[test]
    fn ports_that_lead_to_a_link_are_known() {
        for (port, expected) in [(0, false), (4, true), (5, false), (6, true), (7, false)] {
            let fake = Fake::default();
            fake.express(NIC, port);
            let seen = Express::read(&fake, NIC).leads_to_link;
            assert_eq!(seen, expected, "port {port}");
        }
    }

    #[test]
    fn virtual_functions_are_where_first_and_stride_say() {
        let fake = Fake::default();
        fake.express(NIC, 0);
        fake.virtual_functions(NIC, 3, 0x80, 2);
        let express = Express::read(&fake, NIC);
        assert!(express.many_functions, "ARI");
        let functions = express.virtual_functions.expect("they are enabled");
        let ids: Vec<_> = functions.iter().map(Function::id).collect();
        assert_eq!(ids, [0x180, 0x182, 0x184]);
        fake.set(NIC, 0x148, 0);
        assert_eq!(Express::read(&fake, NIC).virtual_functions, None);
    }

    #[test]
    fn virtual_functions_end_with_the_segment() {
        let functions = VirtualFunctions {
            first: 0xff00,
            stride: 0x80,
            count: u16::MAX,
        };
        let ids: Vec<_> = functions.iter().map(Function::id).collect();
        assert_eq!(ids, [0xff00, 0xff80]);
    }

    /// A guest can write some devices' capabilities: lists may be circles, and lead anywhere.
    #[test]
    fn lists_that_are_circles_end() {
        let fake = Fake::default();
        fake.express(NIC, 0);
        fake.set(NIC, 0x40, 0x4005);
        assert_eq!(Express::read(&fake, NIC), Express::default());
        fake.express(NIC, 0);
        fake.set(NIC, 0x100, 0x1001_0001);
        assert_eq!(Express::read(&fake, NIC), Express::default());
        fake.set(NIC, 0x100, 0xffc1_0001);
        fake.set(NIC, 0xffc, 0x0001_0010);
        assert_eq!(Express::read(&fake, NIC), Express::default());
    }
}
