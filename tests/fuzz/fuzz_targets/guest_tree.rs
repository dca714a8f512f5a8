// SPDX-License-Identifier: Apache-2.0
//! Makes the guest's tree from a sound one with changes: it keeps out of the monitor's memory, and
//! has the guest's command line and ramdisk.
#![no_main]

use baton_core::devicetree::blob;
use baton_core::devicetree::board::Board;
use baton_core::devicetree::cpus::{self, Cpu, EnableMethod};
use baton_core::devicetree::guest_tree::{GuestTree, guest_tree};
use baton_core::devicetree::survey;
use baton_core::memory::region::Region;
use baton_fuzz::input::Input;
use baton_fuzz::trees::{NODES, Sample, change};
use dtoolkit::{Node, Property};
use libfuzzer_sys::fuzz_target;

/// Returns a region: in the memory of the sound tree, or anywhere.
fn region(input: &mut Input<'_>) -> Option<Region> {
    let (start, size) = if input.u8().is_multiple_of(2) {
        let page = input.number(2);
        (0x4000_0000 + page * 0x1_0000, input.number(2) * 0x1_0000)
    } else {
        (input.edge(), input.edge())
    };
    Region::new(start, size).ok()
}

/// Returns whether a kernel with this tree keeps out of the monitor's memory; `None` if it is none.
fn keeps_out(tree: &[u8], monitor: &Region) -> Option<bool> {
    survey::look(tree, monitor).ok().map(|seen| seen.keeps_out)
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let monitor = region(&mut input).unwrap_or(Region::new(0x7fe0_0000, 0x20_0000).expect("one"));
    let size = usize::from(input.u8() % 16);
    let line = String::from_utf8_lossy(input.bytes(size)).into_owned();
    let offered = [0, 1].map(|mpidr| Cpu {
        mpidr,
        enable_method: EnableMethod::Psci,
    });
    let config = GuestTree {
        monitor,
        log: monitor,
        lpi_tables: region(&mut input),
        bootargs: (size > 0).then_some(&line),
        ramdisk: region(&mut input),
        cpus: &offered,
        own_psci: false,
        uefi_map: None,
        report: &[0; 1024],
        times: &[0; 264],
    };
    let mut tree = Sample::virt();
    let whole = input.is_empty();
    change(&mut tree, &NODES, &mut input);
    let before = tree.blob();
    match guest_tree(&before, &config) {
        Err(error) => {
            assert!(!whole || line.contains('\0'), "the sound tree: {error}");
            assert!(!error.to_string().is_empty());
        }
        Ok(made) => {
            assert_eq!(keeps_out(&made, &monitor), Some(true));
            let fdt = blob::open(&made).expect("a tree that opens");
            for cpu in cpus::read(fdt).into_iter().flatten() {
                assert!(
                    offered.contains(&cpu),
                    "{cpu:x?} is not offered, or not by PSCI"
                );
            }
            let chosen = fdt.find_node("/chosen").expect("/chosen");
            let said = chosen
                .property("bootargs")
                .map(|line| line.value().to_vec());
            let wanted = config
                .bootargs
                .map(|line| [line.as_bytes(), b"\0"].concat());
            assert_eq!(said, wanted, "bootargs");
            let left = chosen.children().find(|node| {
                node.property("compatible").is_some_and(|kinds| {
                    let mut kinds = kinds.value().split(|byte| *byte == 0);
                    kinds.any(|kind| kind == b"multiboot,kernel" || kind == b"multiboot,ramdisk")
                })
            });
            assert!(left.is_none(), "a module is left: {left:?}");
            let ramdisk = chosen
                .property("linux,initrd-start")
                .map(|at| at.value().to_vec());
            let wanted = config.ramdisk.map(|at| at.start().to_be_bytes().to_vec());
            assert_eq!(ramdisk, wanted, "linux,initrd-start");
            // The same can be done to the tree that was made.
            if let Ok(board) = Board::read(&before) {
                let again = guest_tree(&made, &config).expect("a tree that was made once");
                assert_eq!(keeps_out(&again, &monitor), Some(true));
                assert!(board.map.memory.iter().count() > 0);
            }
        }
    }
});
