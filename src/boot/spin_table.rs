// SPDX-License-Identifier: Apache-2.0
//! CPUs that wait in a spin table (Linux, Documentation/arch/arm64/booting.rst): all are brought into
//! the monitor before the first guest runs, and parked; where they waited may be overwritten then. Others
//! beside them may come by PSCI.

use crate::arch::{barrier, cache, time};
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use baton_core::devicetree::cpus::EnableMethod;
use baton_core::hardware::Hardware;
use baton_core::memory::region::Region;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// How long a CPU may take to come, in microseconds.
const COME_US: u64 = 100_000;
/// Bytes of what a CPU polls.
const WORD: u64 = size_of::<u64>() as u64;

unsafe extern "C" {
    /// `head.S`: where a CPU from a spin table comes in.
    fn spin_table_entry();
}

/// The CPUs, for `head.S`: where the first is, and where the last ends.
#[unsafe(no_mangle)]
static SPIN_TABLE_CPUS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Returns the words that CPUs poll.
pub fn words(hardware: &Hardware) -> impl Iterator<Item = (u64, Region)> {
    hardware
        .cpus
        .iter()
        .filter_map(|cpu| match cpu.enable_method {
            EnableMethod::SpinTable { release } => {
                Some((cpu.mpidr, Region::new(release, WORD).ok()?))
            }
            _ => None,
        })
}

/// Brings all CPUs but `boot_cpu` in that wait in a spin table.
///
/// # Safety
///
/// What [`words`] returns is mapped read-write, and nobody else's.
pub unsafe fn bring_in(hardware: &Hardware, machine: &Machine, boot_cpu: &Cpu) {
    let cpus = machine.cpus.as_ptr_range();
    let [first, end] = &SPIN_TABLE_CPUS;
    first.store(cpus.start as u64, Relaxed);
    end.store(cpus.end as u64, Relaxed);
    cache::clean_to_poc(
        &raw const SPIN_TABLE_CPUS as usize,
        size_of_val(&SPIN_TABLE_CPUS),
    );
    for (mpidr, word) in words(hardware) {
        let Some(cpu) = machine
            .cpu_by_mpidr(mpidr)
            .filter(|cpu| cpu.index != boot_cpu.index)
        else {
            continue;
        };
        // SAFETY: The caller vouches for it.
        unsafe { (word.start() as *mut u64).write_volatile(spin_table_entry as *const () as u64) };
        cache::clean_to_poc(word.start() as usize, WORD as usize);
        barrier::sev();
        match time::wait_us(COME_US, || cpu.power.is_parked()) {
            Ok(()) => machine.takeover.rendezvous.expect_boot_cpu(cpu),
            Err(error) => log::warn!(
                "cpu {}: did not leave the spin table at {:#x}: {error}; it stays OFF",
                cpu.index,
                word.start()
            ),
        }
    }
}
