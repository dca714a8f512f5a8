// SPDX-License-Identifier: Apache-2.0
//! Reads a board from a sound device tree with changes: a board that is accepted is consistent, and
//! an error has a text.
#![no_main]

use baton_core::devicetree::board::Board;
use baton_core::mpidr::AFFINITY;
use baton_fuzz::input::Input;
use baton_fuzz::trees::{NODES, Sample, change};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

fuzz_target!(|data: &[u8]| {
    let mut tree = Sample::virt();
    change(&mut tree, &NODES, &mut Input::new(data));
    match Board::read(&tree.blob()) {
        Err(error) => {
            assert!(!data.is_empty(), "the sound tree: {error}");
            assert!(!error.to_string().is_empty());
        }
        Ok(board) => {
            assert!(!board.map.memory.is_empty() && !board.hardware.cpus.is_empty());
            let mpidrs: HashSet<u64> = board.hardware.cpus.iter().map(|cpu| cpu.mpidr).collect();
            assert_eq!(
                mpidrs.len(),
                board.hardware.cpus.len(),
                "two CPUs of one MPIDR"
            );
            for mpidr in mpidrs {
                assert_eq!(mpidr & !AFFINITY, 0, "MPIDR {mpidr:#x}");
            }
            for (region, next) in board.map.memory.iter().zip(board.map.memory.iter().skip(1)) {
                assert!(region.end() < next.start(), "{region} and {next}");
            }
        }
    }
});
