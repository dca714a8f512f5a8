// SPDX-License-Identifier: Apache-2.0
//! The calls patched into an unmodified kernel: two of its kexec, and two by which it leaves for its crash kernel.

pub mod crash_interrupt;
mod pt_regs;

use crate::arch::translate::{stage1, translate};
use crate::arch::{cache, time};
use crate::machine::Machine;
use crate::machine::counters::Cause;
use crate::machine::cpu::Cpu;
use crate::machine::hook_state::{FirstCall, Patched};
use crate::machine::next::Next;
use crate::machine::request::{KexecRequest, Way};
use crate::memory::guest_ram::{GuestRam, GuestRange};
use crate::memory::kexec_memory::LinearMap;
use crate::report;
use crate::takeover::interrupts;
use crate::takeover::request::{self, Refusal};
use crate::vcpu::frame::Frame;
use arm_psci::AffinityInfo;
use baton_abi::hooks::{CRASH_HOOK1, CRASH_HOOK2, HOOK1, HOOK2, hvc};
use baton_core::linux::image::PageSize;
use baton_core::linux::image::{HEADER_SIZE, ImageHeader};
use baton_core::linux::sites::{self, Site};
use baton_core::options::{Crash, Hooks};
use baton_sysreg::read_sysreg;
use core::sync::atomic::Ordering::Relaxed;
use log::Level;
use thiserror::Error;

/// SCTLR_EL1.M.
const MMU_ON: u64 = 1;
/// A kernel starts on a multiple of this (EFI_KIMG_ALIGN of Linux, the smallest of all loaders').
const KERNEL_ALIGN: u64 = 64 << 10;
/// The vectors lie no further than this behind the kernel's start.
const KERNEL_MAX: u64 = 128 << 20;
/// Function id of PSCI_VERSION.
const PSCI_VERSION: u32 = 0x8400_0000;
/// SPSR: EL1 with its own stack pointer.
const EL1H: u64 = 0x5;
/// SPSR.I.
const MASKED: u64 = 1 << 7;

/// The ways on which calls are patched.
const WAYS: [Way; 2] = [Way::Kexec, Way::Crash];

/// Why no calls are patched: the guest's own kexec stays as it is.
#[derive(Debug, Error)]
enum NotPatched {
    #[error("VBAR_EL1 {0:#x} is not mapped")]
    Vectors(u64),
    #[error("no arm64 Image below the vectors at {0:#x}")]
    NoImage(u64),
    #[error("other CPUs are running")]
    OthersRun,
    #[error("the Image at {0:#x} does not say its page size")]
    PageSize(u64),
}

/// Looks at the kernel that makes the call in `frame`, if it was not looked at before, and patches the
/// calls if it has the places for them. A kernel is looked at with its MMU on: that is at its first
/// call.
///
/// One that came by its predecessor's own kexec, or after a crash, is known by its call of
/// PSCI_VERSION, which Linux makes once, before any other: who calls is not what is patched.
pub fn patch_if_due(machine: &Machine, cpu: &Cpu, frame: &Frame) {
    let kernel = machine.takeover.reboots() + 1;
    let looked_at = &machine.hooks.looked_at;
    // SAFETY: SCTLR_EL1 is the guest's.
    let due = (looked_at.load(Relaxed) != kernel || frame.x[0] as u32 == PSCI_VERSION)
        && unsafe { read_sysreg!(SCTLR_EL1) } & MMU_ON != 0;
    if !due {
        return;
    }
    let mut patched = machine.hooks.patched.lock();
    // It may have been held for as long as a takeover lasts: its kernel is over then.
    if machine.takeover.rendezvous.is_over(&cpu.member) {
        return;
    }
    let first_look = looked_at.swap(kernel, Relaxed) != kernel;
    let caller = image_of_caller(&machine.ram);
    if !first_look && patched.is_some_and(|patched| is_the_patched(&patched, &caller, &machine.ram))
    {
        return;
    }
    *patched = None;
    if first_look && kernel > 1 {
        report::print_summary(machine);
    } else if !first_look
        && is_alone(machine, cpu)
        && frame.spsr & MASKED == MASKED
        && caller.is_ok()
    {
        interrupts::reset_for_next_kernel(machine, cpu);
    }
    let level = match first_look {
        true => Level::Info,
        false => cpu.exits.complaint().max(Level::Info),
    };
    if machine.options.hooks == Hooks::Off {
        log::log!(level, "hooks: off: kexec takes the kernel's own path");
        return;
    }
    let start = time::now();
    match find(machine, cpu, caller) {
        Ok((image, page, found)) => *patched = patch(machine, level, start, (image, page), found),
        Err(why) => {
            log::log!(
                level,
                "hooks: none, kexec takes the guest's own path: {why}"
            );
        }
    }
}

/// Patches the calls that were found in the kernel at `image`, since `start`, and says so.
fn patch(
    machine: &Machine,
    level: Level,
    start: u64,
    (image, page): (u64, PageSize),
    found: sites::Found,
) -> Option<Patched> {
    let patched = Patched {
        image,
        page,
        stage1: stage1(),
        kexec: found.kexec.ok(),
        crash: found
            .crash
            .ok()
            .filter(|_| machine.options.crash != Crash::Off),
        kexec_first: None,
        crash_first: None,
    };
    for (site, hook) in WAYS.into_iter().flat_map(|way| patched.sites(way)) {
        write(&machine.ram, image, site, hvc(hook));
    }
    match &found.kexec {
        Ok(sites) => log::log!(
            level,
            "hooks: kernel at {image:#x}, patched at offsets {:#x} and {:#x} in {} us",
            sites.shutdown.offset,
            sites.kexec.offset,
            time::us_from_ticks(time::now() - start)
        ),
        Err(why) => log::log!(
            level,
            "hooks: none, kexec takes the guest's own path: {why}"
        ),
    }
    match &found.crash {
        _ if machine.options.crash == Crash::Off => {
            log::log!(
                level,
                "crash hooks: off: a panic takes the kernel's own path"
            );
        }
        Ok(sites) => {
            for copy in sites.copies() {
                log::log!(
                    level,
                    "crash hooks: patched at offsets {:#x} and {:#x}",
                    copy.shutdown.offset,
                    copy.kexec.offset
                );
            }
        }
        Err(why) => log::log!(
            level,
            "crash hooks: none, a panic takes the kernel's own path: {why}"
        ),
    }
    (patched.kexec.is_some() || patched.crash.is_some()).then_some(patched)
}

/// Returns whether the kernel that calls is the one with the calls in it. The memory of one that has
/// crashed still shows them while the crash kernel runs.
fn is_the_patched(patched: &Patched, caller: &Result<Caller, NotPatched>, ram: &GuestRam) -> bool {
    caller
        .as_ref()
        .is_ok_and(|caller| caller.image == patched.image)
        && patched.is_in_place(ram)
}

/// The guest executed `hvc #immediate`; returns what its CPU does next, or `None` if that is no hook
/// in its place.
pub fn hit(machine: &Machine, cpu: &Cpu, frame: &mut Frame, immediate: u64) -> Option<Next> {
    let hook = u16::try_from(immediate).ok()?;
    let call = frame.elr.wrapping_sub(4);
    let Some((mut patched, way)) = reached(machine, frame, hook, call) else {
        return repeat_if_over(machine, cpu, frame);
    };
    // Before it is served: from the second one there may be no return.
    cpu.exits.count(Cause::Hook);
    let generation = cpu.member.generation();
    match hook {
        // Past the call, which returns nothing: the kernel's own way through the CPUs never begins.
        HOOK1 => return Some(Next::Resume),
        CRASH_HOOK1 => {
            let registers = pt_regs::read(&machine.ram, frame.x[0]);
            if registers.is_none()
                && let Some(next) = repeat_if_over(machine, cpu, frame)
            {
                return Some(next);
            }
            cpu.caught.keep_kernels(registers.as_ref(), generation);
            return Some(Next::Resume);
        }
        CRASH_HOOK2 => cpu.caught.keep_unless_kernels(frame, generation),
        _ => {}
    }
    // A kimage is in the linear map: physically in one piece.
    let kimage = translate(frame.x[0]);
    let request = KexecRequest::Hook {
        kimage: kimage.unwrap_or(frame.x[0]),
        way,
        by_interrupt: false,
        page: patched.page,
        linear: kimage.map(|kimage| LinearMap::of(frame.x[0], kimage)),
    };
    match request::kexec(machine, cpu, request) {
        Ok(next) => return Some(next),
        Err(Refusal::Busy) => {
            // This CPU is about to be stopped itself: until then it asks again.
            frame.elr = call;
            return Some(Next::Resume);
        }
        Err(refusal) => log::warn!("cpu {}: kexec refused: {refusal}", cpu.index),
    }
    let what = match way {
        Way::Kexec => "hooks: removed, this kexec",
        Way::Crash => "crash hooks: removed, this panic",
    };
    log::warn!("cpu {}: {what} takes the kernel's own path", cpu.index);
    take_out(machine, &patched, way);
    // The other CPUs are up still, so the kernel must take them down after all. What it passed on the
    // way from there to here, its messages, is passed again.
    match *patched.first(way) {
        Some(first) => (frame.elr, frame.x) = (first.address, first.x),
        None => frame.elr = call,
    }
    Some(Next::Resume)
}

/// Has the guest make its call again if another CPU's takeover has begun meanwhile: that takes this CPU first, and its
/// kernel may go on after it. What is not to be found then is not missing, as the kernel's tables have gone with its
/// memory.
fn repeat_if_over(machine: &Machine, cpu: &Cpu, frame: &mut Frame) -> Option<Next> {
    let is_over = machine.takeover.rendezvous.is_over(&cpu.member);
    is_over.then(|| {
        frame.repeat_call();
        Next::Resume
    })
}

/// Returns what is patched, and the way that the guest takes, if it is at `hook` of it, by its call at virtual
/// address `call`. At the first call it is kept how the guest came there.
fn reached(machine: &Machine, frame: &Frame, hook: u16, call: u64) -> Option<(Patched, Way)> {
    let way = match hook {
        HOOK1 | HOOK2 => Way::Kexec,
        CRASH_HOOK1 | CRASH_HOOK2 => Way::Crash,
        _ => return None,
    };
    let mut guard = machine.hooks.patched.lock();
    let patched = guard.as_mut()?;
    let offset = translate(call)?.checked_sub(patched.image)?;
    let is_there = |(site, hook_there): (Site, u16)| site.offset == offset && hook_there == hook;
    let here = frame.spsr & 0xf == EL1H && patched.sites(way).any(is_there);
    if here && matches!(hook, HOOK1 | CRASH_HOOK1) {
        *patched.first(way) = Some(FirstCall {
            address: call,
            x: frame.x,
        });
    }
    here.then_some((*patched, way))
}

/// Puts the kernel's own instructions back that were patched for `way`.
fn take_out(machine: &Machine, patched: &Patched, way: Way) {
    let mut guard = machine.hooks.patched.lock();
    for (site, _) in patched.sites(way) {
        write(&machine.ram, patched.image, site, site.word);
    }
    if !guard.as_mut().is_some_and(|patched| patched.forget(way)) {
        *guard = None;
    }
}

/// Returns whether `cpu` is the only one that its guest has on. One that was lost in a takeover before
/// has no memory. Once the next takeover has begun, none is known to be alone.
fn is_alone(machine: &Machine, cpu: &Cpu) -> bool {
    let others = machine.cpus.iter().filter(|other| other.index != cpu.index);
    let rendezvous = &machine.takeover.rendezvous;
    others.into_iter().all(|other| {
        other.power.affinity_info() == AffinityInfo::Off || rendezvous.is_over(&other.member)
    }) && !rendezvous.is_over(&cpu.member)
}

/// The Image that the calling kernel was started from.
struct Caller {
    image: u64,
    header: ImageHeader,
    range: GuestRange,
}

/// Returns the Image that has the guest's vectors in it.
fn image_of_caller(ram: &GuestRam) -> Result<Caller, NotPatched> {
    // SAFETY: VBAR_EL1 is the guest's.
    let vbar = unsafe { read_sysreg!(VBAR_EL1) };
    let vectors = translate(vbar).ok_or(NotPatched::Vectors(vbar))?;
    image_around(ram, vectors).ok_or(NotPatched::NoImage(vectors))
}

/// Returns where the calling kernel is, its page size, and what was found in it.
fn find(
    machine: &Machine,
    cpu: &Cpu,
    caller: Result<Caller, NotPatched>,
) -> Result<(u64, PageSize, sites::Found), NotPatched> {
    // Its memory is read as a whole: nobody else may write it meanwhile.
    if !is_alone(machine, cpu) {
        return Err(NotPatched::OthersRun);
    }
    let Caller {
        image,
        header,
        range,
    } = caller?;
    let page = header.page_size().ok_or(NotPatched::PageSize(image))?;
    // SAFETY: No other vCPU runs, this one is here, and the slice is gone before it goes on.
    Ok((image, page, sites::find(unsafe { range.bytes() })))
}

/// Returns the Image that has physical address `inside` in it.
fn image_around(ram: &GuestRam, inside: u64) -> Option<Caller> {
    let highest = inside & !(KERNEL_ALIGN - 1);
    let lowest = highest.saturating_sub(KERNEL_MAX);
    (lowest / KERNEL_ALIGN..=highest / KERNEL_ALIGN)
        .rev()
        .find_map(|number| {
            let start = number * KERNEL_ALIGN;
            let first = ram.range(start, HEADER_SIZE as u64)?;
            let header = ImageHeader::parse(&first.copy::<HEADER_SIZE>()?).ok()?;
            let range = ram.range(start, header.image_size())?;
            (inside - start < header.image_size()).then_some(Caller {
                image: start,
                header,
                range,
            })
        })
}

/// Writes an instruction of the kernel at `image`, for every CPU to fetch.
fn write(ram: &GuestRam, image: u64, site: Site, word: u32) {
    if let Some(range) = ram.range(image + site.offset, 4)
        && range.write_u32(word)
    {
        cache::sync_instructions(range.start() as usize, 4);
    }
}
