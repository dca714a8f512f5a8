// SPDX-License-Identifier: Apache-2.0
//! Each step by its name, as the table has it. What each clears in full is in the tests of the file
//! that does it.

use super::*;
use crate::arch::fake::mmio;
use crate::gic::fake::{SGI_BASE, gate};
use crate::machine::fake::{Bench, RAM};
use crate::machine::next::Next;
use crate::machine::request::KexecRequest;
use crate::machine::validated::Asked;
use crate::takeover::request;
use baton_core::devicetree::next_tree::Needs;
use baton_core::options::{DeviceDma, Options};
use baton_core::smp::platform::Platform;
use baton_core::smp::power::Start;
use baton_sysreg::fake;
use dtoolkit::model::DeviceTree;

/// Takes the step `name` on the CPU `index`.
fn take(bench: &Bench, name: &str, index: usize) -> Result<(), HwError> {
    let step = TABLE.iter().find(|step| step.name == name);
    let step = step.unwrap_or_else(|| panic!("there is no step {name}"));
    (step.teardown)(&bench.machine.cpus[index], &bench.machine)
}

/// A step that clears registers of the CPU: each of them is full of ones before.
macro_rules! clears_registers {
    ($($test:ident: $step:literal, $($register:literal)+;)+) => {
        $(#[test]
        fn $test() {
            let bench = Bench::new(Options::default());
            $(fake::set($register, u64::MAX);)+
            assert_eq!(take(&bench, $step, 0), Ok(()));
            $(assert_eq!(fake::get($register), 0, $register);)+
        })+
    };
}

clears_registers! {
    timers: "timers", "CNTV_CTL_EL0" "CNTP_CTL_EL0" "CNTV_CVAL_EL0" "CNTP_CVAL_EL0" "CNTKCTL_EL1";
    pmu: "pmu", "PMCNTENCLR_EL0" "PMINTENCLR_EL1" "PMOVSCLR_EL0" "PMCCNTR_EL0" "PMUSERENR_EL0";
    cluster_pmu_of_all: "cluster-pmu", "CLUSTERPMSELR_EL1" "CLUSTERPMCCNTR_EL1";
    trace: "trace", "PMSCR_EL1" "PMBLIMITR_EL1" "TRFCR_EL1" "TRBLIMITR_EL1" "BRBCR_EL1";
    debug: "debug", "MDSCR_EL1" "DBGBCR0_EL1" "DBGWCR15_EL1";
    vectors: "vectors", "V0-V31" "Z0-Z31" "SVCR" "FPCR" "FPSR" "TPIDR2_EL0";
    pauth: "pauth", "APIAKeyLo_EL1" "APGAKeyHi_EL1";
    el1_registers: "el1-registers", "TTBR0_EL1" "VBAR_EL1" "SP_EL0" "TPIDR_EL1" "GCR_EL1";
}

#[test]
fn a_cluster_pmu_that_the_tree_does_not_name_is_not_touched() {
    let mut bench = Bench::new(Options::default());
    bench.machine.devices.dsu_pmu_is_open = false;
    let before = fake::writes().len();
    assert_eq!(take(&bench, "cluster-pmu", 0), Ok(()));
    assert_eq!(fake::writes().len(), before);
}

/// CPU 1 takes part in a takeover that is accepted.
fn accepted(bench: &Bench) {
    let machine = &bench.machine;
    let rendezvous = &machine.takeover.rendezvous;
    rendezvous.expect_boot_cpu(&machine.cpus[1]);
    rendezvous.share_out(&machine.cpus, 1, 0);
    machine.takeover.accept(&machine.cpus[1], 0);
    machine.dma.begin();
}

#[test]
fn pci_dma_unless_it_is_to_be_kept() {
    for (dma, command, stopped) in [(DeviceDma::Stop, 3, 1), (DeviceDma::Keep, 7, 0)] {
        let bench = Bench::new(Options {
            dma,
            ..Options::default()
        });
        let function = bench.pci.add(5);
        let bridge = bench.pci.add_bridge(6);
        accepted(&bench);
        assert_eq!(take(&bench, "pci-dma", 1), Ok(()));
        assert_eq!(mmio::peek(function), command, "{dma:?}: Command");
        assert_eq!(mmio::peek(bridge), 7, "{dma:?}: Command of the bridge");
        assert_eq!(bench.machine.dma.stopped(), stopped, "{dma:?}");
        assert_eq!(take(&bench, "pci-bridges", 1), Ok(()));
        assert_eq!(
            mmio::peek(bridge),
            command,
            "{dma:?}: Command of the bridge"
        );
        assert_eq!(bench.machine.dma.stopped(), 2 * stopped, "{dma:?}");
    }
}

#[test]
fn a_cpu_that_came_late_stops_no_device() {
    let bench = Bench::new(Options::default());
    let function = bench.pci.add(5);
    accepted(&bench);
    assert!(bench.machine.cpus[0].member.arrival().give_up(1));
    assert_eq!(take(&bench, "pci-dma", 0), Ok(()));
    assert_eq!(mmio::peek(function), 7, "Command");
}

/// Where the route of the first SPI is.
fn route(bench: &Bench) -> usize {
    bench.gic.gicd.base() + 0x6100
}

#[test]
fn interrupt_routes_of_a_cpu_that_goes_alone_lead_to_the_boot_cpu() {
    for (teardown, expected) in [(Teardown::Serial, 0), (Teardown::Parallel, 0x100)] {
        let bench = Bench::new(Options {
            teardown,
            ..Options::default()
        });
        mmio::poke64(route(&bench), 0x100);
        assert_eq!(take(&bench, "interrupt-routes", 1), Ok(()));
        assert_eq!(mmio::peek64(route(&bench)), expected, "{teardown:?}");
    }
}

#[test]
fn cpu_interface() {
    let bench = Bench::new(Options::default());
    fake::set("ICC_SRE_EL1", 7);
    fake::set("ICC_RPR_EL1", 0xff);
    for register in ["ICC_IGRPEN1_EL1", "ICC_AP1R0_EL1", "ICC_PMR_EL1"] {
        fake::set(register, 1);
    }
    assert_eq!(take(&bench, "cpu-interface", 0), Ok(()));
    for register in ["ICC_IGRPEN1_EL1", "ICC_AP1R0_EL1", "ICC_PMR_EL1"] {
        assert_eq!(fake::get(register), 0, "{register}");
    }
}

/// `GICR_ISENABLER0` of the redistributor of the CPU `index`, and its `GICR_ISPENDR0`.
fn enables(bench: &Bench, index: usize) -> usize {
    bench.gic.frame(index) + SGI_BASE + 0x100
}

fn pending(bench: &Bench, index: usize) -> usize {
    bench.gic.frame(index) + SGI_BASE + 0x200
}

#[test]
fn redistributor_of_the_cpu_itself() {
    let bench = Bench::new(Options::default());
    for index in [0, 1] {
        mmio::poke(enables(&bench, index), u32::MAX);
    }
    // ICENABLER shows the same.
    mmio::poke(enables(&bench, 1) + 0x80, u32::MAX);
    assert_eq!(take(&bench, "redistributor", 1), Ok(()));
    assert_eq!(mmio::peek(enables(&bench, 1)), 0);
    assert_eq!(mmio::peek(enables(&bench, 0)), u32::MAX, "another CPU's");
}

#[test]
fn lpis() {
    let bench = Bench::new(Options::default());
    let gicr = bench.gic.frame(1);
    mmio::poke(gicr, mmio::peek(gicr) | 1);
    mmio::poke64(gicr + 0x70, 0x4567_8000);
    assert_eq!(take(&bench, "lpis", 1), Ok(()));
    assert_eq!(mmio::peek(gicr) & 1, 0, "GICR_CTLR.EnableLPIs");
    assert_eq!(mmio::peek64(gicr + 0x70), 0, "GICR_PROPBASER");
}

#[test]
fn translations_are_dropped_and_so_are_instructions() {
    let bench = Bench::new(Options::default());
    let before = fake::instructions().len();
    assert_eq!(take(&bench, "translations", 0), Ok(()));
    assert_eq!(
        fake::instructions()[before..],
        [
            "dsb ishst",
            "tlbi alle1",
            "dsb ish",
            "isb",
            "ic iallu",
            "dsb ish",
            "isb"
        ]
    );
}

/// The stores of its guest, as far as they are under way.
#[test]
fn a_cpu_that_comes_has_stored_all_that_its_guest_did() {
    let bench = Bench::new(Options::default());
    let before = fake::instructions().len();
    bench.machine.mark_arrived(&bench.machine.cpus[1]);
    assert_eq!(fake::instructions().get(before), Some(&"dsb sy"));
}

#[test]
fn distributor_is_off_and_spis_are_disabled() {
    let bench = Bench::new(Options::default());
    let gicd = bench.gic.gicd.base();
    mmio::poke(gicd, mmio::peek(gicd) | 3);
    mmio::poke(gicd + 0x104, u32::MAX);
    assert_eq!(take(&bench, "distributor", 1), Ok(()));
    assert_eq!(mmio::peek(gicd) & 3, 0, "GICD_CTLR");
    assert_eq!(mmio::peek(gicd + 0x104), 0, "GICD_ISENABLER1");
}

#[test]
fn spis_of_each_cpus_share_lead_to_the_boot_cpu() {
    let bench = Bench::new(Options::default());
    accepted(&bench);
    // The first SPIs are those of the first CPU, the next 32 those of the second.
    let second = route(&bench) + 8 * 32;
    assert_eq!(take(&bench, "spis", 1), Ok(()));
    let seen = [route(&bench), second].map(mmio::peek64);
    assert_eq!(seen, [0, 0x100], "routes, one is done");
    assert_eq!(take(&bench, "spis", 0), Ok(()));
    let seen = [route(&bench), second].map(mmio::peek64);
    assert_eq!(seen, [0x100, 0x100], "routes");
}

/// One that was given up has a place among those that came, or none at all.
#[test]
fn a_cpu_that_came_late_moves_no_routes() {
    let bench = Bench::new(Options {
        teardown: Teardown::Serial,
        ..Options::default()
    });
    let machine = &bench.machine;
    machine
        .takeover
        .rendezvous
        .expect_boot_cpu(&machine.cpus[1]);
    assert!(machine.cpus[1].member.arrival().give_up(1));
    mmio::poke64(route(&bench), 0x100);
    assert_eq!(take(&bench, "interrupt-routes", 1), Ok(()));
    assert_eq!(mmio::peek64(route(&bench)), 0x100, "GICD_IROUTER32");
}

#[test]
fn absent_cpus_are_cleared_from_outside() {
    let bench = Bench::new(Options::default());
    let machine = &bench.machine;
    machine.takeover.rendezvous.share_out(&machine.cpus, 1, 0);
    for index in [0, 1] {
        for register in [enables(&bench, index), pending(&bench, index)] {
            mmio::poke(register, 0xffff);
            mmio::poke(register + 0x80, 0xffff);
        }
    }
    assert_eq!(take(&bench, "absent-cpus", 0), Ok(()));
    assert_eq!(mmio::peek(enables(&bench, 1)), 0, "GICR_ISENABLER0");
    assert_eq!(mmio::peek(pending(&bench, 1)), 0, "GICR_ISPENDR0");
    assert_eq!(mmio::peek(enables(&bench, 0)), 0xffff, "it is here");
}

#[test]
fn an_absent_cpu_without_power_is_left_alone() {
    let bench = Bench::new(Options::default());
    let machine = &bench.machine;
    machine.takeover.rendezvous.share_out(&machine.cpus, 1, 0);
    gate(bench.gic.frame(1));
    let before = mmio::writes().len();
    assert_eq!(take(&bench, "absent-cpus", 0), Ok(()));
    assert_eq!(mmio::writes()[before..], [], "writes to what has no power");
}

#[test]
fn its_is_off() {
    let bench = Bench::new(Options::default());
    assert_eq!(take(&bench, "its", 0), Ok(()));
    assert_eq!(mmio::peek(bench.gic.its.base()) & 1, 0, "GITS_CTLR");
}

/// A machine on which LPIs stay on, with tables in the guest's memory.
fn keeps_lpis() -> Bench {
    let bench = Bench::new(Options::default());
    let size = bench
        .machine
        .gic
        .lpi_tables(0, true)
        .expect("LPIs are there");
    let start = bench.ram.base() as u64;
    let memory = baton_core::memory::region::Region::new(start, size).expect("a region");
    // SAFETY: No GIC uses it.
    let result = unsafe { bench.machine.gic.preset_lpis(0, memory, true) };
    assert_eq!(result, Ok(true));
    for cpu in &bench.machine.cpus {
        assert_eq!(bench.machine.gic.cpu_online(cpu.mpidr), Ok(()));
    }
    bench
}

#[test]
fn kept_lpis_are_disabled() {
    let bench = keeps_lpis();
    mmio::poke(bench.ram.base() + 0x100, u32::MAX);
    assert_eq!(take(&bench, "kept-lpis", 0), Ok(()));
    assert_eq!(mmio::peek(bench.ram.base() + 0x100), 0);
}

/// A list with an entry, and another part: room, count, where that is.
fn reserves(bench: &mut Bench) -> usize {
    let list = bench.ram.base() + 0x8_0000;
    bench.machine.memory_reserve = Some(list as u64);
    mmio::poke64(list, 1 << 32 | 1);
    mmio::poke64(list + 8, 0x4800_0000);
    list
}

#[test]
fn memory_that_was_reserved_for_lpis_is_given_back() {
    let mut bench = Bench::new(Options::default());
    let list = reserves(&mut bench);
    assert_eq!(take(&bench, "memory-reserve", 0), Ok(()));
    assert_eq!(
        [mmio::peek64(list), mmio::peek64(list + 8)],
        [1, 0],
        "room and count, next part"
    );
}

#[test]
fn memory_of_lpis_that_are_on_stays_reserved() {
    let mut bench = keeps_lpis();
    let list = reserves(&mut bench);
    assert_eq!(take(&bench, "memory-reserve", 0), Ok(()));
    assert_eq!(mmio::peek64(list + 8), 0x4800_0000);
}

#[test]
fn a_list_of_reserved_memory_is_in_the_guests_memory() {
    let mut bench = Bench::new(Options::default());
    assert_eq!(take(&bench, "memory-reserve", 0), Ok(()), "there is none");
    let end = bench.ram.base() as u64 + RAM - 8;
    bench.machine.memory_reserve = Some(end);
    let absent = HwError::Absent {
        what: "guest memory",
        id: end,
    };
    assert_eq!(take(&bench, "memory-reserve", 0), Err(absent));
}

#[test]
fn lpi_cache_is_dropped() {
    let bench = keeps_lpis();
    // GICR_CTLR.IR.
    mmio::stick(bench.gic.frame(1), 1 << 2);
    assert_eq!(take(&bench, "lpi-cache", 1), Ok(()));
    let invallr = (bench.gic.frame(1) + 0xb0, 0);
    assert_eq!(mmio::writes().last(), Some(&invallr), "GICR_INVALLR");
}

#[test]
fn sgis_that_came_late_are_dropped() {
    let bench = Bench::new(Options::default());
    mmio::poke(pending(&bench, 1), 1);
    mmio::poke(pending(&bench, 1) + 0x80, 1);
    assert_eq!(take(&bench, "sgis", 1), Ok(()));
    assert_eq!(mmio::peek(pending(&bench, 1)), 0, "GICR_ISPENDR0");
}

/// Asks for the next kernel at 0x3000, a page from 0x8000 and one from 0x9000, with the list at
/// 0x1000.
fn request(bench: &Bench) -> KexecRequest {
    for at in (0..0x2000).step_by(4) {
        mmio::poke(bench.ram.base() + 0x8000 + at, at as u32 + 1);
    }
    let base = bench.ram.base() as u64;
    KexecRequest::Call {
        list: bench.write_list(0x1000, &[(0x8000, 0x3000), (0x9000, 0x4000)]),
        entry: base + 0x3000,
        device_tree: bench.write_tree(0x6000, &DeviceTree::new()),
    }
}

/// Has the first CPU check `request` alone, which is valid.
fn check(machine: &Machine, request: KexecRequest) {
    let asked = Asked {
        request,
        needs: Needs {
            monitor: machine.monitor,
            log: machine.log,
            own_psci: false,
        },
        refuse: false,
    };
    let takeover = &machine.takeover;
    // SAFETY: Nobody else has the plan.
    unsafe { takeover.ask(asked, 0) }
    takeover.rendezvous.share_out(&machine.cpus, 1, 0);
    for round in 0.. {
        // SAFETY: As above, and no CPU checks.
        let more = unsafe { takeover.begin_round(&machine.ram, &machine.generations, round) };
        if !more.expect("a valid request") {
            return;
        }
        // SAFETY: This is a round.
        unsafe { takeover.check(&machine.ram, &machine.cpus[0]) }
    }
}

#[track_caller]
fn has_the_next_kernel(bench: &Bench) {
    for at in (0..0x2000).step_by(4) {
        let seen = mmio::peek(bench.ram.base() + 0x3000 + at);
        assert_eq!(seen, at as u32 + 1, "at {at:#x} of the next kernel");
    }
}

#[test]
fn copy_puts_a_cpus_share_in_place_and_cleans_it() {
    let bench = Bench::new(Options::default());
    let request = request(&bench);
    let machine = &bench.machine;
    check(machine, request);
    assert_eq!(take(&bench, "copy", 0), Ok(()));
    has_the_next_kernel(&bench);
    let instructions = fake::instructions();
    let cleans = |text: &&&str| **text == "dc civac";
    assert!(instructions.iter().filter(cleans).count() >= 0x2000 / 64);
    assert_eq!(instructions[instructions.len() - 2..], ["dsb sy", "isb"]);
}

#[test]
fn a_list_that_changed_is_an_error_and_no_kernel() {
    let bench = Bench::new(Options::default());
    let request = request(&bench);
    let machine = &bench.machine;
    check(machine, request);
    mmio::poke64(bench.ram.base() + 0x1010, baton_abi::IND_DONE);
    let result = take(&bench, "copy", 0);
    assert!(
        matches!(result, Err(HwError::Absent { .. })),
        "seen {result:?}"
    );
    assert!(machine.takeover.copy_failed());
}

#[test]
fn a_whole_takeover_leaves_nothing_and_enters_the_next_kernel() {
    let bench = Bench::new(Options::default());
    let machine = &bench.machine;
    let cpu = &machine.cpus[0];
    fake::set("ICC_SRE_EL1", 7);
    fake::set("ICC_RPR_EL1", 0xff);
    for register in ["TTBR0_EL1", "CNTV_CTL_EL0", "APIAKeyLo_EL1", "ICC_PMR_EL1"] {
        fake::set(register, 1);
    }
    mmio::poke(bench.gic.gicd.base() + 0x104, u32::MAX);
    let next = request::kexec(machine, cpu, request(&bench));
    let start = Start {
        entry: bench.ram.base() as u64 + 0x3000,
        context: bench.ram.base() as u64 + 0x6000,
    };
    assert!(
        matches!(next, Ok(Next::Enter(seen)) if seen == start),
        "seen {next:?}"
    );
    has_the_next_kernel(&bench);
    for register in ["TTBR0_EL1", "CNTV_CTL_EL0", "APIAKeyLo_EL1", "ICC_PMR_EL1"] {
        assert_eq!(fake::get(register), 0, "{register}");
    }
    assert_eq!(
        mmio::peek(bench.gic.gicd.base() + 0x104),
        0,
        "GICD_ISENABLER1"
    );
    assert_eq!(cpu.failed.lock().first, None, "a step failed");
    assert_eq!(machine.takeover.rendezvous.generation(), 1);
}

#[test]
fn a_step_that_fails_is_kept_for_the_report() {
    let bench = Bench::new(Options::default());
    let cpu = &bench.machine.cpus[0];
    fake::set("ICC_SRE_EL1", 7);
    fake::set("ICC_RPR_EL1", 0xff);
    fake::fix("VBAR_EL1", 1 << 11, 1 << 11);
    assert!(request::kexec(&bench.machine, cpu, request(&bench)).is_ok());
    let stuck = HwError::Sticky {
        register: "VBAR_EL1",
        wanted: 0,
        found: 1 << 11,
    };
    assert_eq!(cpu.failed.lock().first, Some(("el1-registers", stuck)));
}
