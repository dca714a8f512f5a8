// SPDX-License-Identifier: Apache-2.0
//! EL2 of a CPU, made ready for the guest.

use super::Machine;
use super::cpu::Cpu;
use crate::arch::tlb;
use crate::vcpu::el2;
use baton_core::hw_error::HwError;

impl Machine {
    /// Sets up EL2 of the CPU that runs this, `cpu`, for the guest ([`el2::configure`]). It is of no
    /// generation then.
    ///
    /// Stage 2 is there before it is switched on, and is empty: a CPU may walk ahead of any instruction, with
    /// whatever EL1's registers have, and some keep what they find by an address translation that they never
    /// execute (Cortex-A55 1530923, Cortex-A57 1319537, Cortex-A72 1319367, Cortex-A76 1165522). What was
    /// found before it was on is forgotten after.
    ///
    /// # Errors
    ///
    /// As [`el2::configure`].
    pub fn configure_el2(&self, cpu: &Cpu) -> Result<(), HwError> {
        self.generations.enter_none();
        let result = el2::configure(cpu.features(), self.devices);
        tlb::invalidate_el1_local();
        result
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::fake::Bench;
    use baton_core::options::Options;
    use baton_sysreg::fake::{self, Event};

    /// `HCR_EL2.VM`.
    const VM: u64 = 1;

    #[test]
    fn stage_2_is_empty_when_it_is_switched_on_and_no_translation_is_left() {
        let bench = Bench::new(Options::default());
        // A root of whoever was here before.
        fake::set("VTTBR_EL2", 0xdead_0000);
        fake::set("HCR_EL2", 0);
        let before = fake::events().len();
        let root = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = root.clone();
        fake::on_write("HCR_EL2", move |hcr| {
            if hcr & VM != 0 && seen.get() == 0 {
                seen.set(fake::get("VTTBR_EL2"));
            }
            hcr
        });
        assert_eq!(bench.machine.configure_el2(&bench.machine.cpus[0]), Ok(()));
        let root = root.get();
        assert_eq!(root >> 48, 0, "VMID of no generation");
        assert_ne!(root, 0xdead_0000, "the root when HCR_EL2.VM was set");
        for entry in 0..512 {
            let place = core::ptr::with_exposed_provenance::<u64>(root as usize + 8 * entry);
            // SAFETY: The root is memory of the machine.
            let value = unsafe { place.read_volatile() };
            assert_eq!(
                value, 0,
                "entry {entry} of the root when HCR_EL2.VM was set"
            );
        }
        let events = &fake::events()[before..];
        let on = |event: &Event| matches!(event, Event::Write("HCR_EL2", hcr) if hcr & VM != 0);
        let forgets = |event: &Event| matches!(event, Event::Execute("tlbi alle1", _));
        let (on, forgets) = (events.iter().position(on), events.iter().rposition(forgets));
        assert!(
            on.is_some() && on < forgets,
            "VM at {on:?}, TLBI at {forgets:?}"
        );
    }
}
