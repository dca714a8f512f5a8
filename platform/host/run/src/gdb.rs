// SPDX-License-Identifier: Apache-2.0
//! A connection to QEMU's debugger stub.
//!
//! It speaks the remote serial protocol (GDB manual, appendix E) as far as QEMU's `gdbstub.c` needs it: threads are
//! vCPUs, counted from 1.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Number of the program counter among the registers of `org.gnu.gdb.aarch64.core`.
pub const PC: u32 = 32;
/// Number of CPSR, whose bits 3:2 are the exception level.
pub const CPSR: u32 = 33;

/// Why QEMU does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum GdbError {
    /// It said something else, or nothing as it has ended.
    #[error("QEMU's answer to {packet}: expected {expected}, seen {seen}")]
    Answer {
        /// What it was told.
        packet: String,
        /// What it should have said.
        expected: &'static str,
        /// What it said.
        seen: String,
    },
    /// A register is not as it should be.
    #[error("register {number} of vCPU {cpu}: expected {expected:#x}, seen {seen:#x}")]
    Register {
        /// The vCPU.
        cpu: u32,
        /// The register, as the debugger counts them.
        number: u32,
        /// What should be there.
        expected: u64,
        /// What is.
        seen: u64,
    },
    /// The connection is broken, or QEMU is silent.
    #[error("QEMU's stub: {0}")]
    Stub(#[from] io::Error),
}

/// QEMU's arguments for a stub at a socket, which the machine does not wait for.
pub fn arguments(socket: &std::path::Path) -> [String; 4] {
    let socket = socket.to_string_lossy().replace(',', ",,");
    let chardev = format!("socket,id=stub,server=on,wait=off,path={socket}");
    [
        "-chardev".into(),
        chardev,
        "-gdb".into(),
        "chardev:stub".into(),
    ]
}

/// A connection to the stub.
pub struct Gdb(UnixStream);

impl Gdb {
    /// Takes a connection, which stops the machine.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn new(stream: UnixStream) -> Result<Self, GdbError> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut gdb = Self(stream);
        // QEMU may say by itself that the machine has stopped, before it answers.
        gdb.send("qC");
        while !gdb.answer("qC")?.starts_with("QC") {}
        // QEMU reads single registers only for those who have asked for their description.
        gdb.ask("qXfer:features:read:target.xml:0,40")?;
        Ok(gdb)
    }

    /// Lets all `smp` vCPUs run but `held`, by their indices.
    pub fn go_on_without(&mut self, smp: u32, held: &[u32]) {
        let threads: String = (0..smp)
            .filter(|cpu| !held.contains(cpu))
            .map(|cpu| format!(";c:{:x}", cpu + 1))
            .collect();
        self.send(&format!("vCont{threads}"));
    }

    /// Reads a register: 0 to 30, [`PC`] or [`CPSR`].
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn register(&mut self, cpu: u32, number: u32) -> Result<u64, GdbError> {
        self.choose(cpu)?;
        self.number(&format!("p{number:x}"))
    }

    /// Writes a register: 0 to 30, [`PC`] or [`CPSR`].
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn set_register(&mut self, cpu: u32, number: u32, value: u64) -> Result<(), GdbError> {
        self.choose(cpu)?;
        self.expect_ok(&format!("P{number:x}={:016x}", value.swap_bytes()))
    }

    /// Reads a register that must have `value`.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn expect_register(&mut self, cpu: u32, number: u32, value: u64) -> Result<(), GdbError> {
        match self.register(cpu, number)? {
            seen if seen == value => Ok(()),
            seen => Err(GdbError::Register {
                cpu,
                number,
                expected: value,
                seen,
            }),
        }
    }

    /// Has `cpu` execute one instruction, breakpoint or not, all others stopped.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn step(&mut self, cpu: u32) -> Result<(), GdbError> {
        self.send(&format!("vCont;s:{:x}", cpu + 1));
        self.stopped().map(|_| ())
    }

    /// Waits until the machine stops, and returns the index of the vCPU by which it does; `None` if it has ended.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn stopped(&mut self) -> Result<Option<u32>, GdbError> {
        let Some(reply) = self.receive()? else {
            return Ok(None);
        };
        let Some((_, rest)) = reply.split_once("thread:") else {
            return Ok(None);
        };
        let thread = rest.split_once(';').map_or(rest, |(thread, _)| thread);
        match u32::from_str_radix(thread, 16) {
            Ok(thread @ 1..) => Ok(Some(thread - 1)),
            _ => Err(unexpected("vCont", "a stopped vCPU", reply)),
        }
    }

    /// Reads the word at a virtual address, as `cpu` sees it; `None` if it sees none.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn word(&mut self, cpu: u32, address: u64) -> Result<Option<u64>, GdbError> {
        self.choose(cpu)?;
        Ok(little_endian(&self.ask(&format!("m{address:x},8"))?))
    }

    /// Writes the word at a virtual address, as `cpu` sees it.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn set_word(&mut self, cpu: u32, address: u64, value: u64) -> Result<(), GdbError> {
        self.choose(cpu)?;
        self.expect_ok(&format!("M{address:x},8:{:016x}", value.swap_bytes()))
    }

    /// Has the next packets be about `cpu`.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn choose(&mut self, cpu: u32) -> Result<(), GdbError> {
        self.expect_ok(&format!("Hg{:x}", cpu + 1))
    }

    /// Sends a packet that is answered by `OK`.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn expect_ok(&mut self, packet: &str) -> Result<(), GdbError> {
        match self.ask(packet)? {
            reply if reply == "OK" => Ok(()),
            seen => Err(unexpected(packet, "OK", seen)),
        }
    }

    /// Sends a packet that is answered by a number.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn number(&mut self, packet: &str) -> Result<u64, GdbError> {
        let reply = self.ask(packet)?;
        little_endian(&reply).ok_or_else(|| unexpected(packet, "a number", reply))
    }

    /// Sends a packet, and returns the answer.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn ask(&mut self, packet: &str) -> Result<String, GdbError> {
        self.send(packet);
        self.answer(packet)
    }

    fn answer(&mut self, packet: &str) -> Result<String, GdbError> {
        let reply = self.receive()?;
        reply.ok_or_else(|| unexpected(packet, "an answer", "QEMU's end".into()))
    }

    /// Sends a packet.
    pub fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.write(format!("${packet}#{sum:02x}").as_bytes());
    }

    /// Sends bytes that are no packet.
    pub fn write(&mut self, bytes: &[u8]) {
        // It fails when QEMU has ended, which the next answer shows.
        let _ = self.0.write_all(bytes);
    }

    /// Returns the next packet, or `None` at the end of QEMU.
    ///
    /// # Errors
    /// [`GdbError`]
    pub fn receive(&mut self) -> Result<Option<String>, GdbError> {
        let mut packet = String::new();
        let mut begun = false;
        loop {
            match (self.byte()?, begun) {
                (None, _) => return Ok(None),
                (Some(b'$'), false) => begun = true,
                (Some(b'#'), true) => break,
                (Some(byte), true) => packet.push(byte.into()),
                (Some(_), false) => {}
            }
        }
        // The checksum: a stream loses nothing, so it is not checked.
        let _ = (self.byte()?, self.byte()?);
        self.write(b"+");
        Ok(Some(packet))
    }

    fn byte(&mut self) -> Result<Option<u8>, GdbError> {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(1) => Ok(Some(byte[0])),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn unexpected(packet: &str, expected: &'static str, seen: String) -> GdbError {
    GdbError::Answer {
        packet: packet.to_owned(),
        expected,
        seen,
    }
}

/// Reads the digits of up to eight bytes, the lowest first.
fn little_endian(hex: &str) -> Option<u64> {
    let bits = 4 * hex.len();
    let value = u64::from_str_radix(hex, 16).ok()?;
    // An error is E and two digits.
    let is_bytes = (8..=64).contains(&bits) && bits.is_multiple_of(8);
    is_bytes.then(|| value.swap_bytes() >> (64 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// A stub that says by itself that the machine has stopped, then `replies` one after another, each to one packet.
    fn stub(replies: &'static [&'static str]) -> Gdb {
        let (here, mut there) = UnixStream::pair().expect("two sockets");
        thread::spawn(move || {
            let _ = there.write_all(b"$T05thread:01;#00");
            let mut replies = replies.iter();
            let mut byte = [0];
            // A packet ends with two digits behind its `#`.
            while there.read(&mut byte).is_ok_and(|count| count == 1) {
                if byte[0] != b'#' {
                    continue;
                }
                let Some(reply) = replies.next() else { return };
                let _ = there.write_all(format!("+${reply}#00").as_bytes());
            }
        });
        Gdb::new(here).expect("a stub")
    }

    #[test]
    fn numbers_come_with_their_lowest_byte_first() {
        let mut gdb = stub(&["QC1", "m", "OK", "0001000000000080", "OK", "14"]);
        assert_eq!(
            gdb.register(0, PC).expect("a register"),
            0x8000_0000_0000_0100
        );
        assert_eq!(gdb.word(0, 0x1000).expect("a byte"), Some(0x14));
    }

    #[test]
    fn what_is_not_expected_is_an_error() {
        let mut gdb = stub(&["QC1", "m", "OK", "E14", "E22"]);
        assert_eq!(gdb.word(0, 0x1000).expect("an answer"), None, "not mapped");
        let error = gdb
            .set_register(0, PC, 0)
            .expect_err("an error")
            .to_string();
        assert_eq!(error, "QEMU's answer to Hg1: expected OK, seen E22");
        let error = gdb.ask("k").expect_err("the end").to_string();
        assert_eq!(
            error,
            "QEMU's answer to k: expected an answer, seen QEMU's end"
        );
    }
}
