// SPDX-License-Identifier: Apache-2.0
//! The walk through all functions of a segment that takes their bus mastering away.
//!
//! Nothing that is read is trusted: a kernel has set up bridges and functions. A bus is looked at once, whoever
//! leads to it, so that the walk ends; and it ends early where it takes too long.

use super::capabilities::Express;
use super::{ABSENT, COMMAND_STATUS, ConfigSpace, Ecam, Function};
use arrayvec::ArrayVec;

/// Registers of every function, and bits in them (PCI Express Base Specification 6.0, 7.5.1).
const VENDOR: u16 = 0x00;
/// Of Command: the function may write to memory, and read it.
pub const BUS_MASTER: u32 = 1 << 2;
/// Status, whose bits a one clears.
const STATUS: u32 = 0xffff << 16;
const HEADER: u16 = 0x0c;
const MULTI_FUNCTION: u32 = 1 << 23;
/// Register of a bridge with the bus behind it.
const BUSES: u16 = 0x18;

/// Devices of a bus, and functions of a device.
const DEVICES: u8 = 32;
const FUNCTIONS: u8 = 8;
/// Bridges that are kept for the end. Each leads to another of 256 buses, but for those that lead nowhere.
const BRIDGES: usize = 256;

/// A set of buses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buses([u64; 4]);

impl Buses {
    /// Returns whether a bus is in it.
    pub fn has(&self, bus: u8) -> bool {
        self.0[usize::from(bus / 64)] & 1 << (bus % 64) != 0
    }

    /// Adds a bus; returns whether it was not in it.
    pub fn add(&mut self, bus: u8) -> bool {
        let new = !self.has(bus);
        self.0[usize::from(bus / 64)] |= 1 << (bus % 64);
        new
    }

    /// Takes the lowest bus out.
    fn take(&mut self) -> Option<u8> {
        let place = self.0.iter().position(|word| *word != 0)?;
        let bit = self.0[place].trailing_zeros();
        self.0[place] &= self.0[place] - 1;
        u8::try_from(place as u32 * 64 + bit).ok()
    }
}

/// What a walk has found and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Functions that are there.
    pub functions: u64,
    /// Those that were masters of their bus, and are not any more.
    pub cleared: u64,
    /// Those that stay masters whatever is written.
    pub kept: u64,
    /// The last of those.
    pub last_kept: Option<Function>,
    /// The walk took too long: there may be more.
    pub is_late: bool,
}

/// Returns the buses of `ecam` that have devices and that no bridge leads to, as firmware has left it. The search
/// ends where `late` is true.
pub fn roots(ecam: &Ecam, space: &impl ConfigSpace, mut late: impl FnMut() -> bool) -> Buses {
    let mut roots = Buses::default();
    roots.add(ecam.first);
    if ecam.one_root {
        return roots;
    }
    let mut seen = Buses::default();
    for bus in ecam.first..=ecam.last {
        if late() {
            break;
        }
        if seen.has(bus) || !is_used(space, bus) {
            continue;
        }
        roots.add(bus);
        let mut walk = Walk::new(ecam, space, &mut late);
        walk.seen = seen;
        walk.reach(bus, false);
        walk.all(|_, _| {});
        seen = walk.seen;
    }
    roots
}

/// Takes bus mastering away from all functions of `ecam` that are to be found from the buses `roots` on:
/// endpoints first, then bridges, those that are furthest from a root first. `each` is called with those that had
/// it, `late` between devices: the walk ends where that is true.
///
/// What each had written before has left it when this returns: it does not pass a read's answer (2.4.1).
pub fn stop(
    ecam: &Ecam,
    roots: Buses,
    space: &impl ConfigSpace,
    late: impl FnMut() -> bool,
    mut each: impl FnMut(Function),
) -> Stopped {
    let mut stopped = Stopped::default();
    let mut bridges = ArrayVec::<Function, BRIDGES>::new();
    let mut walk = Walk::new(ecam, space, late);
    let mut roots = roots;
    while let Some(root) = roots.take() {
        walk.reach(root, false);
    }
    walk.all(|function, is_bridge| {
        if !is_bridge || bridges.try_push(function).is_err() {
            clear(space, function, &mut stopped, &mut each);
        }
    });
    stopped.is_late = walk.is_late;
    for bridge in bridges.iter().rev() {
        clear(space, *bridge, &mut stopped, &mut each);
    }
    stopped
}

/// Takes bus mastering away from a function that is there.
fn clear(
    space: &impl ConfigSpace,
    function: Function,
    stopped: &mut Stopped,
    each: &mut impl FnMut(Function),
) {
    stopped.functions += 1;
    let command = space.read(function, COMMAND_STATUS);
    if command == ABSENT || command & BUS_MASTER == 0 {
        return;
    }
    // Some can be written by 32 bits alone.
    let without = command & !BUS_MASTER & !STATUS;
    space.write(function, COMMAND_STATUS, without);
    let now = space.read(function, COMMAND_STATUS);
    if now != ABSENT && now & BUS_MASTER != 0 {
        stopped.kept += 1;
        stopped.last_kept = Some(function);
        return;
    }
    stopped.cleared += 1;
    each(function);
}

fn is_used(space: &impl ConfigSpace, bus: u8) -> bool {
    let first = |device: u8| Function {
        bus,
        number: device << 3,
    };
    (0..DEVICES).any(|device| is_there(space, first(device)))
}

#[inline]
fn is_there(space: &impl ConfigSpace, function: Function) -> bool {
    // One in reset answers 0x0001, and has its Vendor ID later (2.3.2).
    space.read(function, VENDOR) as u16 != ABSENT as u16
}

/// A walk from bus to bus.
struct Walk<'a, S, L> {
    ecam: &'a Ecam,
    space: &'a S,
    late: L,
    is_late: bool,
    /// Buses that are known.
    seen: Buses,
    /// Those of them that were not looked at.
    left: Buses,
    /// Those that are a link.
    links: Buses,
}

impl<'a, S: ConfigSpace, L: FnMut() -> bool> Walk<'a, S, L> {
    fn new(ecam: &'a Ecam, space: &'a S, late: L) -> Self {
        Self {
            ecam,
            space,
            late,
            is_late: false,
            seen: Buses::default(),
            left: Buses::default(),
            links: Buses::default(),
        }
    }

    /// Something leads to a bus.
    fn reach(&mut self, bus: u8, is_link: bool) {
        if (self.ecam.first..=self.ecam.last).contains(&bus) && self.seen.add(bus) {
            self.left.add(bus);
            if is_link {
                self.links.add(bus);
            }
        }
    }

    /// Calls `each` with every function that is to be found, and whether it is a bridge.
    fn all(&mut self, mut each: impl FnMut(Function, bool)) {
        while let Some(bus) = self.left.take() {
            let mut devices = if self.links.has(bus) { 1 } else { DEVICES };
            let mut device = 0;
            while device < devices {
                // To look at the time takes as long as to read a few that are not there.
                if device.is_multiple_of(16) && (self.late)() {
                    self.is_late = true;
                    return;
                }
                let first = Function {
                    bus,
                    number: device << 3,
                };
                if is_there(self.space, first) {
                    let mut functions = 1;
                    let mut number = 0;
                    while number < functions {
                        let function = Function {
                            bus,
                            number: first.number | number,
                        };
                        if number == 0 || is_there(self.space, function) {
                            let header = self.space.read(function, HEADER);
                            if number == 0 && header & MULTI_FUNCTION != 0 {
                                functions = FUNCTIONS;
                            }
                            if self.function(function, header, &mut each) {
                                devices = DEVICES;
                            }
                        }
                        number += 1;
                    }
                }
                device += 1;
            }
        }
    }

    /// Looks at a function; returns whether its device may have more than 8.
    fn function(
        &mut self,
        function: Function,
        header: u32,
        each: &mut impl FnMut(Function, bool),
    ) -> bool {
        let express = Express::read(self.space, function);
        // Bridges of PCI, and of CardBus.
        let is_bridge = matches!(header >> 16 & 0x7f, 1 | 2);
        if is_bridge {
            let secondary = (self.space.read(function, BUSES) >> 8) as u8;
            self.reach(secondary, express.leads_to_link);
        }
        for function in express.virtual_functions.iter().flat_map(|all| all.iter()) {
            // They have no Vendor ID of their own.
            if (self.late)() {
                self.is_late = true;
                break;
            }
            each(function, false);
        }
        each(function, is_bridge);
        express.many_functions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::Fake;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    fn ecam(first: u8, last: u8) -> Ecam {
        Ecam::new(0, first, last, 0x4000_0000, true).expect("buses")
    }

    fn at(bus: u8, device: u8, function: u8) -> Function {
        Function {
            bus,
            number: device << 3 | function,
        }
    }

    fn stop_all(ecam: &Ecam, fake: &Fake) -> (Stopped, Vec<String>) {
        let mut order = Vec::new();
        let roots = roots(ecam, fake, || false);
        let each = |function: Function| order.push(function.to_string());
        let stopped = stop(ecam, roots, fake, || false, each);
        (stopped, order)
    }

    #[test]
    fn endpoints_lose_it_before_bridges_and_the_root_last() {
        let fake = Fake::default();
        fake.bridge(at(0, 1, 0), 1, Some(4));
        fake.bridge(at(1, 0, 0), 2, Some(5));
        fake.bridge(at(2, 3, 0), 3, Some(6));
        fake.express(at(3, 0, 0), 0);
        fake.function(at(0, 31, 0), 0);
        let (stopped, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(
            order,
            ["00:1f.0", "03:00.0", "02:03.0", "01:00.0", "00:01.0"]
        );
        assert_eq!((stopped.functions, stopped.cleared), (5, 5));
    }

    #[test]
    fn functions_beyond_the_first_are_those_of_multi_function_devices() {
        let fake = Fake::default();
        fake.function(at(0, 2, 0), 0x80);
        fake.function(at(0, 2, 7), 0);
        fake.function(at(0, 3, 0), 0);
        fake.function(at(0, 3, 1), 0);
        let (stopped, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(order, ["00:02.0", "00:02.7", "00:03.0"]);
        assert_eq!(stopped.functions, 3);
        assert!(fake.is_master(at(0, 3, 1)), "an alias of function 0");
    }

    #[test]
    fn one_that_is_no_master_is_not_written_and_status_stays() {
        let fake = Fake::default();
        fake.function(at(0, 0, 0), 0);
        fake.set(at(0, 0, 0), 4, 0xf900_0003);
        fake.function(at(0, 1, 0), 0);
        fake.set(at(0, 1, 0), 4, 0xf900_0407);
        let (stopped, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(order, ["00:01.0"]);
        assert_eq!((stopped.functions, stopped.cleared), (2, 1));
        assert_eq!(*fake.writes.borrow(), [(at(0, 1, 0), 4, 0x0403)]);
    }

    #[test]
    fn virtual_functions_lose_it_though_they_have_no_vendor() {
        let fake = Fake::default();
        fake.bridge(at(0, 1, 0), 1, Some(4));
        fake.express(at(1, 0, 0), 0);
        fake.virtual_functions(at(1, 0, 0), 2, 0x80, 2);
        let (stopped, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(order, ["01:10.0", "01:10.2", "01:00.0", "00:01.0"]);
        assert_eq!(stopped.cleared, 4);
    }

    #[test]
    fn what_stays_a_master_is_counted_and_named() {
        let fake = Fake::default();
        fake.function(at(0, 0, 0), 0);
        fake.function(at(0, 4, 0), 0);
        fake.stuck.borrow_mut().push(at(0, 4, 0));
        let (stopped, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(order, ["00:00.0"]);
        assert_eq!((stopped.kept, stopped.last_kept), (1, Some(at(0, 4, 0))));
    }

    /// A kernel writes the bus behind each bridge: these lead to themselves, to each other, and out of the segment.
    #[test]
    fn bridges_that_lie_make_no_circle() {
        let fake = Fake::default();
        for (device, secondary) in [(0, 0), (1, 1), (2, 1), (3, 200)] {
            fake.bridge(at(0, device, 0), secondary, None);
        }
        fake.bridge(at(1, 0, 0), 0, None);
        fake.bridge(at(1, 1, 0), 1, None);
        fake.function(at(200, 0, 0), 0);
        let (stopped, order) = stop_all(&ecam(0, 63), &fake);
        assert_eq!(stopped.functions, 6, "{order:?}");
        assert!(fake.is_master(at(200, 0, 0)), "beyond the last bus");
    }

    #[test]
    fn everything_is_a_bridge_and_the_walk_ends() {
        let fake = Fake::default();
        for number in 0..=255 {
            fake.bridge(at(0, number >> 3, number & 7), number, None);
            fake.bridge(at(9, number >> 3, number & 7), number, None);
            fake.set(at(0, number >> 3, number & 7), 0xc, 0x0081_0000);
            fake.set(at(9, number >> 3, number & 7), 0xc, 0x0081_0000);
        }
        let (stopped, _) = stop_all(&ecam(0, 255), &fake);
        assert_eq!((stopped.functions, stopped.cleared), (512, 512));
    }

    #[test]
    fn a_link_has_one_device_unless_that_has_many_functions() {
        let fake = Fake::default();
        fake.bridge(at(0, 1, 0), 1, Some(4));
        fake.express(at(1, 0, 0), 0);
        fake.function(at(1, 2, 0), 0);
        let (_, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(order, ["01:00.0", "00:01.0"]);
        // ARI: number 16 is a function of device 0.
        fake.virtual_functions(at(1, 0, 0), 0, 0, 0);
        let (_, order) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(order, ["01:02.0"]);
    }

    #[test]
    fn buses_that_no_bridge_leads_to_are_found_where_there_may_be_some() {
        let fake = Fake::default();
        fake.bridge(at(0, 1, 0), 5, Some(4));
        fake.express(at(5, 0, 0), 0);
        fake.function(at(0x80, 3, 0), 0);
        let mut ecam = ecam(0, 255);
        let (stopped, _) = stop_all(&ecam, &fake);
        assert_eq!(stopped.functions, 2, "with one root");
        ecam.one_root = false;
        let found = roots(&ecam, &fake, || false);
        let buses: Vec<_> = (0..=255).filter(|bus| found.has(*bus)).collect();
        assert_eq!(buses, [0, 0x80]);
        let (_, order) = stop_all(&ecam, &fake);
        assert_eq!(order, ["80:03.0"]);
    }

    #[test]
    fn it_ends_where_it_is_late_and_says_so() {
        let fake = Fake::default();
        fake.function(at(0, 0, 0), 0);
        fake.function(at(0, 20, 0), 0);
        let mut looks = 0;
        let late = || {
            looks += 1;
            looks > 1
        };
        let ecam = ecam(0, 255);
        let stopped = stop(&ecam, roots(&ecam, &fake, || false), &fake, late, |_| {});
        assert!(stopped.is_late);
        assert_eq!(stopped.cleared, 1);
    }

    /// Nine reads each, and one for each place where there is no device.
    #[test]
    fn reads_of_64_functions_are_few() {
        let fake = Fake::default();
        for device in 0..8 {
            for function in 0..8 {
                fake.express(at(0, device, function), 0);
                fake.set(at(0, device, function), 0xc, 0x0080_0000);
            }
        }
        fake.reads.set(0);
        let (stopped, _) = stop_all(&ecam(0, 255), &fake);
        assert_eq!(stopped.cleared, 64);
        let reads = fake.reads.get();
        assert!(reads <= 64 * 9 + 24, "{reads} reads");
    }
}
