// SPDX-License-Identifier: Apache-2.0
//! The OS lock and the OS double lock (`baton_core::os_lock`), which a kernel opens on each CPU as it comes
//! (Linux, `clear_os_lock()`).

use crate::machine::cpu::Cpu;
use crate::vcpu::frame::Frame;
use baton_core::os_lock::Access;

/// Makes the access for the guest; returns `None` if it is not one of the locks.
pub fn handle(cpu: &Cpu, frame: &mut Frame, esr: u64) -> Option<()> {
    let access = Access::decode(esr)?;
    // Register 31 is zero.
    let register = frame.x.get_mut(access.rt);
    match (access.is_read, register) {
        (true, Some(register)) => *register = cpu.os_locks.read(access.register),
        (true, None) => {}
        (false, register) => {
            let value = register.copied().unwrap_or(0);
            let has_double_lock = cpu.features().double_lock();
            cpu.os_locks.write(access.register, value, has_double_lock);
        }
    }
    frame.skip();
    Some(())
}
