// SPDX-License-Identifier: Apache-2.0
//! Debian's kernel in a guest's memory: where its functions are, and the calls that are patched in it.

use crate::debugger::{CPSR, Debugger, PC, SMC};
use baton_core::linux::image::ImageHeader;
use baton_core::linux::kallsyms::Symbols;
use baton_core::linux::sites::{self, HookSites};
use baton_qemu::{hang, paths};
use std::fs;

/// The kernel, by its virtual addresses.
pub struct Kernel {
    image: Vec<u8>,
    base: u64,
    /// The calls in `kernel_kexec()`.
    kexec: HookSites,
    /// Those in `__crash_kexec()`.
    crash: HookSites,
    /// Where `kexec_crash_image` is.
    crash_image: u64,
}

impl Kernel {
    /// The kernel whose `_stext` is at `stext`.
    #[track_caller]
    pub fn at(stext: u64) -> Self {
        let path = paths::linux();
        let image = fs::read(&path);
        let mut image = image.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let header = ImageHeader::parse_file(&image).expect("the header of a kernel");
        let size = usize::try_from(header.image_size()).expect("a size");
        image.resize(size, 0);
        let found = sites::find(&image);
        let crash = found.crash.expect("the calls after a panic");
        Self {
            base: stext - hang::STEXT,
            kexec: found.kexec.expect("the calls of a kexec"),
            crash: *crash.copies().next().expect("a copy"),
            crash_image: crash.kimage().expect("kexec_crash_image"),
            image,
        }
    }

    /// The address of a function.
    #[track_caller]
    pub fn function(&self, name: &str) -> u64 {
        let symbols = Symbols::find(&self.image).expect("kallsyms");
        let [found] = symbols.text([name]);
        assert!(
            found.count == 1,
            "expected a function {name}, seen {}",
            found.count
        );
        self.base + symbols.offset(found.last).expect("an offset")
    }

    /// The address of its call of `machine_kexec` in `kernel_kexec()`: the second one that is patched.
    pub fn leaves(&self) -> u64 {
        self.base + self.kexec.kexec.offset
    }

    /// The address of its call of `machine_crash_shutdown` in `__crash_kexec()`: the first one that is patched.
    pub fn stops_crashed(&self) -> u64 {
        self.base + self.crash.shutdown.offset
    }

    /// The address of the second one, of `machine_kexec`.
    pub fn leaves_crashed(&self) -> u64 {
        self.base + self.crash.kexec.offset
    }

    /// Where a CPU goes on that has called firmware.
    #[track_caller]
    pub fn behind_smc(&self) -> u64 {
        let function = self.function("__arm_smccc_smc");
        let code = (function - self.base) as usize;
        let (words, _) = self.image[code..].as_chunks::<4>();
        let smc = words.iter().position(|word| *word == SMC.to_le_bytes());
        function + 4 * (smc.expect("an SMC") as u64 + 1)
    }

    /// Has `cpu` come to [`Kernel::leaves_crashed`], as after a panic, from whatever it does; all CPUs are stopped.
    pub fn crash(&self, debugger: &mut Debugger, cpu: u32) {
        let kimage = debugger.word(cpu, self.base + self.crash_image);
        assert!(kimage != 0, "expected a crash kernel, seen none");
        debugger.set_register(cpu, CPSR, hang::MASKED);
        debugger.set_register(cpu, PC, self.leaves_crashed());
        debugger.set_register(cpu, 0, kimage);
    }

    /// Has `cpu` panic, in the kernel; all CPUs are stopped.
    pub fn panic(&self, debugger: &mut Debugger, cpu: u32) {
        debugger.set_register(cpu, PC, self.function("sysrq_handle_crash"));
    }
}
