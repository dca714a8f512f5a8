// SPDX-License-Identifier: Apache-2.0
//! What a machine must have for Baton, looked at before anything is done.
//!
//! The machine itself is read by the monitor's own parsers: what they would refuse at boot is refused here.

use crate::evidence::Evidence;
use crate::kernels;
use crate::root::Root;
use baton_core::acpi::Tables;
use baton_core::devicetree::cpus::Devices;
use baton_core::devicetree::gic::Gic;
use baton_core::devicetree::psci::Conduit;
use baton_core::firmware_tables::{FirmwareTables, FirmwareTablesError};
use baton_core::hardware::Hardware;
use rustix::fs::OFlags;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// Where ACPI's tables are.
const TABLES: &str = "/sys/firmware/acpi/tables";
/// Memory that a kernel, its initrd and Baton need beside those that are there, in KiB.
const MEMORY_KIB: u64 = 256 << 10;

/// Messages of the kernel that are read, at most.
const MESSAGES_MAX: usize = 1 << 20;

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub about: &'static str,
    /// What was seen; or why it cannot be, and what to do.
    pub seen: Result<String, String>,
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.seen {
            Ok(seen) => write!(f, "ok    {:<12} {seen}", self.about),
            Err(why) => write!(f, "STOP  {:<12} {why}", self.about),
        }
    }
}

/// Returns what stands against it, if anything does: the first reason.
pub fn obstacle(findings: &[Finding]) -> Option<&str> {
    let mut reasons = findings
        .iter()
        .filter_map(|finding| finding.seen.as_ref().err());
    reasons.next().map(String::as_str)
}

/// Looks at all that Baton needs of the machine.
pub fn machine(root: &Root) -> Vec<Finding> {
    let level = Finding {
        about: "EL2",
        seen: level(root),
    };
    let mut findings = vec![level];
    findings.extend(described(root));
    findings
}

/// Looks at all that a kexec of Baton's image needs. `end_guests`: virtual machines may end.
pub fn kexec(root: &Root, end_guests: bool) -> Vec<Finding> {
    let finding = |about, seen| Finding { about, seen };
    vec![
        finding("memory", memory(root)),
        finding("kexec", kexec_allowed(root)),
        finding("lockdown", unsigned_allowed(root)),
        finding("KVM", guests(root, end_guests)),
    ]
}

/// Looks at the level that the kernel runs at.
fn level(root: &Root) -> Result<String, String> {
    if matches!(Evidence::find(root), Ok(Some(_))) {
        return Err("this kernel runs under Baton already".into());
    }
    if kernels::command_line(root).is_ok_and(|line| line.contains("kvm-arm.mode=protected")) {
        return Err("EL2 is KVM's (kvm-arm.mode=protected): boot without that option".into());
    }
    let log = kernel_messages(root);
    let said = |text: &str| log.contains(text);
    if said("CPU: All CPU(s) started at EL2") || root.exists("/dev/kvm") {
        return Ok("the kernel was started at EL2".into());
    }
    if said("CPU: All CPU(s) started at EL1") {
        return Err(
            "the kernel was started at EL1: this is a virtual machine, or EL2 is another hypervisor's; Baton needs \
             the machine itself"
                .into(),
        );
    }
    if said("CPU: CPUs started in inconsistent modes") {
        return Err("firmware starts CPUs at different exception levels".into());
    }
    Err("whether the kernel was started at EL2 is not known: its first messages are gone, and there is no \
         /dev/kvm; reboot and try again"
        .into())
}

/// Returns what the kernel's log still has: it is read up to its end, as nobody waits for more.
fn kernel_messages(root: &Root) -> String {
    let mut log = Vec::new();
    let opened = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(root.path("/dev/kmsg"));
    if let Ok(mut file) = opened {
        let mut record = [0; 8192];
        // A read returns one message, and fails with EPIPE where some were lost meanwhile.
        for _ in 0..MESSAGES_MAX {
            match file.read(&mut record) {
                Ok(0) => break,
                Ok(size) => log.extend_from_slice(&record[..size]),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
    }
    String::from_utf8_lossy(&log).into_owned()
}

/// Reads the machine as the monitor would.
fn described(root: &Root) -> Vec<Finding> {
    let finding = |about, seen| Finding { about, seen };
    let (by, hardware) = match hardware(root) {
        Ok(read) => read,
        Err(why) => return vec![finding("machine", Err(why))],
    };
    let gic = match &hardware.gic {
        Gic::V3(gic) => format!("GICv3 or later, {} ITS", gic.its.len()),
        Gic::V2(_) => "GICv2".into(),
        Gic::Bcm2836(_) => "BCM2836".into(),
    };
    let psci = match hardware.psci.map(|psci| psci.conduit) {
        Some(Conduit::Smc) => Ok("by SMC".into()),
        Some(Conduit::Hvc) => Err("PSCI is called by HVC: another hypervisor has EL2".into()),
        None => Ok("none: CPUs come from spin tables".into()),
    };
    let console = match &hardware.console {
        Some(console) => format!("a UART at {:#x}", console.registers.start()),
        None => "none that is known: Baton is silent (`baton log` shows its log)".into(),
    };
    vec![
        finding(
            "machine",
            Ok(format!("{} CPUs, described by {by}", hardware.cpus.len())),
        ),
        finding("GIC", Ok(gic)),
        finding("PSCI", psci),
        finding("console", Ok(console)),
    ]
}

/// Returns who describes the machine, and the machine.
fn hardware(root: &Root) -> Result<(&'static str, Hardware), String> {
    let table = |name: &str| root.bytes(format!("{TABLES}/{name}"));
    let text = |error: FirmwareTablesError| error.to_string();
    if root.exists(TABLES) {
        let needed = |name| {
            let missing = format!("ACPI: {TABLES}/{name} cannot be read: run this as root");
            table(name).ok_or(missing)
        };
        let (madt, fadt) = (needed("APIC")?, needed("FACP")?);
        let [spcr, dbg2, srat, mcfg, iort] = ["SPCR", "DBG2", "SRAT", "MCFG", "IORT"].map(table);
        let tables = FirmwareTables::Acpi(Tables {
            madt: &madt,
            fadt: &fadt,
            spcr: spcr.as_deref(),
            dbg2: dbg2.as_deref(),
            srat: srat.as_deref(),
            mcfg: mcfg.as_deref(),
            iort: iort.as_deref(),
            devices: Devices::default(),
        });
        return tables
            .read()
            .map(|hardware| ("ACPI", hardware))
            .map_err(text);
    }
    let tree = root.bytes("/sys/firmware/fdt");
    let tree = tree.ok_or("/sys/firmware has neither ACPI's tables nor a device tree (fdt)")?;
    let tables = FirmwareTables::of_tree(&tree);
    let tables = tables.ok_or("the device tree describes no machine, and there is no ACPI")?;
    tables
        .read()
        .map(|hardware| ("a device tree", hardware))
        .map_err(text)
}

/// Looks at the memory that is free.
fn memory(root: &Root) -> Result<String, String> {
    let meminfo = root.text("/proc/meminfo").unwrap_or_default();
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    match free {
        Some(free) if free < MEMORY_KIB => Err(format!(
            "{} MiB of memory are free, {} MiB are needed",
            free >> 10,
            MEMORY_KIB >> 10
        )),
        Some(free) => Ok(format!("{} MiB are free", free >> 10)),
        None => Ok("not known how much is free".into()),
    }
}

/// Looks at whether the kernel has kexec, and allows it.
pub fn kexec_allowed(root: &Root) -> Result<String, String> {
    if !root.exists("/sys/kernel/kexec_loaded") {
        return Err("this kernel was built without kexec: boot one with CONFIG_KEXEC".into());
    }
    for (name, off) in [
        ("kexec_load_disabled", "1"),
        ("kexec_load_limit_reboot", "0"),
    ] {
        if root.text(format!("/proc/sys/kernel/{name}")).as_deref() == Some(off) {
            return Err(format!(
                "kexec is switched off until the next boot (kernel.{name}={off}): leave that out of \
                 /etc/sysctl.d and reboot"
            ));
        }
    }
    let there = ["/usr/sbin/kexec", "/sbin/kexec"]
        .iter()
        .any(|path| root.exists(path));
    match there {
        true => Ok("allowed".into()),
        false => Err("there is no program kexec: apt-get install kexec-tools".into()),
    }
}

/// Returns how far the kernel is locked down; `None` if it is not.
pub fn lockdown(root: &Root) -> Option<String> {
    let text = root.text("/sys/kernel/security/lockdown")?;
    let (_, rest) = text.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    (mode != "none").then(|| mode.to_owned())
}

/// Returns whether Secure Boot is on.
pub fn secure_boot(root: &Root) -> bool {
    let path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    // Four bytes of attributes, and then one.
    root.bytes(path)
        .is_some_and(|value| value.get(4) == Some(&1))
}

/// Looks at whether a kernel that nobody signed can be loaded.
fn unsigned_allowed(root: &Root) -> Result<String, String> {
    match lockdown(root) {
        Some(mode) => Err(format!(
            "the kernel is locked down ({mode}): it takes signed kernels alone, and an image of Baton with \
             yours behind it is none; switch Secure Boot off to try Baton"
        )),
        None if secure_boot(root) => {
            Ok("Secure Boot is on, and the kernel is not locked down".into())
        }
        None => Ok("none".into()),
    }
}

/// Looks for virtual machines, which would end.
fn guests(root: &Root, may_end: bool) -> Result<String, String> {
    let is_number = |name: &String| name.chars().all(|letter| letter.is_ascii_digit());
    let runs_a_guest = |process: &String| {
        let folder = format!("/proc/{process}/fd");
        let links = root.names(&folder).into_iter();
        let mut links = links.filter_map(|name| root.link(format!("{folder}/{name}")));
        links.any(|link| link.to_string_lossy().starts_with("anon_inode:kvm-vm"))
    };
    let processes: Vec<String> = root
        .names("/proc")
        .into_iter()
        .filter(is_number)
        .filter(runs_a_guest)
        .collect();
    match (processes.len(), may_end) {
        (0, _) => Ok("no virtual machines run; there will be no KVM under Baton".into()),
        (count, true) => Ok(format!("{count} virtual machines end")),
        (count, false) => Err(format!(
            "{count} virtual machines run, and would end (process {}): shut them down, or say --end-guests",
            processes.join(", ")
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests;
