// SPDX-License-Identifier: Apache-2.0
//! `make crash`: Debian's kernel panics while some of its CPUs hang, under the monitor and without it: what the dump has
//! of each, and the crash kernel.

use crate::{limits, text, value};
use baton_qemu::console::{self, Console, Limits, plain};
use baton_qemu::gdb::{self, Gdb};
use baton_qemu::hang::{self, Waiting, mark};
use baton_qemu::{Machine, Task, kexec, linux, paths};
use std::fs;
use std::io::{Write, stdout};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the kernel says when it could not stop CPUs (`crash_smp_send_stop()`).
const NOT_STOPPED: &str = "failed to stop secondary CPUs";

/// How CPUs hang.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hang {
    /// They spin with all interrupts masked.
    Spin,
    /// QEMU does not run them. The stock kernel's wait gives each vCPU its turn a million times: one that spins would
    /// take 100 ms of the host's time each time.
    Hold,
}

/// What a run has shown.
struct Found {
    /// CPUs whose registers are in the dump.
    registers: usize,
    /// Of those that hang, CPUs whose place and mark are.
    hung: usize,
    /// CPUs that the crash kernel has online.
    online: u32,
    /// From `__crash_kexec()` to the crash kernel's first line, by the host's clock.
    away: Duration,
    /// From there to the crash kernel's first process.
    userspace: Duration,
    /// The monitor's line about it.
    monitor: Option<String>,
}

/// Panics twice, and compares.
pub fn crash() -> Result<(), String> {
    let machine = Machine::from_env(80).map_err(text)?;
    let smp = machine.smp;
    let hung = value("HUNG", smp / 2, "how many CPUs hang").map_err(text)?;
    if hung >= smp {
        return Err(format!(
            "HUNG={hung}: at most {} of {smp} CPUs can hang",
            smp - 1
        ));
    }
    let limits = limits(3600)?;
    let version = machine.qemu_version().map_err(text)?;
    println!(
        "  starting Linux on {smp} vCPUs under Baton (QEMU {version}); {hung} of them will hang"
    );
    let baton = once(&machine, hung, Hang::Spin, limits)?;
    println!("  the same without the monitor");
    let stock = Machine {
        monitor: None,
        its: machine.its && machine.keeps_its_alive(),
        ..machine.clone()
    };
    let stock = once(&stock, hung, Hang::Hold, limits)?;
    println!();
    for line in table(smp, hung, &baton, &stock) {
        println!("{line}");
    }
    Ok(())
}

/// One panic, up to the first process of the crash kernel.
fn once(machine: &Machine, hung: u32, how: Hang, limits: Limits) -> Result<Found, String> {
    let under = if machine.monitor.is_some() {
        "baton"
    } else {
        "stock"
    };
    let folder = paths::target().join("crash");
    let failed = |path: &Path, error| format!("{}: {error}", path.display());
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let socket = folder.join(format!("{under}.gdb"));
    let mut machine = machine.clone();
    machine.extra.extend(gdb::arguments(&socket));
    let linux = paths::linux();
    let image = fs::read(&linux).map_err(|error| failed(&linux, error))?;
    let guest = Task::Crash { times: 1 }.guest("baton.hang=on");
    let command = machine.command(&guest).map_err(text)?;
    // It lets the machine go on, and must not end before that.
    let mut connection = None;
    let mut hangs = Err("expected a guest that waits for CPUs to hang".into());
    let console = console::watch(command, limits, |line| {
        let shown = plain(&line.text);
        let is_shown = worth_showing(&shown);
        let mut goes_on =
            !is_shown || writeln!(stdout(), "  {:7.2} s  {shown}", line.at.as_secs_f64()).is_ok();
        if let Some(waiting) = hang::waits(&line.text).filter(|_| connection.is_none()) {
            let seen = Instant::now();
            let hang = hang_cpus(&socket, machine.smp, hung, how, &image, waiting);
            hangs = hang.map(|(gdb, place)| {
                connection = Some(gdb);
                (place, line.at + seen.elapsed())
            });
            goes_on &= hangs.is_ok();
        }
        // Its notes come before this.
        goes_on && !line.text.contains("guest: vmcore: notes: ")
    })
    .map_err(text)?;
    let log = folder.join(format!("{under}.log"));
    fs::write(&log, console.tail(usize::MAX)).map_err(|error| failed(&log, error))?;
    let with_console = |reason: String| {
        format!(
            "{reason}\n{}\nThe whole console: {}",
            console.tail(30),
            log.display()
        )
    };
    let (place, since) = hangs.map_err(with_console)?;
    found(&console, hung, place, since).ok_or_else(|| {
        with_console("expected the crash kernel to say what it found in the dump".into())
    })
}

/// Has the last `hung` CPUs of `smp` hang when another one panics. Returns the connection that must stay for it, and
/// where they do.
fn hang_cpus(
    socket: &Path,
    smp: u32,
    hung: u32,
    how: Hang,
    image: &[u8],
    waiting: Waiting,
) -> Result<(Gdb, u64), String> {
    let failed = |error: &dyn std::fmt::Display| format!("QEMU's stub: {error}");
    let stream = UnixStream::connect(socket).map_err(|error| failed(&error))?;
    let mut gdb = Gdb::new(stream).map_err(|error| failed(&error))?;
    let cpus = smp - hung..smp;
    let place = hang::hang_in_panic(&mut gdb, smp, cpus.clone(), image, waiting);
    let place = place.map_err(|error| failed(&error))?;
    let place = place.ok_or("expected a kernel with \"b .\" in it")?;
    let held: Vec<u32> = cpus.filter(|_| how == Hang::Hold).collect();
    gdb.go_on_without(smp, &held);
    Ok((gdb, place))
}

/// Reads off the console what came of the panic, which went on at `since`.
fn found(console: &Console, hung: u32, place: u64, since: Duration) -> Option<Found> {
    let after = |pattern: &str| {
        let lines = console.lines.iter();
        let mut lines = lines.filter(|line| line.at > since && line.text.contains(pattern));
        lines.next().map(|line| line.at.saturating_sub(since))
    };
    let generation = linux::generations(console);
    let generation = generation
        .iter()
        .find(|generation| generation.number == 1)?;
    let notes = || console.all("guest: vmcore: note ");
    let is_empty = format!("pc {:016x}", 0);
    let is_of = |text: &str, cpu: u32| {
        text.contains(&format!("pc {place:016x}"))
            && text.contains(&format!("x19 {:016x}", mark(cpu)))
    };
    let cpus = generation.cpus - hung..generation.cpus;
    let has_note = |cpu: &u32| notes().any(|line| is_of(&line.text, *cpu));
    Some(Found {
        registers: notes()
            .filter(|line| !line.text.contains(&is_empty))
            .count(),
        hung: cpus.filter(has_note).count(),
        online: generation.online,
        away: after(kexec::BOOTING)?,
        userspace: after("guest: generation 1")?,
        monitor: console
            .find("baton: generation 1: ")
            .and_then(|line| line.text.split_once("baton: generation 1: "))
            .map(|(_, text)| text.to_owned()),
    })
}

/// The comparison.
fn table(smp: u32, hung: u32, baton: &Found, stock: &Found) -> Vec<String> {
    let row = |what: &str, of: &dyn Fn(&Found) -> String| {
        format!("{what:<52}{:>12}{:>12}", of(baton), of(stock))
    };
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let mut lines = vec![
        format!(
            "{:<52}{:>12}{:>12}",
            format!("{smp} vCPUs, {hung} of them hung"),
            "Baton",
            "stock"
        ),
        row("CPUs with registers in the dump", &|found| {
            found.registers.to_string()
        }),
        row(
            "hung CPUs whose PC and x19 are right in the dump",
            &|found| found.hung.to_string(),
        ),
        row("CPUs online in the crash kernel", &|found| {
            found.online.to_string()
        }),
        row(
            "__crash_kexec() to the crash kernel's first line",
            &|found| seconds(found.away),
        ),
        row("__crash_kexec() to its first process", &|found| {
            seconds(found.userspace)
        }),
    ];
    if let Some(monitor) = &baton.monitor {
        lines.push(format!("Baton: {monitor}"));
    }
    if hung > 0 {
        lines.push(
            "Times are the host's. Under Baton CPUs hang in a loop; for stock QEMU does not run them, which is faster."
                .into(),
        );
    }
    lines
}

/// Whether a line says how far the machine is.
fn worth_showing(text: &str) -> bool {
    let is_note = text.contains("guest: vmcore: note ");
    let shown = [
        "guest: ",
        "baton: ",
        kexec::BOOTING,
        "smp: Brought up",
        "Kernel panic",
        NOT_STOPPED,
    ];
    !is_note && shown.iter().any(|pattern| text.contains(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_qemu::End;
    use baton_qemu::console::Line;

    /// The lines come a second after each other.
    fn console(text: &str) -> Console {
        let line = |(at, text): (u64, &str)| Line {
            at: Duration::from_secs(at),
            text: text.trim().into(),
        };
        Console {
            lines: (0..).zip(text.lines()).map(line).collect(),
            end: End::Stopped,
        }
    }

    #[test]
    fn a_console_says_what_came_of_a_panic() {
        let console = console(
            "Booting Linux on physical CPU 0\n\
             guest: generation 0, Linux 6.1, CPUs online: 3 of 3\n\
             guest: panic\n\
             Booting Linux on physical CPU 0\n\
             baton: generation 1: entered 98.0 us after __crash_kexec()\n\
             guest: generation 1, Linux 6.1, CPUs online: 2 of 3\n\
             guest: vmcore: note 0: pc 0000000000000011, pstate 5, x19 0000000000000000\n\
             guest: vmcore: note 1: pc 0000000000000000, pstate 5, x19 0000000000000000\n\
             guest: vmcore: note 2: pc 0000000000007000, pstate 5, x19 5eed0000c0de0002\n\
             guest: vmcore: notes: 3",
        );
        let since = Duration::from_secs(2);
        let found = found(&console, 2, 0x7000, since).expect("a crash kernel");
        assert_eq!((found.registers, found.hung, found.online), (2, 1, 2));
        let second = Duration::from_secs(1);
        assert_eq!((found.away, found.userspace), (second, 3 * second));
        let lines = table(3, 2, &found, &found);
        let seen = &lines[3];
        assert!(
            seen.starts_with("CPUs online in the crash kernel"),
            "{seen}"
        );
        assert!(seen.ends_with("           2           2"), "{seen}");
        assert!(lines[6].contains("entered 98.0 us"), "{}", lines[6]);
    }
}
