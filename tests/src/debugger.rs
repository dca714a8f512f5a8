// SPDX-License-Identifier: Apache-2.0
//! A debugger on QEMU's stub: holds CPUs, and stands in for firmware that misbehaves.

use crate::scratch::Scratch;
use baton_qemu::gdb::{self, Gdb, GdbError};
use baton_qemu::hang::{self, Waiting};
use baton_qemu::{Machine, paths, symbols};
use std::fs;
use std::ops::Range;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

pub use baton_qemu::gdb::{CPSR, PC};

/// `SMC #0`.
pub(crate) const SMC: u32 = 0xd400_0003;

/// Where a machine waits for a debugger.
pub struct Stub(PathBuf);

impl Stub {
    /// Gives `machine` a stub. The machine runs until somebody connects.
    pub fn add(machine: &mut Machine, scratch: &Scratch) -> Self {
        let path = scratch.path("gdb");
        machine.extra.extend(gdb::arguments(&path));
        Self(path)
    }

    /// Connects, which stops the machine.
    #[track_caller]
    pub fn connect(&self) -> Debugger {
        let stream = UnixStream::connect(&self.0)
            .unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        Debugger::new(stream)
    }
}

/// Where a debugger waits for a machine that is about to begin.
pub struct Beginning(UnixListener);

impl Beginning {
    /// Has `machine` begin when [`Beginning::accept`] lets it.
    pub fn add(machine: &mut Machine, scratch: &Scratch) -> Self {
        let path = scratch.path("gdb");
        let listener = UnixListener::bind(&path);
        let listener = listener.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.to_string_lossy().replace(',', ",,");
        let chardev = format!("socket,id=stub,path={path}");
        for argument in ["-S", "-chardev", &chardev, "-gdb", "chardev:stub"] {
            machine.extra.push(argument.into());
        }
        Self(listener)
    }

    /// Waits for the machine, which is at its first instruction.
    pub fn accept(self) -> Debugger {
        let (stream, _) = self.0.accept().expect("a machine that connects");
        Debugger::new(stream)
    }
}

/// A connection to the stub. Panics where QEMU does not do as it is told.
pub struct Debugger(Gdb);

impl Debugger {
    fn new(stream: UnixStream) -> Self {
        Self(expect(Gdb::new(stream)))
    }

    /// Lets all vCPUs run but `held`, by their indices.
    pub fn go_on_without(&mut self, smp: u32, held: &[u32]) {
        self.0.go_on_without(smp, held);
    }

    /// Has `cpus` of `smp` hang in Debian's kernel, whose `_stext` is at `stext`, and the others go on. Returns where
    /// they do.
    pub fn hang(&mut self, smp: u32, cpus: Range<u32>, stext: u64) -> u64 {
        let place = hang::hang(&mut self.0, smp, cpus, &debians(), stext);
        self.go_on_hanging(smp, place)
    }

    /// As [`Debugger::hang`], when a CPU that panics has come to `__crash_kexec()`.
    pub fn hang_in_panic(&mut self, smp: u32, cpus: Range<u32>, waiting: Waiting) -> u64 {
        let place = hang::hang_in_panic(&mut self.0, smp, cpus, &debians(), waiting);
        self.go_on_hanging(smp, place)
    }

    fn go_on_hanging(&mut self, smp: u32, place: Result<Option<u64>, GdbError>) -> u64 {
        let place = expect(place).expect("a kernel with \"b .\" in it");
        self.go_on_without(smp, &[]);
        place
    }

    /// Stops all vCPUs.
    pub fn stop(&mut self) {
        self.0.write(&[3]);
        self.wait();
    }

    /// Waits until a vCPU comes to a breakpoint, and returns its index; all are stopped then.
    /// `None` if the machine has ended.
    pub fn wait(&mut self) -> Option<u32> {
        expect(self.0.stopped())
    }

    /// Has `cpu` execute one instruction, breakpoint or not, all others stopped.
    pub fn step(&mut self, cpu: u32) {
        expect(self.0.step(cpu));
    }

    /// Ends QEMU.
    pub fn end(&mut self) {
        self.0.send("k");
    }

    /// Stops a vCPU that comes to the instruction at `address`.
    pub fn break_at(&mut self, address: u64) {
        self.tell(&format!("Z1,{address:x},4"));
    }

    /// Removes the breakpoint at `address`.
    pub fn do_not_break_at(&mut self, address: u64) {
        self.tell(&format!("z1,{address:x},4"));
    }

    /// Reads a register: 0 to 30, [`PC`] or [`CPSR`].
    pub fn register(&mut self, cpu: u32, number: u32) -> u64 {
        expect(self.0.register(cpu, number))
    }

    /// Writes a register: 0 to 30, [`PC`] or [`CPSR`].
    pub fn set_register(&mut self, cpu: u32, number: u32, value: u64) {
        expect(self.0.set_register(cpu, number, value));
    }

    /// Reads the word at a virtual address, as `cpu` sees it.
    pub fn word(&mut self, cpu: u32, address: u64) -> u64 {
        let word = expect(self.0.word(cpu, address));
        word.unwrap_or_else(|| panic!("expected memory at {address:#x}"))
    }

    /// Writes the word at a virtual address, as `cpu` sees it.
    pub fn set_word(&mut self, cpu: u32, address: u64, value: u64) {
        expect(self.0.set_word(cpu, address, value));
    }

    /// Inverts the bits of `mask` in the byte of memory at physical address `address`.
    pub fn flip(&mut self, address: u64, mask: u8) {
        self.tell("Qqemu.PhyMemMode:1");
        let byte = expect(self.0.number(&format!("m{address:x},1"))) as u8;
        self.tell(&format!("M{address:x},1:{:02x}", byte ^ mask));
        self.tell("Qqemu.PhyMemMode:0");
    }

    /// Has QEMU write the `size` bytes of memory at physical address `start` to `file`.
    pub fn save(&mut self, start: u64, size: u64, file: &Path) {
        let command = format!("pmemsave {start:#x} {size:#x} \"{}\"", file.display());
        let hex: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.tell(&format!("qRcmd,{hex}"));
    }

    fn tell(&mut self, packet: &str) {
        expect(self.0.expect_ok(packet));
    }
}

/// Debian's kernel.
fn debians() -> Vec<u8> {
    let image = paths::linux();
    fs::read(&image).unwrap_or_else(|error| panic!("{}: {error}", image.display()))
}

fn expect<T>(result: Result<T, GdbError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// The monitor in memory: where its functions and its calls of firmware are.
pub struct Monitor {
    base: u64,
    image: PathBuf,
}

impl Monitor {
    /// Reads where it is from a line of the console: `Baton …: … CPUs, monitor at 0x…-…`.
    pub fn at(line: &str) -> Option<Self> {
        let address = line
            .split_once("CPUs, monitor at 0x")?
            .1
            .split('-')
            .next()?;
        Some(Self {
            base: u64::from_str_radix(address, 16).ok()?,
            image: paths::monitor(),
        })
    }

    /// The monitor where QEMU's `virt` loads its image.
    pub fn loaded() -> Self {
        Self {
            base: 0x4020_0000,
            image: paths::monitor(),
        }
    }

    /// Where its memory begins.
    pub fn address(&self) -> u64 {
        self.base
    }

    /// The address of a function, by its path.
    #[track_caller]
    pub fn function(&self, path: &str) -> u64 {
        let address = symbols::address(&self.image.with_extension(""), path);
        self.base + address.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The addresses of all SMC instructions.
    #[track_caller]
    pub fn firmware_calls(&self) -> Vec<u64> {
        let bytes = fs::read(&self.image)
            .unwrap_or_else(|error| panic!("{}: {error}", self.image.display()));
        (self.base..)
            .step_by(4)
            .zip(bytes.chunks_exact(4))
            .filter(|(_, word)| *word == SMC.to_le_bytes())
            .map(|(address, _)| address)
            .collect()
    }
}
