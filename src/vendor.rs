//! The calls of [`crate::abi`].

use crate::abi;
use crate::cpu::Cpu;
use crate::exit::Frame;
use crate::machine::Machine;
use crate::teardown::{self, report};
use arm_psci::ErrorCode;
use zerocopy::IntoBytes;

/// Answers the vendor hypervisor call in `frame`.
pub fn call(cpu: &'static Cpu, frame: &mut Frame) {
    match frame.x[0] as u32 {
        abi::UID => {
            for (register, word) in frame.x.iter_mut().zip(abi::UID_WORDS) {
                *register = word.into();
            }
        }
        abi::REVISION => {
            frame.x[0] = abi::REVISION_MAJOR.into();
            frame.x[1] = abi::REVISION_MINOR.into();
        }
        abi::FEATURES => frame.x[0] = abi::FEATURE_BITS,
        abi::KEXEC => {
            let refusal = teardown::call(cpu, frame.x[1], frame.x[2], frame.x[3]);
            let level = cpu.exits.complaint();
            log::log!(level, "cpu {}: KEXEC refused: {refusal}", cpu.index);
            frame.x[0] = error(refusal.code());
        }
        abi::REPORT => {
            frame.x[0] = write_report(frame.x[1], frame.x[2]).unwrap_or_else(error);
        }
        _ => frame.x[0] = error(ErrorCode::NotSupported),
    }
}

fn error(code: ErrorCode) -> u64 {
    i64::from(i32::from(code)) as u64
}

/// Writes the report of the last reboot to `size` bytes from `buffer` on; returns its size.
fn write_report(buffer: u64, size: u64) -> Result<u64, ErrorCode> {
    let machine = Machine::get();
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
