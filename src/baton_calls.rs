// SPDX-License-Identifier: Apache-2.0
//! The calls of [`baton_abi`].

use crate::console;
use crate::machine::Machine;
use crate::machine::cpu::Cpu;
use crate::machine::next::Next;
use crate::machine::request::KexecRequest;
use crate::report;
use crate::takeover::request;
use crate::vcpu::frame::Frame;
use arm_psci::ErrorCode;
use baton_core::smccc::error_answer;
use zerocopy::IntoBytes;

/// Answers the vendor hypervisor call in `frame`.
pub fn call(machine: &Machine, cpu: &Cpu, frame: &mut Frame) -> Next {
    match frame.x[0] as u32 {
        baton_abi::UID => {
            for (register, word) in frame.x.iter_mut().zip(baton_abi::UID_WORDS) {
                *register = word.into();
            }
        }
        baton_abi::REVISION => {
            frame.x[0] = baton_abi::REVISION_MAJOR.into();
            frame.x[1] = baton_abi::REVISION_MINOR.into();
        }
        baton_abi::FEATURES => frame.x[0] = baton_abi::FEATURE_BITS,
        baton_abi::KEXEC => {
            let request = KexecRequest::Call {
                list: frame.x[1],
                entry: frame.x[2],
                device_tree: frame.x[3],
            };
            match request::kexec(machine, cpu, request) {
                Ok(next) => return next,
                Err(refusal) => {
                    let level = cpu.exits.complaint();
                    log::log!(level, "cpu {}: KEXEC refused: {refusal}", cpu.index);
                    frame.x[0] = error_answer(refusal.code());
                }
            }
        }
        baton_abi::REPORT => {
            frame.x[0] = write_report(machine, frame.x[1], frame.x[2]).unwrap_or_else(error_answer);
        }
        baton_abi::LOG => match write_log(machine, frame.x[1], frame.x[2], frame.x[3]) {
            Ok((size, next)) => (frame.x[0], frame.x[1]) = (size, next),
            Err(code) => frame.x[0] = error_answer(code),
        },
        baton_abi::REGISTERS => {
            let written = write_registers(machine, frame.x[1], frame.x[2], frame.x[3]);
            frame.x[0] = written.unwrap_or_else(error_answer);
        }
        _ => frame.x[0] = error_answer(ErrorCode::NotSupported),
    }
    Next::Resume
}

/// Writes the report of the last reboot to `size` bytes from `buffer` on; returns its size.
fn write_report(machine: &Machine, buffer: u64, size: u64) -> Result<u64, ErrorCode> {
    let header = report::header(machine).ok_or(ErrorCode::NotPresent)?;
    let (header_size, row_size) = (header.header_size, header.row_size);
    let whole = header_size + header.rows * row_size;
    if size < whole {
        return Ok(whole);
    }
    if !buffer.is_multiple_of(8) {
        return Err(ErrorCode::InvalidParameters);
    }
    let write = |offset: u64, bytes: &[u8]| {
        buffer
            .checked_add(offset)
            .and_then(|start| machine.ram.range(start, bytes.len() as u64))
            .is_some_and(|range| range.write(bytes))
            .then_some(())
            .ok_or(ErrorCode::InvalidAddress)
    };
    // A buffer that is not the guest's is found before anything is written.
    if machine.ram.range(buffer, whole).is_none() {
        return Err(ErrorCode::InvalidAddress);
    }
    write(0, header.as_bytes())?;
    for (row, index) in report::rows(machine).zip(0..) {
        write(header_size + index * row_size, row.as_bytes())?;
    }
    Ok(whole)
}

/// Writes the registers that the last panic found in the CPU `index` to `size` bytes from `buffer` on; returns how many
/// bytes that are.
fn write_registers(
    machine: &Machine,
    buffer: u64,
    size: u64,
    index: u64,
) -> Result<u64, ErrorCode> {
    let cpu = usize::try_from(index).ok();
    let cpu = cpu.and_then(|index| machine.cpus.get(index));
    let cpu = cpu.ok_or(ErrorCode::InvalidParameters)?;
    let stopped = report::stopped(cpu).ok_or(ErrorCode::NotPresent)?;
    let bytes = stopped.as_bytes();
    let whole = bytes.len() as u64;
    if size < whole || !buffer.is_multiple_of(8) {
        return Err(ErrorCode::InvalidParameters);
    }
    let range = machine.ram.range(buffer, whole);
    let written = range.is_some_and(|range| range.write(bytes));
    written.then_some(whole).ok_or(ErrorCode::InvalidAddress)
}

/// Writes the log from `offset` on to `size` bytes from `buffer` on; returns how many bytes that are,
/// and the next offset.
fn write_log(
    machine: &Machine,
    buffer: u64,
    size: u64,
    offset: u64,
) -> Result<(u64, u64), ErrorCode> {
    let range = |start, size| {
        machine
            .ram
            .range(start, size)
            .ok_or(ErrorCode::InvalidAddress)
    };
    // Who asks for no bytes asks for the next offset alone.
    if size > 0 {
        range(buffer, size)?;
    }
    console::with_log(|log| {
        let part = log.read(offset, size);
        let mut at = buffer;
        for piece in part.pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let size = piece.len() as u64;
            range(at, size)?.write(piece);
            at += size;
        }
        Ok((part.size(), part.next()))
    })
}
