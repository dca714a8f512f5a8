// SPDX-License-Identifier: Apache-2.0
//! The registers of a CPU where a crash has stopped it.

use crate::vcpu::frame::Frame;
use baton_abi::{DUMP_NO_NOTE, DUMP_NONE, DUMP_REGISTERS};
use baton_sysreg::read_sysreg;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU64};

/// How many there are: x0 to x30, SP, PC and PSTATE, as in Linux's `struct user_pt_regs`.
pub const REGISTERS: usize = 34;

/// SPSR.M\[4\]: AArch32.
const AARCH32: u64 = 1 << 4;
/// SPSR.M\[0\] of AArch64: the exception level's own SP, and not SP_EL0.
const OWN_SP: u64 = 1;

/// What is known of a CPU that a crash has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// x0 to x30, SP, PC and PSTATE.
    pub registers: [u64; REGISTERS],
    /// TPIDR_EL1, which Linux keeps the offset of the CPU's own data in.
    pub per_cpu: u64,
}

/// Where the vectors of IRQ and FIQ are behind VBAR_EL1 (DDI 0487, D1.3.1): from EL1 with its own stack pointer, from
/// AArch64 at EL0, and from AArch32.
const INTERRUPTS: [u64; 6] = [0x280, 0x300, 0x480, 0x500, 0x680, 0x700];
/// PSTATE of who has just taken an interrupt: EL1 with its own SP, IRQ masked.
const TAKEN: (u64, u64) = (0x8f, 0x85);

/// The registers of one CPU, kept by itself and read by the boot CPU once it has arrived.
pub struct Caught {
    registers: [AtomicU64; REGISTERS],
    per_cpu: AtomicU64,
    /// The generation that it was stopped in.
    generation: AtomicU64,
    /// The kernel itself has said what they are.
    by_kernel: AtomicBool,
    /// What has become of them in the dump ([`baton_abi::ReportRow::dump`]).
    dump: AtomicU64,
}

impl Caught {
    /// Returns those of a CPU that no crash has stopped.
    pub const fn new() -> Self {
        Self {
            registers: [const { AtomicU64::new(0) }; REGISTERS],
            per_cpu: AtomicU64::new(0),
            generation: AtomicU64::new(u64::MAX),
            by_kernel: AtomicBool::new(false),
            dump: AtomicU64::new(DUMP_NONE),
        }
    }

    /// Keeps those of the CPU that runs this, whose guest in `generation` is at `frame`.
    pub fn keep(&self, frame: &Frame, generation: u64) {
        let (pc, pstate) = before_the_kick(frame);
        // SAFETY: Both are the guest's, and reading them changes nothing.
        let (el0, el1) = unsafe { (read_sysreg!(SP_EL0), read_sysreg!(SP_EL1)) };
        let sp = match pstate {
            // A32 and T32 have it in R13, which is x13 or another, by the mode; the user's is x13.
            spsr if spsr & AARCH32 != 0 => frame.x[13],
            spsr if spsr & OWN_SP != 0 => el1,
            _ => el0,
        };
        let rest = [sp, pc, pstate];
        self.store(frame.x.iter().chain(&rest), per_cpu(), generation);
        self.by_kernel.store(false, Relaxed);
    }

    /// Keeps `registers`, which the kernel says are those where it panicked; `None`: it says nothing.
    pub fn keep_kernels(&self, registers: Option<&[u64; REGISTERS]>, generation: u64) {
        self.by_kernel.store(registers.is_some(), Relaxed);
        self.store(registers.into_iter().flatten(), per_cpu(), generation);
    }

    /// As [`Caught::keep`], but for what the kernel has said itself.
    pub fn keep_unless_kernels(&self, frame: &Frame, generation: u64) {
        match self.by_kernel.load(Relaxed) {
            true => self.generation.store(generation, Relaxed),
            false => self.keep(frame, generation),
        }
    }

    /// Keeps what `other` has kept in `generation`, on the same CPU.
    pub fn keep_those_of(&self, other: &Self, generation: u64) {
        if let Some(Stopped { registers, per_cpu }) = other.stopped(generation) {
            self.store(&registers, per_cpu, generation);
            self.by_kernel.store(false, Relaxed);
        }
    }

    /// Returns what is known of a CPU that was stopped in `generation`; `None` if it was not.
    pub fn stopped(&self, generation: u64) -> Option<Stopped> {
        let is_of_it = self.generation.load(Relaxed) == generation;
        is_of_it.then(|| Stopped {
            registers: self.registers(),
            per_cpu: self.per_cpu.load(Relaxed),
        })
    }

    /// Keeps what has become of the CPU in the dump.
    pub fn set_dump(&self, dump: u64) {
        self.dump.store(dump, Relaxed);
    }

    /// Returns what has become of the CPU in the last dump, and its registers if they are known.
    pub fn dump(&self) -> (u64, Option<[u64; REGISTERS]>) {
        let dump = self.dump.load(Relaxed);
        let known = matches!(dump, DUMP_REGISTERS | DUMP_NO_NOTE);
        (dump, known.then(|| self.registers()))
    }

    fn registers(&self) -> [u64; REGISTERS] {
        core::array::from_fn(|number| self.registers[number].load(Relaxed))
    }

    fn store<'a>(&self, values: impl IntoIterator<Item = &'a u64>, per_cpu: u64, generation: u64) {
        // Those of a crash before are gone.
        self.dump.store(DUMP_NONE, Relaxed);
        for (register, value) in self.registers.iter().zip(values) {
            register.store(*value, Relaxed);
        }
        self.per_cpu.store(per_cpu, Relaxed);
        self.generation.store(generation, Relaxed);
    }
}

/// Returns the guest's TPIDR_EL1 of this CPU.
fn per_cpu() -> u64 {
    // SAFETY: It is the guest's, and reading it changes nothing.
    unsafe { read_sysreg!(TPIDR_EL1) }
}

/// Returns PC and PSTATE of the guest at `frame`, whose CPU this is. One that has interrupts on takes the kick as one,
/// and is stopped at the first instruction of its vector, before that was executed: it was interrupted where
/// ELR_EL1 says.
fn before_the_kick(frame: &Frame) -> (u64, u64) {
    // SAFETY: They are the guest's, and reading them changes nothing.
    let (vectors, elr, spsr) = unsafe {
        (
            read_sysreg!(VBAR_EL1),
            read_sysreg!(ELR_EL1),
            read_sysreg!(SPSR_EL1),
        )
    };
    let is_taken = frame.spsr & TAKEN.0 == TAKEN.1;
    match is_taken && INTERRUPTS.contains(&frame.elr.wrapping_sub(vectors)) {
        true => (elr, spsr),
        false => (frame.elr, frame.spsr),
    }
}

impl Default for Caught {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_abi::{DUMP_KERNELS, DUMP_OFF};
    use baton_sysreg::fake;

    fn frame(spsr: u64) -> Frame {
        Frame {
            x: core::array::from_fn(|number| 0x100 + number as u64),
            elr: 0x7000,
            spsr,
        }
    }

    #[test]
    fn keeps_the_stack_pointer_that_was_in_use() {
        fake::set("SP_EL0", 0xe10);
        fake::set("SP_EL1", 0xe11);
        fake::set("TPIDR_EL1", 0xe1_0000);
        for (spsr, sp) in [(0x3c5, 0xe11), (0x3c4, 0xe10), (0, 0xe10), (0x10, 0x10d)] {
            let caught = Caught::new();
            caught.keep(&frame(spsr), 3);
            let Stopped { registers, per_cpu } = caught.stopped(3).expect("registers");
            assert_eq!(registers[..31], frame(spsr).x, "{spsr:#x}");
            assert_eq!(registers[31..], [sp, 0x7000, spsr], "{spsr:#x}");
            assert_eq!(per_cpu, 0xe1_0000);
        }
    }

    #[test]
    fn a_kick_that_came_as_an_interrupt_is_not_what_the_cpu_did() {
        fake::set("SP_EL0", 0xe10);
        fake::set("VBAR_EL1", 0x6d80);
        fake::set("ELR_EL1", 0x40_0000);
        fake::set("SPSR_EL1", 0x6000_0000);
        let kept = |spsr| {
            let caught = Caught::new();
            caught.keep(&frame(spsr), 3);
            caught.stopped(3).expect("registers").registers
        };
        assert_eq!(kept(0x3c5)[31..], [0xe10, 0x40_0000, 0x6000_0000]);
        // Not with interrupts on, and not elsewhere.
        assert_eq!(kept(0x345)[32..], [0x7000, 0x345]);
        fake::set("VBAR_EL1", 0x6d80 + 4);
        assert_eq!(kept(0x3c5)[32..], [0x7000, 0x3c5]);
    }

    #[test]
    fn has_those_of_one_generation() {
        let caught = Caught::new();
        assert_eq!(caught.stopped(0), None);
        caught.keep(&frame(5), 3);
        assert!(caught.stopped(3).is_some());
        assert_eq!((caught.stopped(2), caught.stopped(4)), (None, None));
    }

    #[test]
    fn has_those_that_the_cpu_went_to_sleep_with() {
        let (caught, asleep) = (Caught::new(), Caught::new());
        fake::set("TPIDR_EL1", 0xe1_0000);
        asleep.keep(&frame(5), 3);
        let expected = asleep.stopped(3);
        // A CPU that wakes has another one.
        fake::set("TPIDR_EL1", 0);
        caught.keep_those_of(&asleep, 4);
        assert_eq!(caught.stopped(4), None, "it slept in another generation");
        caught.keep_those_of(&asleep, 3);
        assert!(expected.is_some());
        assert_eq!(caught.stopped(3), expected);
    }

    #[test]
    fn registers_are_known_from_the_dump_until_the_next_ones_are_kept() {
        let caught = Caught::new();
        caught.keep(&frame(5), 3);
        assert_eq!(caught.dump(), (DUMP_NONE, None), "there is no dump");
        let kept = caught.stopped(3).map(|stopped| stopped.registers);
        for (dump, expected) in [
            (DUMP_REGISTERS, kept),
            (DUMP_NO_NOTE, kept),
            (DUMP_OFF, None),
            (DUMP_KERNELS, None),
        ] {
            caught.set_dump(dump);
            assert_eq!(caught.dump(), (dump, expected));
        }
        caught.set_dump(DUMP_REGISTERS);
        caught.keep(&frame(5), 4);
        assert_eq!(caught.dump(), (DUMP_NONE, None), "another panic, refused");
    }

    #[test]
    fn what_the_kernel_says_counts() {
        let caught = Caught::new();
        let said = core::array::from_fn(|number| number as u64);
        caught.keep_kernels(Some(&said), 3);
        caught.keep_unless_kernels(&frame(5), 4);
        assert_eq!(caught.stopped(4).expect("registers").registers, said);
        // Without a word of it, what is seen does.
        caught.keep_kernels(None, 4);
        caught.keep_unless_kernels(&frame(5), 5);
        let seen = caught.stopped(5).expect("registers").registers;
        assert_eq!(seen[32], 0x7000);
    }
}
