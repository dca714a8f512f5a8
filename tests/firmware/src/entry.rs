// SPDX-License-Identifier: Apache-2.0
//! Into EL3 by a reset or a call.

use crate::board::{self, CLUSTER, MAX_CPUS, NEXT, Power, TREE, Uart};
use crate::cpu::{Cpu, Start};
use crate::lower_level::{FEATURE_AVAILABILITY, begin, open_features};
use crate::{gic, management_mode, optee, psci, queries};
use core::arch::global_asm;
use core::fmt::Write;
use core::panic::PanicInfo;

/// What SMCCC_ARCH_FEATURE_AVAILABILITY says of registers that it does not know (DEN0028, 7.5).
const INVALID_PARAMETER: u64 = -3_i64 as u64;

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
    call = sym call,
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

/// A call from EL2: its registers, and the number of this CPU.
extern "C" fn call(x: &mut [u64; 8], number: usize) {
    if x[0] == FEATURE_AVAILABILITY && board::tells_features() {
        let open = open_features(x[1]);
        x[0] = if open.is_some() { 0 } else { INVALID_PARAMETER };
        x[1] = open.unwrap_or(0);
        return;
    }
    if let Some(data) = queries::answer(x[0] as u32).or_else(|| management_mode::answer(x)) {
        x[..4].copy_from_slice(&data);
        return;
    }
    if optee::is_call(x[0]) {
        return optee::call(x, number);
    }
    let [x0, x1, x2, x3, ..] = *x;
    x[0] = psci::call([x0, x1, x2, x3], number);
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
