// SPDX-License-Identifier: Apache-2.0
//! A debugger on QEMU's stub: holds CPUs, and stands in for firmware that misbehaves.
//!
//! It speaks the remote serial protocol (GDB manual, appendix E) as far as QEMU's `gdbstub.c` needs
//! it: threads are vCPUs, counted from 1.

use crate::scratch::Scratch;
use baton_qemu::{Machine, paths, symbols};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// `SMC #0`.
const SMC: u32 = 0xd400_0003;
/// Number of the program counter among the registers of `org.gnu.gdb.aarch64.core`.
pub const PC: u32 = 32;
/// Number of CPSR, whose bits 3:2 are the exception level.
pub const CPSR: u32 = 33;

/// Where a machine waits for a debugger.
pub struct Stub(PathBuf);

impl Stub {
    /// Gives `machine` a stub. The machine runs until somebody connects.
    pub fn add(machine: &mut Machine, scratch: &Scratch) -> Self {
        let path = scratch.path("gdb");
        let chardev = format!(
            "socket,id=stub,server=on,wait=off,path={}",
            path.to_string_lossy().replace(',', ",,")
        );
        for argument in ["-chardev", &chardev, "-gdb", "chardev:stub"] {
            machine.extra.push(argument.into());
        }
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
pub struct Debugger {
    stream: UnixStream,
}

impl Debugger {
    fn new(stream: UnixStream) -> Self {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time that is not zero");
        let mut debugger = Self { stream };
        // QEMU may say by itself that the machine has stopped, before it answers.
        debugger.send("qC");
        while !debugger.answer("qC").starts_with("QC") {}
        // QEMU reads single registers only for those who have asked for their description.
        debugger.ask("qXfer:features:read:target.xml:0,40");
        debugger
    }

    /// Lets all vCPUs run but `held`, by their indices.
    pub fn go_on_without(&mut self, smp: u32, held: &[u32]) {
        let threads: String = (0..smp)
            .filter(|cpu| !held.contains(cpu))
            .map(|cpu| format!(";c:{:x}", cpu + 1))
            .collect();
        self.send(&format!("vCont{threads}"));
    }

    /// Stops all vCPUs.
    pub fn stop(&mut self) {
        self.write(&[3]);
        self.wait();
    }

    /// Waits until a vCPU comes to a breakpoint, and returns its index; all are stopped then.
    /// `None` if the machine has ended.
    pub fn wait(&mut self) -> Option<u32> {
        let reply = self.receive()?;
        let thread = reply.split("thread:").nth(1)?.split(';').next()?;
        let thread = u32::from_str_radix(thread, 16);
        let thread = thread.unwrap_or_else(|_| panic!("expected a stopped vCPU, seen {reply:?}"));
        Some(thread - 1)
    }

    /// Has `cpu` execute one instruction, breakpoint or not, all others stopped.
    pub fn step(&mut self, cpu: u32) {
        self.send(&format!("vCont;s:{:x}", cpu + 1));
        self.wait();
    }

    /// Ends QEMU.
    pub fn end(&mut self) {
        self.send("k");
    }

    /// Stops a vCPU that comes to the instruction at `address`.
    pub fn break_at(&mut self, address: u64) {
        self.expect_ok(&format!("Z1,{address:x},4"));
    }

    /// Removes the breakpoint at `address`.
    pub fn do_not_break_at(&mut self, address: u64) {
        self.expect_ok(&format!("z1,{address:x},4"));
    }

    /// Reads a register: 0 to 30, [`PC`] or [`CPSR`].
    pub fn register(&mut self, cpu: u32, number: u32) -> u64 {
        self.choose(cpu);
        little_endian(&self.ask(&format!("p{number:x}")))
    }

    /// Writes a register: 0 to 30, or [`PC`].
    pub fn set_register(&mut self, cpu: u32, number: u32, value: u64) {
        self.choose(cpu);
        self.expect_ok(&format!("P{number:x}={:016x}", value.swap_bytes()));
    }

    /// Reads the word at a virtual address, as `cpu` sees it.
    pub fn word(&mut self, cpu: u32, address: u64) -> u64 {
        self.choose(cpu);
        little_endian(&self.ask(&format!("m{address:x},8")))
    }

    /// Inverts the bits of `mask` in the byte of memory at physical address `address`.
    pub fn flip(&mut self, address: u64, mask: u8) {
        self.expect_ok("Qqemu.PhyMemMode:1");
        let byte = little_endian(&self.ask(&format!("m{address:x},1"))) as u8;
        self.expect_ok(&format!("M{address:x},1:{:02x}", byte ^ mask));
        self.expect_ok("Qqemu.PhyMemMode:0");
    }

    /// Has QEMU write the `size` bytes of memory at physical address `start` to `file`.
    pub fn save(&mut self, start: u64, size: u64, file: &Path) {
        let command = format!("pmemsave {start:#x} {size:#x} \"{}\"", file.display());
        let hex: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.expect_ok(&format!("qRcmd,{hex}"));
    }

    fn choose(&mut self, cpu: u32) {
        self.expect_ok(&format!("Hg{:x}", cpu + 1));
    }

    fn expect_ok(&mut self, packet: &str) {
        let reply = self.ask(packet);
        assert_eq!(reply, "OK", "QEMU's answer to {packet}");
    }

    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        self.answer(packet)
    }

    fn answer(&mut self, packet: &str) -> String {
        self.receive()
            .unwrap_or_else(|| panic!("expected an answer to {packet}, seen QEMU's end"))
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.write(format!("${packet}#{sum:02x}").as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        // It fails when QEMU has ended, which the next answer shows.
        let _ = self.stream.write_all(bytes);
    }

    /// Returns the next packet, or `None` at the end of QEMU.
    fn receive(&mut self) -> Option<String> {
        let mut packet = String::new();
        while self.byte()? != b'$' {}
        loop {
            match self.byte()? {
                b'#' => break,
                byte => packet.push(byte.into()),
            }
        }
        // The checksum: a stream loses nothing, so it is not checked.
        let _ = (self.byte()?, self.byte()?);
        self.write(b"+");
        Some(packet)
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("expected QEMU's stub to say something: {error}"),
        }
    }
}

fn little_endian(hex: &str) -> u64 {
    let value = u64::from_str_radix(hex, 16)
        .unwrap_or_else(|_| panic!("expected a register or a word, seen {hex:?}"));
    value.swap_bytes() >> (64 - 4 * hex.len())
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
