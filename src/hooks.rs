//! The two calls planted in an unmodified kernel.

use crate::arch::translate::translate;
use crate::arch::{cache, time};
use crate::cpu::{Cause, Cpu};
use crate::exit::Frame;
use crate::linux::image::{HEADER_SIZE, ImageHeader, PageSize};
use crate::linux::sites::{self, HookSites, Site};
use crate::machine::Machine;
use crate::memory::guest_ram::{GuestRam, GuestRange};
use crate::options::Hooks;
use crate::sync::Lock;
use crate::teardown::{self, Refusal};
use arm_psci::AffinityInfo;
use baton_sysreg::read_sysreg;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use thiserror::Error;

/// `hvc #imm` without its immediate.
const HVC: u32 = 0xd400_0002;
/// The immediate in place of `bl machine_shutdown`.
const HOOK1: u16 = 0xba71;
/// The immediate in place of `bl machine_kexec`.
const HOOK2: u16 = 0xba72;
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

/// Why no calls are planted: the guest's own kexec stays as it is.
#[derive(Debug, Error)]
enum NotPlanted {
    #[error("VBAR_EL1 {0:#x} is not mapped")]
    Vectors(u64),
    #[error("no arm64 Image below the vectors at {0:#x}")]
    NoImage(u64),
    #[error("other CPUs are running")]
    OthersRun,
    #[error("{0}")]
    Sites(#[from] sites::NoSites),
    #[error("the Image at {0:#x} does not say its page size")]
    PageSize(u64),
}

/// What is planted in the kernel that runs.
#[derive(Clone, Copy)]
struct Planted {
    /// Physical address of the kernel's Image.
    image: u64,
    sites: HookSites,
    page: PageSize,
    /// Virtual address of HOOK1, once it was passed.
    hook1: Option<u64>,
}

impl Planted {
    /// Returns whether the kernel in memory is still the one with the calls in it.
    fn is_in_place(&self, ram: &GuestRam) -> bool {
        let word = |site: Site| {
            let range = ram.range(self.image + site.offset, 4)?;
            // SAFETY: As in `find`.
            unsafe { range.bytes() }
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
        };
        word(self.sites.shutdown) == Some(hvc(HOOK1)) && word(self.sites.kexec) == Some(hvc(HOOK2))
    }
}

/// Plants the calls in every kernel, once.
pub struct Planter {
    /// The generation that was looked at last, and one more.
    looked_at: AtomicU64,
    planted: Lock<Option<Planted>>,
}

impl Planter {
    /// Returns a planter that has looked at no kernel.
    pub const fn new() -> Self {
        Self {
            looked_at: AtomicU64::new(0),
            planted: Lock::new(None),
        }
    }
}

impl Default for Planter {
    fn default() -> Self {
        Self::new()
    }
}

/// Looks at the guest at its first call with the MMU on, and plants the calls if it is a kernel
/// that has the places for them.
///
/// A kernel that came by its predecessor's own kexec is known by its call of PSCI_VERSION, which
/// Linux makes once, before any other.
pub fn plant_if_due(cpu: &'static Cpu, function: u64) {
    let machine = Machine::get();
    let generation = machine.takeover.rendezvous.epoch() + 1;
    let looked_at = &machine.hooks.looked_at;
    // SAFETY: SCTLR_EL1 is the guest's.
    let due = (looked_at.load(Relaxed) != generation || function as u32 == PSCI_VERSION)
        && unsafe { read_sysreg!(SCTLR_EL1) } & MMU_ON != 0;
    if !due {
        return;
    }
    let mut planted = machine.hooks.planted.lock();
    let first_look = looked_at.swap(generation, Relaxed) != generation;
    if !first_look && planted.is_some_and(|planted| planted.is_in_place(&machine.ram)) {
        return;
    }
    *planted = None;
    if first_look && generation > 1 {
        teardown::report::print_summary(machine);
    }
    if machine.options.hooks == Hooks::Off {
        log::info!("hooks: off; kexec goes the kernel's own way");
        return;
    }
    let start = time::now();
    match find(machine, cpu) {
        Ok(found) => {
            write(&machine.ram, found.image, found.sites.shutdown, hvc(HOOK1));
            write(&machine.ram, found.image, found.sites.kexec, hvc(HOOK2));
            log::info!(
                "hooks: kernel at {:#x}, planted at offsets {:#x} and {:#x} in {} us",
                found.image,
                found.sites.shutdown.offset,
                found.sites.kexec.offset,
                time::us_from_ticks(time::now() - start)
            );
            *planted = Some(found);
        }
        Err(why) if first_look => {
            log::info!("hooks: none, kexec goes the guest's own way: {why}");
        }
        Err(_) => {}
    }
}

/// A guest made the call `immediate`; returns whether it is one of ours, at its place.
pub fn hit(cpu: &'static Cpu, frame: &mut Frame, immediate: u64) -> bool {
    let machine = Machine::get();
    let mut guard = machine.hooks.planted.lock();
    let Some(planted) = guard.as_mut() else {
        return false;
    };
    let site = match u16::try_from(immediate) {
        Ok(HOOK1) => planted.sites.shutdown,
        Ok(HOOK2) => planted.sites.kexec,
        _ => return false,
    };
    let call = frame.elr.wrapping_sub(4);
    let here = frame.spsr & 0xf == EL1H && translate(call) == Some(planted.image + site.offset);
    if !here {
        return false;
    }
    // Before it is served: from the second one there may be no return.
    cpu.exits.count(Cause::Hook);
    if u16::try_from(immediate) == Ok(HOOK1) {
        // Past `bl machine_shutdown`: the kernel's own way through the CPUs never begins.
        planted.hook1 = Some(call);
        return true;
    }
    let Planted {
        image,
        sites,
        page,
        hook1,
    } = *planted;
    let why = if machine.options.hooks == Hooks::Refuse {
        "hooks=refuse"
    } else {
        drop(guard);
        // A kimage is in the linear map: physically in one piece.
        let kimage = translate(frame.x[0]).unwrap_or(frame.x[0]);
        let refusal = teardown::hook(cpu, kimage, page);
        if let Refusal::Busy = refusal {
            // This CPU is about to be taken itself: until then it asks again.
            frame.elr = call;
            return true;
        }
        log::warn!("cpu {}: kexec refused: {refusal}", cpu.index);
        guard = machine.hooks.planted.lock();
        "the kernel's own way is taken"
    };
    log::warn!("cpu {}: hooks: taken out: {why}", cpu.index);
    write(&machine.ram, image, sites.shutdown, sites.shutdown.word);
    write(&machine.ram, image, sites.kexec, sites.kexec.word);
    *guard = None;
    // The other CPUs are up still, so the kernel must go through `machine_shutdown()` after all.
    frame.elr = hook1.unwrap_or(call);
    true
}

fn find(machine: &'static Machine, cpu: &Cpu) -> Result<Planted, NotPlanted> {
    // Its memory is read as a whole: nobody else may write it meanwhile.
    let alone = machine
        .cpus
        .iter()
        .all(|other| other.index == cpu.index || other.power.affinity_info() == AffinityInfo::Off);
    if !alone {
        return Err(NotPlanted::OthersRun);
    }
    // SAFETY: VBAR_EL1 is the guest's.
    let vbar = unsafe { read_sysreg!(VBAR_EL1) };
    let vectors = translate(vbar).ok_or(NotPlanted::Vectors(vbar))?;
    let (image, header, range) =
        image_around(&machine.ram, vectors).ok_or(NotPlanted::NoImage(vectors))?;
    let page = header.page_size().ok_or(NotPlanted::PageSize(image))?;
    // SAFETY: No other vCPU runs, this one is here, and the slice is gone before it goes on.
    let sites = sites::find(unsafe { range.bytes() })?;
    Ok(Planted {
        image,
        sites,
        page,
        hook1: None,
    })
}

/// Returns the Image that has physical address `inside` in it: its start, header and memory.
fn image_around(ram: &GuestRam, inside: u64) -> Option<(u64, ImageHeader, GuestRange)> {
    let highest = inside & !(KERNEL_ALIGN - 1);
    let lowest = highest.saturating_sub(KERNEL_MAX);
    (lowest / KERNEL_ALIGN..=highest / KERNEL_ALIGN)
        .rev()
        .find_map(|number| {
            let start = number * KERNEL_ALIGN;
            let first = ram.range(start, HEADER_SIZE as u64)?;
            // SAFETY: As in `find`.
            let header = ImageHeader::parse(unsafe { first.bytes() }).ok()?;
            let range = ram.range(start, header.image_size())?;
            (inside - start < header.image_size()).then_some((start, header, range))
        })
}

const fn hvc(immediate: u16) -> u32 {
    HVC | (immediate as u32) << 5
}

/// Writes an instruction of the kernel at `image`, for every CPU to fetch.
fn write(ram: &GuestRam, image: u64, site: Site, word: u32) {
    if let Some(range) = ram.range(image + site.offset, 4)
        && range.write_u32(word)
    {
        cache::sync_instructions(range.start() as usize, 4);
    }
}
