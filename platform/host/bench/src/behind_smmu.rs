// SPDX-License-Identifier: Apache-2.0
//! What the fence of an SMMU costs (`smmu=fence`): reads of a disk behind it, with each page unmapped at once (strict)
//! or many together (lazy); and the probe's unmap alone. By instructions, in QEMU 10.

use crate::column::instruction_clock;
use crate::exit_cost;
use crate::idle::{self, EXITS};
use crate::raw::Raw;
use crate::stats::{Summary, digits};
use baton_qemu::{Disk, Machine, Task, paths};
use std::fmt::Write;

/// Blocks that each CPU reads.
const EACH: u32 = 512;
/// How often the probe unmaps.
const UNMAPS: u32 = 1000;
/// A disk without a host's behind it: a request is done when the guest has asked for it, so that nobody waits, and
/// what is counted is the guest's work.
const NULL_DISK: [&str; 4] = [
    "-blockdev",
    "driver=null-co,node-name=nothing,size=1073741824,read-zeroes=on",
    "-device",
    "virtio-blk-pci,drive=nothing,serial=scratch,iommu_platform=on,disable-legacy=on,ioeventfd=off",
];

/// How the guest unmaps.
struct Way {
    /// What it is called in the raw samples.
    name: &'static str,
    /// What a reader is told.
    title: &'static str,
    /// What has Linux do so.
    append: &'static str,
    /// What Linux says of it.
    domain: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        name: "strict",
        title: "strict: each page is unmapped at once",
        append: "iommu.strict=1",
        domain: "DMA",
    },
    Way {
        name: "lazy",
        title: "lazy: many together",
        append: "iommu.strict=0",
        domain: "DMA-FQ",
    },
];
/// The monitor's command line, and how samples with it are called.
const FENCES: [(&str, &str); 2] = [("", "open"), ("smmu=fence", "fence")];

/// The machine with an SMMU, in which the monitor has this command line.
fn machine(base: &Machine, baton: &str) -> Machine {
    let mut machine = Machine {
        qemu: paths::qemu_10().display().to_string(),
        monitor: Some(paths::monitor()),
        baton: baton.into(),
        its: true,
        gic: 3,
        smmu: true,
        uefi: None,
        ..base.clone()
    };
    machine.extra.extend(instruction_clock());
    machine
}

/// The QEMU that this is measured with.
pub fn subject(base: &Machine) -> Machine {
    machine(base, "")
}

/// Takes the samples that are missing, and returns the report in Markdown.
///
/// # Errors
/// If QEMU cannot be started, or the guest does not do its work.
pub fn run(base: &Machine, raw: &mut Raw, samples: u32, subject: &str) -> Result<String, String> {
    for (baton, fence) in FENCES {
        let machine = machine(base, baton);
        for way in &WAYS {
            // The counts of exits without reads hardly vary.
            for (each, column, samples) in [
                (EACH, column(way, fence, "reads"), samples),
                (0, column(way, fence, "none"), 1),
            ] {
                while raw.samples(&column, base.smp) < samples {
                    println!(
                        "  {column}, {} vCPUs: one of {samples} samples",
                        machine.smp
                    );
                    let metrics = reads(&machine, way, each)?;
                    add(raw, &column, base.smp, &metrics)?;
                }
            }
        }
        let column = format!("unmap-{fence}");
        if raw.samples(&column, 1) == 0 {
            println!("  {column}, {UNMAPS} times");
            let alone = Machine { smp: 1, ..machine };
            let test = format!("test=fence-cost calls={UNMAPS}");
            add(raw, &column, 1, &exit_cost::once(&alone, test)?)?;
        }
    }
    Ok(report(raw, base, subject))
}

fn column(way: &Way, fence: &str, what: &str) -> String {
    format!("{}-{fence}-{what}", way.name)
}

fn add(raw: &mut Raw, column: &str, smp: u32, metrics: &[(String, String)]) -> Result<(), String> {
    raw.add(column, smp, metrics)
        .map_err(|error| format!("the samples cannot be written: {error}"))
}

/// Has each CPU read so many blocks.
fn reads(machine: &Machine, way: &Way, each: u32) -> Result<Vec<(String, String)>, String> {
    let mut machine = machine.clone();
    machine.disks.push(Disk::kernels(paths::reads()));
    machine.extra.extend(NULL_DISK.map(str::to_owned));
    let seen = idle::watch(&machine, &Task::Reads { each }, way.append)?;
    let mut metrics = idle::figures(&seen.lines);
    let said = |what: &str| {
        let line = seen.find(what)?.text.split_once(what)?;
        Some(line.1.trim().to_owned())
    };
    let domain = said("guest: reads: domains: ");
    if domain.as_deref() != Some(way.domain) {
        return Err(format!(
            "expected domains of {}, seen {domain:?}\n{}",
            way.domain,
            seen.tail(30)
        ));
    }
    metrics.extend(said("guest: reads: requests: ").map(|count| ("requests".to_owned(), count)));
    Ok(metrics)
}

fn report(raw: &Raw, base: &Machine, subject: &str) -> String {
    let of = |column: &str, metric: &str| Summary::of(raw.values(column, base.smp, metric));
    let exits = |column: &str| -> Option<f64> {
        let counts = EXITS.iter().map(|cause| of(column, cause));
        counts.map(|count| Some(count?.median)).sum()
    };
    let shown = |value: Option<String>| value.unwrap_or("–".into());
    let mut text = String::from("# What the fence of an SMMU costs\n\n");
    for line in subject.lines() {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "- Clock: the guest's, under `-icount shift=0,sleep=off`: thousands of instructions of all {smp} vCPUs \
         together.\n\
         - Load: {EACH} reads of 4 KiB by each CPU, all CPUs at once, each from a random place and past the page cache \
         (`O_DIRECT`). The disk is a virtio-blk-pci behind an SMMUv3, of QEMU's `null-co`: a request is done when it \
         was asked for, so that nobody waits.\n\
         - Both are under Baton; exits are those of a kernel with the load, less those of one without.\n\
         - {samples} samples each; median (least–most).\n\n\
         | reads | without the fence | with `smmu=fence` | more | exits without | exits with | requests | exits a \
         request |\n|---|--:|--:|--:|--:|--:|--:|--:|",
        smp = base.smp,
        samples = raw.samples(&column(&WAYS[0], "fence", "reads"), base.smp),
    );
    for way in &WAYS {
        let column = |fence| column(way, fence, "reads");
        let (open, fence) = (column("open"), column("fence"));
        let more_exits =
            |fence| Some(exits(&column(fence))? - exits(&self::column(way, fence, "none"))?);
        let (without, with) = (of(&open, "reads us"), of(&fence, "reads us"));
        let requests = of(&fence, "requests").map(|count| count.median);
        let more = || Some((with?.median / without?.median - 1.0) * 100.0);
        let each = || Some(more_exits("fence")? / requests?);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            way.title,
            shown(without.map(|us| us.to_string())),
            shown(with.map(|us| us.to_string())),
            shown(more().map(|percent| format!("{percent:+.2} %"))),
            shown(more_exits("open").map(digits)),
            shown(more_exits("fence").map(digits)),
            shown(requests.map(digits)),
            shown(each().map(digits)),
        );
    }
    let unmap = |fence| {
        let column = format!("unmap-{fence}");
        Some(Summary::of(raw.values(&column, 1, "unmap instructions"))?.median)
    };
    let (without, with) = (unmap("open"), unmap("fence"));
    let more = || Some(with? - without?);
    let _ = writeln!(
        text,
        "\nAn unmap, of a TLBI and a CMD_SYNC (the probe's `test=fence-cost`): {} instructions without the fence, {} \
         with it: one exit of {}.",
        shown(without.map(digits)),
        shown(with.map(digits)),
        shown(more().map(digits)),
    );
    text
}
