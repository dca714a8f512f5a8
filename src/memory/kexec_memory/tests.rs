// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::arch::fake::mmio::{self, Memory};
use crate::memory::stage1::{MmuConfig, VaSize};
use aarch64_paging::descriptor::PhysicalAddress;
use alloc::boxed::Box;
use baton_core::memory::hotplug::Room;
use baton_core::memory::region::RegionSet;
use baton_sysreg::fake;

/// What is at the beginning of a word that a test reads.
const WORD: u64 = 0x1234_5678_9abc_def0;
/// Normal memory, and a device's, as `PAR_EL1.ATTR` has them.
const NORMAL: u64 = 0xff << 56;
const DEVICE: u64 = 0x04 << 56;
const UNMAPPED: u64 = 1;

/// A table without entries.
#[repr(align(4096))]
struct Root(#[expect(dead_code)] [u64; 512]);

/// A guest with a MiB of memory, and four MiB that were plugged in, of which the second block is all there.
struct Guest {
    ram: GuestRam,
    plugged: Memory,
    boot: Memory,
    _root: Box<Root>,
    hot: HotPlugged,
    linear: LinearMap,
}

/// Returns a guest in whose linear map each page has the attributes, or none, that `attributes` says.
fn guest(taken: &[Region], attributes: impl Fn(u64) -> u64 + 'static) -> Guest {
    fake::reset();
    let boot = Memory::new(1 << 20);
    let plugged = Memory::new(2 * BLOCK as usize);
    let mut banks = RegionSet::new();
    banks.insert(Region::new(boot.base() as u64, 1 << 20).expect("a region"));
    let offset = 0xffff_0000_0000_0000;
    fake::on_instruction("at s1e1r", move |address| {
        let page = (address - offset) & !0xfff;
        let par = match attributes(page) {
            UNMAPPED => UNMAPPED,
            attributes => attributes | page | 0xb80,
        };
        fake::set("PAR_EL1", par);
    });
    let root = Box::new(Root([0; 512]));
    let address = PhysicalAddress(core::ptr::from_ref(&*root) as usize);
    // SAFETY: The tables are the test's.
    let hot = unsafe { HotPlugged::new(&MmuConfig::new(address, VaSize::Bits48, 5, true)) };
    Guest {
        // SAFETY: It is memory of the test's own.
        ram: unsafe { GuestRam::new(banks, Room::new(taken.iter(), 1 << 48)) },
        plugged,
        boot,
        _root: root,
        hot,
        linear: LinearMap::of(offset | 0x1000, 0x1000),
    }
}

impl Guest {
    fn page(&self) -> u64 {
        (self.plugged.base() as u64).next_multiple_of(BLOCK)
    }

    fn search(&mut self) -> Search<'_> {
        Search::new(&self.ram, &mut self.hot, Some(self.linear))
    }

    fn found(&self) -> KexecMemory<'_> {
        KexecMemory {
            ram: &self.ram,
            hot: &self.hot,
        }
    }
}

#[test]
fn what_the_kernel_has_as_memory_is_found() {
    let mut guest = guest(&[], |_| NORMAL);
    let page = guest.page();
    mmio::poke64(page as usize + 8, WORD);
    assert!(!guest.found().contains(page, PAGE), "not looked at yet");
    let search = guest.search();
    assert!(search.contains(page, PAGE));
    assert_eq!(search.read_u64(page + 8), Some(WORD));
    let found = guest.found();
    assert!(found.contains(page, PAGE));
    assert_eq!(found.read_u64(page + 8), Some(WORD));
    assert!(found.range(page, PAGE).is_some());
    assert!(!found.contains(page + BLOCK, 8), "the next block");
    guest.hot.clear();
    assert!(!guest.found().contains(page, PAGE), "cleared");
}

#[test]
fn what_the_kernel_has_not_as_memory_is_not() {
    for attributes in [DEVICE, UNMAPPED, 0x44 << 56, NORMAL | PAGE] {
        let mut guest = guest(&[], move |_| attributes);
        let page = guest.page();
        let search = guest.search();
        assert!(!search.contains(page, PAGE), "{attributes:#x}");
        assert_eq!(search.read_u64(page), None, "{attributes:#x}");
        assert!(!guest.found().contains(page, PAGE), "{attributes:#x}");
    }
}

#[test]
fn each_page_is_looked_at() {
    let mut guest = guest(&[], |page| if page & PAGE == 0 { NORMAL } else { DEVICE });
    let page = guest.page();
    assert!(guest.search().contains(page, PAGE));
    assert!(!guest.search().contains(page + PAGE, PAGE));
    assert!(!guest.search().contains(page, 2 * PAGE));
    guest.hot.clear();
}

#[test]
fn what_the_board_has_is_not_looked_at() {
    let first = guest(&[], |_| NORMAL);
    let device = Region::new(first.page() + 0x10_0000, 0x1000).expect("a region");
    let mut guest = guest(&[device], |_| NORMAL);
    guest.plugged = first.plugged;
    let page = guest.page();
    assert!(!guest.search().contains(page, PAGE));
    assert!(!fake::instructions().iter().any(|i| i.starts_with("ldr")));
}

#[test]
fn without_a_linear_map_nothing_is_found() {
    let mut guest = guest(&[], |_| NORMAL);
    let page = guest.page();
    assert!(!Search::new(&guest.ram, &mut guest.hot, None).contains(page, 8));
    // Page tables of user space are no proof.
    let lower = LinearMap::of(page, page);
    assert!(!Search::new(&guest.ram, &mut guest.hot, Some(lower)).contains(page, 8));
}

#[test]
fn the_guest_may_name_what_can_be_plugged_in() {
    let device = Region::new(0x900_0000, 0x1000).expect("a region");
    let guest = guest(&[device], |_| UNMAPPED);
    let memory = guest.ram.with_hot_plugged();
    let bank = guest.boot.base() as u64;
    assert!(memory.contains(bank, 1 << 20) && memory.contains(guest.page(), BLOCK));
    assert!(!memory.contains(0x900_0000, 8) && !memory.contains(0x91f_fff8, 16));
    assert_eq!(
        memory.read_u64(guest.page()),
        None,
        "nor does the monitor read it"
    );
}

#[test]
fn a_search_ends() {
    let mut guest = guest(&[], |_| NORMAL);
    let pages = guest.ram.banks().total() / PAGE;
    let start = guest.page();
    assert!(!guest.search().contains(start, (pages + 1) * PAGE));
    guest.hot.clear();
}
