// SPDX-License-Identifier: Apache-2.0
//! Into EL3 by a reset or a call.

use crate::board::{self, CLUSTER, MAX_CPUS, NEXT, Power, TREE, Uart};
use crate::cpu::{Cpu, Start};
use crate::lower_level::begin;
use crate::{gic, psci};
use core::arch::global_asm;
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
        _ => match board::spin_table(number) {
            Some(word) => Start {
                entry: board::wait_in_spin_table(word),
                context: 0,
            },
            None => this.wait_off(),
        },
    };
    begin(number, start)
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
