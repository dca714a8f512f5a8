//! Into the guest, at the beginning of a CPU's life in a generation.

use super::Cpu;
use crate::arch::time;
use crate::exit::EL1H_MASKED;
use crate::machine::Machine;
use crate::psci::power::Start;
use crate::teardown;
use crate::vcpu::el2;
use baton_sysreg::write_sysreg;
use core::sync::atomic::Ordering::Relaxed;

unsafe extern "C" {
    fn enter_guest(x0: u64, stack_top: u64) -> !;
}

/// Enters the guest at `start` as firmware would (Documentation/arch/arm64/booting.rst, DEN0022,
/// "Initial core configuration"): EL1, MMU off, x0 = `start.context`.
///
/// The CPU's EL1 state has been reset, and it lives in generation `cpu.member.epoch()`. If that is over, the
/// CPU goes where all others of it went.
pub fn enter(cpu: &'static Cpu, start: Start) -> ! {
    if !Machine::get().generations.enter(cpu.member.epoch()) {
        teardown::join(cpu);
    }
    // See `deaf`.
    cpu.listens.store(false, Relaxed);
    el2::trap_wfi(true);
    // SAFETY: They say where the guest begins, in its own exception level.
    unsafe {
        write_sysreg!(ELR_EL2, start.entry);
        write_sysreg!(SPSR_EL2, EL1H_MASKED);
    }
    if cpu.times.online.load(Relaxed) == 0 {
        cpu.times.online.store(time::now(), Relaxed);
    }
    // SAFETY: Nothing on this CPU's stack is used again: the next exit starts at its top.
    unsafe { enter_guest(start.context, cpu.stack_top()) }
}
