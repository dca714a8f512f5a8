// SPDX-License-Identifier: Apache-2.0
//! The monitor's memory, read by QEMU from outside the machine.

use crate::boot::{Boot, watched};
use crate::scratch::Scratch;
use baton_core::memory::layout;
use baton_qemu::{Guest, Machine, paths, symbols};
use std::fs;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

/// QEMU's prompt.
const PROMPT: &[u8] = b"(qemu) ";
/// A page of the monitor's, and the stacks between guard pages.
const PAGE: usize = layout::GUARD as usize;
const STACK: usize = layout::STACK as usize;

/// Runs the probe with a command line until it says that it is done, and checks that the monitor's
/// memory is then what it was: its text and constants are those of its image, and the pages that
/// guard its stacks were never written to.
///
/// Each vCPU has a host thread, so that they run at the same time.
#[track_caller]
pub fn boot_and_look(name: &str, machine: &Machine, append: &str, seconds: u64) -> Boot {
    let (boot, memory) = boot_and_save(name, machine, append, seconds);
    let image = fs::read(paths::monitor()).unwrap_or_else(|e| panic!("the monitor's image: {e}"));
    let ends = symbol("__rodata_end").and_then(|constant| Ok((constant, symbol("__image_end")?)));
    let cpus = machine.smp as usize;
    boot.expect_ok(ends.and_then(|ends| check(&memory, &image, ends, cpus)));
    boot
}

/// As [`boot_and_look`], and returns the monitor's memory unchecked.
#[track_caller]
pub fn boot_and_save(name: &str, machine: &Machine, append: &str, seconds: u64) -> (Boot, Vec<u8>) {
    let scratch = Scratch::new(name);
    let (socket, dump) = (scratch.path("monitor"), scratch.path("memory"));
    let mut machine = machine.clone();
    machine.says_power_off = false;
    machine.extra.extend([
        "-no-shutdown".to_owned(),
        "-monitor".to_owned(),
        format!("unix:{},server=on,wait=off", socket.display()),
    ]);
    let guest = Guest {
        kernel: paths::probe(),
        initrd: None,
        append: append.to_owned(),
    };
    let command = machine.command(&guest).unwrap_or_else(|e| panic!("{e}"));
    let command = threaded(&command);
    let mut monitor = None;
    let mut saved = Ok(());
    let boot = watched(command, seconds, |line| {
        let line = line.text.as_str();
        monitor = monitor.or_else(|| place(line));
        let done = line.contains("probe: PASS") || line.contains("probe: FAIL");
        if let (Some((start, size)), true) = (monitor, done) {
            saved = save(&socket, start, size, &dump);
        }
        !done
    });
    if let Err(error) = saved {
        boot.fail(format_args!("QEMU's monitor: {error}"));
    }
    boot.expect("probe: PASS");
    (boot, scratch.read(&dump))
}

/// The same command, with a host thread for each vCPU.
fn threaded(command: &Command) -> Command {
    let mut other = Command::new(command.get_program());
    for argument in command.get_args() {
        other.arg(match argument.to_str() {
            Some("tcg,thread=single") => "tcg,thread=multi".as_ref(),
            _ => argument,
        });
    }
    other
}

/// The start and the size of the monitor's memory, from the line in which it names it.
fn place(line: &str) -> Option<(u64, u64)> {
    let (_, range) = line.split_once("monitor at 0x")?;
    let (start, end) = range.split_once(' ')?.0.split_once("-0x")?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?.checked_sub(number(start)?)?))
}

/// Has QEMU stop, and write memory to a file.
fn save(socket: &Path, start: u64, size: u64, file: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let wait = |stream: &mut UnixStream| {
        let mut seen = Vec::new();
        while !seen.ends_with(PROMPT) {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            seen.push(byte[0]);
        }
        Ok::<_, std::io::Error>(())
    };
    wait(&mut stream)?;
    for command in [
        "stop".to_owned(),
        format!("pmemsave {start:#x} {size:#x} \"{}\"", file.display()),
    ] {
        writeln!(stream, "{command}")?;
        wait(&mut stream)?;
    }
    fs::metadata(file).map(|_| ())
}

/// Looks at the monitor's memory: its image is constant up to the first of two ends, and has its last
/// byte before the second.
fn check(
    memory: &[u8],
    image: &[u8],
    (constant, end): (usize, usize),
    cpus: usize,
) -> Result<(), String> {
    let (Some(expected), Some(seen)) = (image.get(..constant), memory.get(..constant)) else {
        return Err(format!(
            "expected {constant:#x} bytes of text and constants"
        ));
    };
    let base = image_base(image);
    let differs = |&at: &usize| expected[at] != seen[at] && !base.contains(&at);
    if let Some(at) = (0..constant).find(differs) {
        return Err(format!(
            "the monitor's text at {at:#x}: expected {:#x}, seen {:#x}",
            expected[at], seen[at]
        ));
    }
    let stacks = end.next_multiple_of(PAGE);
    let mut guards = (0..cpus).map(|n| stacks + n * (STACK + PAGE));
    guards.try_for_each(|at| match memory.get(at..at + PAGE) {
        Some(page) if page.iter().all(|&byte| byte == 0) => Ok(()),
        _ => Err(format!(
            "guard page at {at:#x}: expected zeros, seen others"
        )),
    })
}

/// Where firmware notes the address that it has loaded the image at: ImageBase of the PE header (Microsoft, "PE
/// Format"), which nobody reads.
fn image_base(image: &[u8]) -> Range<usize> {
    let pe = image
        .get(0x3c..0x40)
        .and_then(|bytes| bytes.try_into().ok());
    let base = pe.map_or(0, u32::from_le_bytes) as usize + 48;
    base..base + 8
}

/// A symbol of the monitor, which is linked at 0.
fn symbol(name: &str) -> Result<usize, String> {
    let address = symbols::address(&paths::monitor().with_extension(""), name)?;
    usize::try_from(address).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: (usize, usize) = (PAGE, 2 * PAGE + 8);
    const CPUS: usize = 2;
    /// Where the image's PE header is.
    const PE: [u8; 4] = 0x40_u32.to_le_bytes();

    /// Constants, other data, and what lies behind: guard page and stack, twice.
    fn memory() -> Vec<u8> {
        let mut memory = vec![7; 3 * PAGE + CPUS * (PAGE + STACK)];
        memory[0x3c..0x40].copy_from_slice(&PE);
        for n in 0..CPUS {
            let guard = 3 * PAGE + n * (PAGE + STACK);
            memory[guard..guard + PAGE].fill(0);
        }
        memory
    }

    #[test]
    fn every_byte_of_text_and_guards_counts() {
        let mut image = [7; PAGE + 100];
        image[0x3c..0x40].copy_from_slice(&PE);
        assert_eq!(check(&memory(), &image, ENDS, CPUS), Ok(()));
        let guard = 3 * PAGE + PAGE + STACK;
        for at in [
            0,
            0x6f,
            0x78,
            PAGE - 1,
            3 * PAGE,
            4 * PAGE - 1,
            guard,
            guard + PAGE - 1,
        ] {
            let mut changed = memory();
            changed[at] ^= 1;
            let error = check(&changed, &image, ENDS, CPUS).unwrap_err();
            assert!(error.contains("expected"), "{at:#x}: {error}");
        }
        // Data and stacks are the monitor's to change, and one field of the header is firmware's.
        for at in [0x70, 0x77, PAGE, 3 * PAGE - 1, 4 * PAGE] {
            let mut changed = memory();
            changed[at] ^= 1;
            assert_eq!(check(&changed, &image, ENDS, CPUS), Ok(()), "{at:#x}");
        }
    }

    #[test]
    fn finds_the_monitor_in_its_first_line() {
        let line = "baton: Baton 0.1.0: 4 CPUs, monitor at 0xbfc00000-0xc0000000 (4 MiB)";
        assert_eq!(place(line), Some((0xbfc0_0000, 0x40_0000)));
        assert_eq!(place("baton: kernel at 0x44000000-0x44089000"), None);
    }
}
