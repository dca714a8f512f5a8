// SPDX-License-Identifier: Apache-2.0
//! Reads the modules below /chosen: a kernel that is accepted is where a `reg` says, and an error
//! has a text.
#![no_main]

use baton_core::devicetree::board::Board;
use baton_fuzz::input::Input;
use baton_fuzz::trees::{MODULE_NODES, Sample, change};
use dtoolkit::{Node, Property};
use libfuzzer_sys::fuzz_target;

/// Returns whether a child of /chosen says that it is at `start`, in one cell or in two.
fn is_said(tree: &mut Sample, start: u64) -> bool {
    let chosen = tree.node("/chosen");
    chosen.children().any(|module| {
        module.property("reg").is_some_and(|reg| {
            let reg = reg.value();
            let narrow = u32::try_from(start).map(u32::to_be_bytes);
            reg.starts_with(&start.to_be_bytes()) || narrow.is_ok_and(|at| reg.starts_with(&at))
        })
    })
}

fuzz_target!(|data: &[u8]| {
    let mut tree = Sample::virt();
    change(&mut tree, &MODULE_NODES, &mut Input::new(data));
    match Board::read(&tree.blob()) {
        Err(error) => {
            assert!(!data.is_empty(), "the sound tree: {error}");
            assert!(!error.to_string().is_empty());
        }
        Ok(board) => {
            let modules = board.map.modules;
            for region in [Some(modules.kernel), modules.ramdisk]
                .into_iter()
                .flatten()
            {
                assert!(is_said(&mut tree, region.start()), "a module at {region}");
            }
            if let Some(line) = modules.bootargs {
                assert!(!line.contains('\0'), "a command line with a NUL: {line:?}");
            }
        }
    }
});
