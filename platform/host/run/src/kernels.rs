// SPDX-License-Identifier: Apache-2.0
//! `make kernels`: a kexec from each of Debian's kernels to each, and a table of them.

use crate::{limits, text, variable};
use baton_qemu::console;
use baton_qemu::walk::{self, Kernels};
use baton_qemu::{Machine, kexec, paths, scratch};
use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::time::Duration;

/// How the kexecs went: from, to.
type Results = BTreeMap<(usize, usize), Result<Duration, String>>;

/// Goes over all pairs in as few boots as it can, and prints the table.
pub fn kernels() -> Result<(), String> {
    let mut machine = Machine::from_env(4).map_err(text)?;
    if variable("CPU").is_none() {
        // A kernel with pages of 16 KiB does not run on a Cortex-A57.
        machine.cpu = "neoverse-n1".into();
    }
    // Time in the machine is then a count of instructions, 1 ns each, whatever else the host does.
    machine
        .extra
        .splice(0..0, ["-icount", "shift=0,sleep=off"].map(str::to_owned));
    let kernels = Kernels::open(&paths::kernel_disk()).map_err(text)?;
    let count = kernels.all.len();
    let mut left: Vec<_> = (0..count)
        .flat_map(|from| (0..count).map(move |to| (from, to)))
        .collect();
    let mut results = Results::new();
    loop {
        let path = walk::path(&mut left);
        if path.is_empty() {
            break;
        }
        let steps = run(&machine, &kernels, &path)?;
        let mut pairs = path.windows(2).map(|pair| (pair[0], pair[1]));
        if steps.is_empty() {
            // A kernel that does not come up by itself is not tried again.
            let failed = "does not boot".to_owned();
            results.extend(pairs.next().map(|pair| (pair, Err(failed.clone()))));
            left.extend(pairs);
            left.retain(|&(from, to)| {
                let dead = from == path[0];
                if dead {
                    results.insert((from, to), Err(failed.clone()));
                }
                !dead
            });
            continue;
        }
        results.extend(pairs.by_ref().zip(steps));
        left.extend(pairs);
    }
    table(&machine, &kernels, &results);
    let failed = results.values().filter(|result| result.is_err()).count();
    if failed > 0 {
        return Err(format!("{failed} of {} kexecs failed", results.len()));
    }
    Ok(())
}

/// One boot, along `path` as far as it goes.
fn run(
    machine: &Machine,
    kernels: &Kernels,
    path: &[usize],
) -> Result<Vec<Result<Duration, String>>, String> {
    let last = u32::try_from(path.len() - 1).map_err(|error| error.to_string())?;
    let file = paths::target().join("guest/kernels-scratch.img");
    let disk = scratch::create(&file, last).map_err(text)?;
    let machine = Machine {
        disks: vec![disk, kernels.disk()],
        ..machine.clone()
    };
    println!("  one boot for {last} kexecs, on {} vCPUs", machine.smp);
    let guest = kernels.guest(path, "").ok_or("no kernel")?;
    let mut limits = limits(120 + 60 * u64::from(last))?;
    limits.silence = limits.silence.min(Duration::from_secs(120));
    let command = machine.command(&guest).map_err(text)?;
    let console = console::watch(command, limits, |line| {
        let shown = [
            "guest: gen",
            "guest: FAIL",
            "baton: gen",
            "baton: error",
            "Kernel panic",
        ]
        .iter()
        .chain(&[kexec::BYE])
        .any(|pattern| line.text.contains(pattern));
        let at = line.at.as_secs_f64();
        !shown || writeln!(stdout(), "  {at:7.2} s  {}", line.text).is_ok()
    })
    .map_err(text)?;
    let steps = kernels.steps(&console, path, machine.smp);
    if steps.len() < path.len() - 1 || steps.iter().any(Result::is_err) {
        println!("{}", console.tail(30));
    }
    Ok(steps)
}

/// Rows: from; columns: to; milliseconds from the hook to the first instruction.
fn table(machine: &Machine, kernels: &Kernels, results: &Results) {
    let names = kernels.all.iter().map(|kernel| kernel.name.as_str());
    println!();
    println!(
        "ms from hook to first instruction (1 ns an instruction), {} vCPUs ({}); rows: from, columns: to",
        machine.smp, machine.cpu
    );
    println!();
    for kernel in &kernels.all {
        println!("  {:<16} Linux {}", kernel.name, kernel.release);
    }
    println!();
    print!("  | from \\ to        |");
    names.clone().for_each(|name| print!(" {name:>14} |"));
    print!("\n  |------------------|");
    names.clone().for_each(|_| print!("---------------:|"));
    println!();
    let mut failures = Vec::new();
    for (from, name) in names.enumerate() {
        print!("  | {name:<16} |");
        for (to, kernel) in kernels.all.iter().enumerate() {
            match results.get(&(from, to)) {
                Some(Ok(time)) => print!(" {:>14.1} |", time.as_secs_f64() * 1e3),
                Some(Err(reason)) => {
                    failures.push(format!("{name} to {}: {reason}", kernel.name));
                    print!(" {:>14} |", format!("failed ({})", failures.len()));
                }
                None => print!(" {:>14} |", "not tried"),
            }
        }
        println!();
    }
    for (number, failure) in (1..).zip(failures) {
        println!("  ({number}) {failure}");
    }
}
