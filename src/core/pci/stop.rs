// SPDX-License-Identifier: Apache-2.0
//! The walk through all functions of a segment that takes their bus mastering away: by all CPUs at once, each bus by
//! one of them.
//!
//! Nothing that is read is trusted: a kernel has set up bridges and functions. A bus is looked at once, and once more if
//! it turns out to be no link, whoever leads to it, so that the walk ends; and it ends early where it takes too long.

use super::buses::{Buses, SharedBuses};
use super::capabilities::Express;
use super::{ABSENT, COMMAND_STATUS, ConfigSpace, Ecam, Function};
use crate::sync::Lock;
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

/// What one CPU has found and done.
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

/// How far the functions of a segment are stopped.
pub struct Stopping {
    ecam: Ecam,
    /// Buses that were found at first, and those of them that are a link: CPUs begin with these, so that each has one
    /// to look at. A kernel may have set up others since.
    known: Buses,
    known_links: Buses,
    /// Buses that are known by now.
    seen: SharedBuses,
    /// Those of them that no CPU looks at yet.
    left: SharedBuses,
    /// Those that are a link.
    links: SharedBuses,
    /// Bridges that were found.
    bridges: Lock<ArrayVec<Function, BRIDGES>>,
}

impl Stopping {
    /// Looks for the buses of `ecam`: those that have devices and that no bridge leads to, as firmware has left it, and
    /// those behind them. The search ends where `late` is true.
    pub fn new(ecam: Ecam, space: &impl ConfigSpace, mut late: impl FnMut() -> bool) -> Self {
        let mut stopping = Self {
            ecam,
            known: Buses::default(),
            known_links: Buses::default(),
            seen: SharedBuses::default(),
            left: SharedBuses::default(),
            links: SharedBuses::default(),
            bridges: Lock::new(ArrayVec::new()),
        };
        let last = if ecam.one_root { ecam.first } else { ecam.last };
        for bus in ecam.first..=last {
            let is_first = bus == ecam.first;
            if !is_first && (late() || stopping.seen.has(bus) || !is_used(space, bus)) {
                continue;
            }
            stopping.reach(bus, false);
            let found = stopping.walk(space, &mut late, |_, _| {});
            if found.is_err() {
                break;
            }
        }
        stopping.known = stopping.seen.get();
        stopping.known_links = stopping.links.get();
        stopping
    }

    /// Prepares for all functions to be stopped. To be called by one CPU, when no other stops any.
    pub fn begin(&self) {
        self.seen.set(self.known);
        self.links.set(self.known_links);
        self.left.set(self.known);
        self.bridges.lock().clear();
    }

    /// Takes bus mastering away from the functions of buses that no other CPU looks at, but for bridges. `each` is
    /// called with those that had it, `late` between devices: the walk ends where that is true.
    ///
    /// Those of all buses are stopped when all CPUs that call this have returned.
    pub fn stop_functions(
        &self,
        space: &impl ConfigSpace,
        late: impl FnMut() -> bool,
        mut each: impl FnMut(Function),
    ) -> Stopped {
        let mut stopped = Stopped::default();
        let walked = self.walk(space, late, |function, is_bridge| {
            if !is_bridge || self.bridges.lock().try_push(function).is_err() {
                clear(space, function, &mut stopped, &mut each);
            }
        });
        stopped.is_late = walked.is_err();
        stopped
    }

    /// Takes bus mastering away from the bridges that were found: those that are furthest from a root first, by the
    /// usual numbers of buses. To be called by one CPU, when all other functions are stopped.
    ///
    /// What each had written before has left the bridges when this returns: it does not pass a read's answer (2.4.1).
    pub fn stop_bridges(
        &self,
        space: &impl ConfigSpace,
        mut each: impl FnMut(Function),
    ) -> Stopped {
        let mut stopped = Stopped::default();
        let mut bridges = self.bridges.lock();
        loop {
            let furthest = bridges
                .iter()
                .enumerate()
                .max_by_key(|(_, bridge)| **bridge);
            let Some((place, &bridge)) = furthest else {
                return stopped;
            };
            bridges.swap_remove(place);
            clear(space, bridge, &mut stopped, &mut each);
        }
    }

    /// Something leads to a bus.
    fn reach(&self, bus: u8, is_link: bool) {
        if !(self.ecam.first..=self.ecam.last).contains(&bus) {
            return;
        }
        let is_new = self.seen.add(bus);
        if is_new && is_link {
            self.links.add(bus);
        }
        // One that was taken for a link was looked at in part.
        let is_no_link = !is_link && self.links.remove(bus);
        if is_new || is_no_link {
            self.left.add(bus);
        }
    }

    /// Calls `each` with every function of buses that no other CPU looks at, and whether it is a bridge.
    fn walk(
        &self,
        space: &impl ConfigSpace,
        late: impl FnMut() -> bool,
        each: impl FnMut(Function, bool),
    ) -> Result<(), Late> {
        let mut walk = Walk {
            stopping: self,
            space,
            late,
            each,
        };
        while let Some(bus) = self.left.take() {
            walk.bus(bus)?;
        }
        Ok(())
    }
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

/// The walk took too long.
struct Late;

/// What one CPU walks with.
struct Walk<'a, S, L, E> {
    stopping: &'a Stopping,
    space: &'a S,
    late: L,
    each: E,
}

impl<S: ConfigSpace, L: FnMut() -> bool, E: FnMut(Function, bool)> Walk<'_, S, L, E> {
    fn check_time(&mut self) -> Result<(), Late> {
        if (self.late)() { Err(Late) } else { Ok(()) }
    }

    /// Looks at all functions of a bus.
    fn bus(&mut self, bus: u8) -> Result<(), Late> {
        let is_link = self.stopping.links.has(bus);
        let mut devices = if is_link { 1 } else { DEVICES };
        let mut device = 0;
        while device < devices {
            // To look at the time takes as long as to read a few that are not there.
            if device.is_multiple_of(16) {
                self.check_time()?;
            }
            let first = Function {
                bus,
                number: device << 3,
            };
            if is_there(self.space, first) && self.device(first)? {
                devices = DEVICES;
            }
            device += 1;
        }
        Ok(())
    }

    /// Looks at all functions of the device of which `first` is the first; returns whether it may have more than 8.
    fn device(&mut self, first: Function) -> Result<bool, Late> {
        let header = self.space.read(first, HEADER);
        let mut has_many = self.function(first, header)?;
        if header & MULTI_FUNCTION != 0 {
            for number in 1..FUNCTIONS {
                let function = Function {
                    number: first.number | number,
                    ..first
                };
                if is_there(self.space, function) {
                    let header = self.space.read(function, HEADER);
                    has_many |= self.function(function, header)?;
                }
            }
        }
        Ok(has_many)
    }

    /// Looks at a function; returns whether its device may have more than 8.
    fn function(&mut self, function: Function, header: u32) -> Result<bool, Late> {
        let express = Express::read(self.space, function);
        // Bridges of PCI, and of CardBus.
        let is_bridge = matches!(header >> 16 & 0x7f, 1 | 2);
        if is_bridge {
            let secondary = (self.space.read(function, BUSES) >> 8) as u8;
            self.stopping.reach(secondary, express.leads_to_link);
        }
        for function in express.virtual_functions.iter().flat_map(|all| all.iter()) {
            // They have no Vendor ID of their own.
            self.check_time()?;
            (self.each)(function, false);
        }
        (self.each)(function, is_bridge);
        Ok(express.many_functions)
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
        let stopping = Stopping::new(*ecam, fake, || false);
        stop_by_one(&stopping, fake)
    }

    fn stop_by_one(stopping: &Stopping, fake: &Fake) -> (Stopped, Vec<String>) {
        let mut order = Vec::new();
        let mut each = |function: Function| order.push(function.to_string());
        stopping.begin();
        let functions = stopping.stop_functions(fake, || false, &mut each);
        let bridges = stopping.stop_bridges(fake, &mut each);
        let stopped = Stopped {
            functions: functions.functions + bridges.functions,
            cleared: functions.cleared + bridges.cleared,
            ..functions
        };
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
        let found = Stopping::new(ecam, &fake, || false).known;
        let buses: Vec<_> = (0..=255).filter(|bus| found.has(*bus)).collect();
        assert_eq!(buses, [0, 5, 0x80]);
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
        let stopping = Stopping::new(ecam(0, 255), &fake, || false);
        stopping.begin();
        let stopped = stopping.stop_functions(&fake, late, |_| {});
        assert!(stopped.is_late);
        assert_eq!(stopped.cleared, 1);
    }

    /// The boot CPU has found buses 1 and 2; of two CPUs, the second one comes when the first one has looked at bus 0.
    #[test]
    fn each_cpu_looks_at_other_buses() {
        let fake = Fake::default();
        fake.bridge(at(0, 1, 0), 1, Some(4));
        fake.bridge(at(0, 2, 0), 2, Some(4));
        fake.express(at(1, 0, 0), 0);
        fake.express(at(2, 0, 0), 0);
        let stopping = Stopping::new(ecam(0, 255), &fake, || false);
        stopping.begin();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let stopped = stopping.stop_functions(
            &fake,
            || false,
            |function| {
                if first.is_empty() {
                    stopping.stop_functions(&fake, || false, |f| second.push(f.to_string()));
                }
                first.push(function.to_string());
            },
        );
        assert_eq!(
            (first, second),
            (vec!["01:00.0".into()], vec!["02:00.0".into()])
        );
        assert_eq!(stopped.functions, 1);
        let mut bridges = Vec::new();
        stopping.stop_bridges(&fake, |bridge| bridges.push(bridge.to_string()));
        assert_eq!(bridges, ["00:02.0", "00:01.0"]);
    }

    /// The kernel has given other numbers to buses than firmware.
    #[test]
    fn a_bus_that_is_no_link_any_more_is_looked_at_as_a_whole() {
        let fake = Fake::default();
        fake.bridge(at(0, 1, 0), 1, Some(4));
        fake.express(at(1, 0, 0), 0);
        let stopping = Stopping::new(ecam(0, 255), &fake, || false);
        fake.bridge(at(0, 1, 0), 2, Some(4));
        fake.bridge(at(0, 2, 0), 1, None);
        fake.function(at(1, 9, 0), 0);
        fake.express(at(2, 0, 0), 0);
        let (stopped, order) = stop_by_one(&stopping, &fake);
        assert_eq!(
            order,
            ["01:00.0", "01:09.0", "02:00.0", "00:02.0", "00:01.0"]
        );
        assert_eq!(stopped.cleared, 5);
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
        let stopping = Stopping::new(ecam(0, 255), &fake, || false);
        fake.reads.set(0);
        let (stopped, _) = stop_by_one(&stopping, &fake);
        assert_eq!(stopped.cleared, 64);
        let reads = fake.reads.get();
        assert!(reads <= 64 * 9 + 24, "{reads} reads");
    }
}
