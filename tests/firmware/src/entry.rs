// SPDX-License-Identifier: Apache-2.0
//! Into EL3 by a reset or a call, and out of it to EL2.

use crate::board::{self, CLUSTER, MAX_CPUS, NEXT, Power, TREE, Uart};
use crate::cpu::{Cpu, Start};
use crate::{gic, psci};
use baton_sysreg::write_sysreg;
use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::panic::PanicInfo;

/// Bytes of a CPU's stack.
const STACK: usize = 4096;
static STACKS: Stacks = Stacks([const { core::cell::UnsafeCell::new([0; STACK]) }; MAX_CPUS]);

#[repr(C, align(4096))]
struct Stacks([core::cell::UnsafeCell<[u8; STACK]>; MAX_CPUS]);
// SAFETY: each is reached by one CPU's stack pointer alone.
unsafe impl Sync for Stacks {}

global_asm!(
    include_str!("entry.S"),
    cluster = const CLUSTER,
    stacks = sym STACKS,
    stack = const STACK,
    boot = sym boot,
    call = sym psci::call,
    unexpected = sym unexpected,
);

unsafe extern "C" {
    /// Enters EL2 at `entry`, with `context` in x0, on the CPU with this number.
    fn enter_el2(entry: u64, context: u64, number: usize) -> !;
}

/// `SCR_EL3`: NS, RES1, HCE, RW, and what later features have for the levels below: pointer
/// authentication (APK, API), EnSCXT, ATA, FGTEn, ECVEn, HXEn, EnTP2.
const SCR_EL3: u64 = 1 << 0 | 3 << 4 | 1 << 8 | 1 << 10 | LATER;
const LATER: u64 = 3 << 16 | 1 << 25 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 38 | 1 << 41;
/// `SCR_EL3.FIQ`.
const SCR_EL3_FIQ: u64 = 1 << 2;
/// `SCTLR_EL2`, `SCTLR_EL1`: RES1 bits alone, MMU and caches off.
const SCTLR_EL2: u64 = 0x30c5_0830;
const SCTLR_EL1: u64 = 0x30d0_0800;
/// `HCR_EL2`: VM, TGE. A reset leaves it UNKNOWN, so that nobody may rely on a value.
const HCR_EL2: u64 = 1 << 0 | 1 << 27;
/// `CPTR_EL3`: EZ and ESM, so that nothing traps to EL3.
const CPTR_EL3: u64 = 1 << 8 | 1 << 12;
/// `CPTR_EL2`: all that can trap there does (TZ, TFP, TSM, TTA).
const CPTR_EL2: u64 = 0x33ff | 1 << 10 | 1 << 20;
/// For registers that a reset leaves UNKNOWN: an address at which there is nothing.
const UNKNOWN: u64 = 0xdead_dead_dead_d000;

/// Every CPU comes here from its reset.
extern "C" fn boot(number: usize) -> ! {
    if number == 0 {
        board::read_options();
        gic::init_distributor();
    }
    gic::init_cpu(number);
    let this = Cpu::by_number(number);
    let start = match number {
        0 => {
            this.set_on();
            Start {
                entry: NEXT,
                context: TREE,
            }
        }
        _ => this.wait_off(),
    };
    begin(number, start)
}

/// Begins at `start`, EL2, as after a reset.
pub fn begin(number: usize, start: Start) -> ! {
    let scr_el3 = match board::fiq_to_el3() {
        true => SCR_EL3 | SCR_EL3_FIQ,
        false => SCR_EL3,
    };
    // SAFETY: EL3 runs with the MMU off and takes no interrupt. All but those of EL3 are registers of
    // the levels below, which begin anew.
    unsafe {
        write_sysreg!(SCR_EL3, scr_el3);
        write_sysreg!(CPTR_EL3, CPTR_EL3);
        write_sysreg!(CPTR_EL2, CPTR_EL2);
        write_sysreg!(HCR_EL2, HCR_EL2);
        write_sysreg!(SCTLR_EL2, SCTLR_EL2);
        write_sysreg!(SCTLR_EL1, SCTLR_EL1);
        write_sysreg!(VBAR_EL2, UNKNOWN);
        write_sysreg!(TTBR0_EL2, UNKNOWN);
        write_sysreg!(TCR_EL2, UNKNOWN);
        write_sysreg!(MAIR_EL2, UNKNOWN);
        write_sysreg!(TPIDR_EL2, UNKNOWN);
        write_sysreg!(SP_EL2, UNKNOWN);
        write_sysreg!(ELR_EL2, UNKNOWN);
        write_sysreg!(VTTBR_EL2, UNKNOWN);
        write_sysreg!(VTCR_EL2, UNKNOWN);
        write_sysreg!(VMPIDR_EL2, UNKNOWN);
        write_sysreg!(VPIDR_EL2, UNKNOWN);
        write_sysreg!(CNTVOFF_EL2, UNKNOWN);
        write_sysreg!(CNTHCTL_EL2, 0);
        write_sysreg!(HSTR_EL2, UNKNOWN);
        write_sysreg!(VBAR_EL1, UNKNOWN);
        write_sysreg!(TTBR0_EL1, UNKNOWN);
        write_sysreg!(TTBR1_EL1, UNKNOWN);
        write_sysreg!(TCR_EL1, UNKNOWN);
        write_sysreg!(MAIR_EL1, UNKNOWN);
        write_sysreg!(TPIDR_EL1, UNKNOWN);
        write_sysreg!(TPIDR_EL0, UNKNOWN);
        write_sysreg!(SP_EL1, UNKNOWN);
        write_sysreg!(ELR_EL1, UNKNOWN);
        write_sysreg!(CNTKCTL_EL1, UNKNOWN);
        write_sysreg!(CONTEXTIDR_EL1, UNKNOWN);
        asm!("isb");
        gic::lose_cpu_interface();
        enter_el2(start.entry, start.context, number)
    }
}

/// Any exception but a call.
extern "C" fn unexpected(esr: u64, elr: u64, number: usize) -> ! {
    panic!("CPU {number}: exception to EL3, ESR_EL3 {esr:#x}, ELR_EL3 {elr:#x}")
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    // The writer has no errors.
    let _ = writeln!(Uart, "\r\nfirmware: {}\r", info.message());
    Power::Off.request();
    loop {
        board::read32(board::GICD);
    }
}
