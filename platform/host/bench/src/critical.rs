// SPDX-License-Identifier: Apache-2.0
//! The critical path in instructions, from a timeline taken under `-icount`.
//!
//! With `-icount shift=0` an instruction of any vCPU moves the one clock by 1 ns, and with
//! `thread=single` one vCPU runs at a time, up to its next wait (WFE or `yield`) or the end of a
//! slice of 100 ms. So where the stretches of work of no two CPUs overlap, each is what its CPU ran
//! by itself. [`Path::overlaps`] counts those that do overlap: their figures are too high.

use crate::timeline::{Lane, Timeline};

/// Instructions of the parts of a reboot that follow each other; a tick of the clock is the unit
/// in which they come (16 instructions at 62.5 MHz).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Path {
    /// All CPUs check the list, and the boot CPU the next kernel's device tree.
    pub validate: f64,
    /// That of the device tree.
    pub tree: f64,
    /// The boot CPU ends the generation and kicks.
    pub kick: f64,
    /// The boot CPU, from where the list is valid to phase 1.
    pub accept: f64,
    /// Phase 1 of the CPU that needs most.
    pub phase1: f64,
    /// Phase 2, from the boot CPU's last look at the barrier on.
    pub phase2: f64,
    /// Phase 3 of the CPU that needs most, the copy left out.
    pub phase3: f64,
    /// The longest that a CPU is busy while it is copied, the boot CPU with what it prepares for the next kernel.
    pub copy: f64,
    /// What the boot CPU prepares meanwhile: its report, and the next tree.
    pub prepare: f64,
    /// The copy of the CPU that copies most, of those that do nothing else meanwhile if there are any.
    pub copier: f64,
    /// Bytes of that CPU.
    pub copier_bytes: f64,
    /// The boot CPU, from the end of phase 3 to the next kernel.
    pub enter: f64,
    /// The most instructions of any one CPU from its arrival to parked or entered, copy left out.
    pub longest_cpu: f64,
    /// The mean of that over all CPUs.
    pub mean_cpu: f64,
    /// Stretches of work in which another CPU's began.
    pub overlaps: f64,
}

impl Path {
    /// Reads it off a timeline that was taken under `-icount shift=0`.
    pub fn of(timeline: &Timeline) -> Self {
        let instructions = |ticks: u64| timeline.us(ticks) * 1e3;
        let most = |part: &dyn Fn(&Lane) -> Option<u64>| {
            instructions(timeline.taken().filter_map(part).max().unwrap_or(0))
        };
        let end = timeline.entered.saturating_sub(timeline.phase3_end);
        let phase2 = timeline.phase2_end.saturating_sub(timeline.phase1_end);
        let own = |lane: &Lane| {
            let boot = if lane.boot_cpu { phase2 + end } else { 0 };
            Some(phase1(lane)? + phase3(lane)? + boot)
        };
        let sum: u64 = timeline.taken().filter_map(own).sum();
        let copier = timeline
            .taken()
            .max_by_key(|lane| (!lane.boot_cpu && lane.bytes > 0, lane.bytes));
        let copied = |lane: &Lane| Some(instructions(copy(lane)?));
        let (copier, copier_bytes) = copier
            .and_then(|lane| Some((copied(lane)?, lane.bytes as f64)))
            .unwrap_or_default();
        let each = copier / copier_bytes.max(1.0);
        let boot = timeline.taken().find(|lane| lane.boot_cpu);
        let prepare = boot
            .and_then(|lane| Some(copied(lane)? - lane.bytes as f64 * each))
            .unwrap_or_default();
        Self {
            validate: instructions(timeline.checked_alone) + most(&|lane| Some(lane.checked)),
            tree: instructions(timeline.checked_tree),
            kick: instructions(timeline.kicked),
            accept: instructions(timeline.accepting()),
            phase1: most(&phase1),
            phase2: instructions(phase2),
            phase3: most(&phase3),
            copy: most(&copy),
            prepare: prepare.max(0.0),
            copier,
            copier_bytes,
            enter: instructions(end),
            longest_cpu: most(&own),
            mean_cpu: instructions(sum) / timeline.taken().count().max(1) as f64,
            overlaps: overlaps(timeline) as f64,
        }
    }

    /// From the kick to the next kernel, validation and copy left out: what may grow with the
    /// number of CPUs.
    pub fn without_copy(&self) -> f64 {
        self.kick + self.accept + self.phase1 + self.phase2 + self.phase3 + self.enter
    }

    /// All that follows each other, from the request to the next kernel.
    pub fn whole(&self) -> f64 {
        self.validate + self.without_copy() + self.copy
    }

    /// The figures with their names in the raw samples.
    pub fn metrics(&self) -> [(&'static str, f64); 18] {
        [
            ("validate instructions", self.validate),
            ("tree instructions", self.tree),
            ("list instructions", self.validate - self.tree),
            ("kick instructions", self.kick),
            ("accept instructions", self.accept),
            ("phase 1 instructions", self.phase1),
            ("phase 2 instructions", self.phase2),
            ("phase 3 instructions", self.phase3),
            ("copy instructions", self.copy),
            ("enter instructions", self.enter),
            ("prepare instructions", self.prepare),
            ("copier instructions", self.copier),
            ("copier bytes", self.copier_bytes),
            ("longest CPU instructions", self.longest_cpu),
            ("mean CPU instructions", self.mean_cpu),
            ("path instructions", self.without_copy()),
            ("whole instructions", self.whole()),
            ("overlaps", self.overlaps),
        ]
    }
}

fn phase1(lane: &Lane) -> Option<u64> {
    lane.phase1_end?.checked_sub(lane.phase1_start?)
}

fn copy(lane: &Lane) -> Option<u64> {
    lane.copy_end?.checked_sub(lane.copy_start?)
}

/// Without the copy.
fn phase3(lane: &Lane) -> Option<u64> {
    let before = lane.copy_start?.checked_sub(lane.phase3_start?)?;
    Some(before + lane.phase3_end?.checked_sub(lane.copy_end?)?)
}

fn overlaps(timeline: &Timeline) -> usize {
    let stretches = timeline.taken().flat_map(|lane| {
        [
            (lane.phase1_start, lane.phase1_end),
            (lane.phase3_start, lane.phase3_end),
        ]
    });
    let mut stretches: Vec<(u64, u64)> = stretches
        .filter_map(|(start, end)| Some((start?, end?)))
        .collect();
    stretches.sort_unstable();
    stretches
        .windows(2)
        .filter(|pair| pair[1].0 < pair[0].1)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::timeline;

    #[test]
    fn takes_the_slowest_of_each_part() {
        let path = Path::of(&timeline());
        // Ticks of 16 ns.
        assert_eq!((path.validate, path.tree), (40.0 * 16.0, 15.0 * 16.0));
        assert_eq!(path.phase1, 80.0 * 16.0);
        assert_eq!(path.phase3, 17.0 * 16.0);
        assert_eq!(path.copy, 880.0 * 16.0);
        // CPU 1 copies 2048 bytes in them; CPU 0, the boot CPU, 4096 in 750.
        assert_eq!((path.copier, path.copier_bytes), (880.0 * 16.0, 2048.0));
        assert_eq!(path.prepare, 0.0);
        let parts = 10.0 + 10.0 + 80.0 + 40.0 + 17.0 + 50.0;
        assert!((path.without_copy() - parts * 16.0).abs() < 1e-6);
        assert!((path.whole() - (parts + 40.0 + 880.0) * 16.0).abs() < 1e-6);
        assert_eq!(path.overlaps, 0.0);
    }

    #[test]
    fn what_the_boot_cpu_does_meanwhile_is_no_copy() {
        let mut timeline = timeline();
        timeline.lanes[0].bytes = 1024;
        let path = Path::of(&timeline);
        assert_eq!(path.prepare, (750.0 - 440.0) * 16.0);
        timeline.lanes.truncate(1);
        let alone = Path::of(&timeline);
        assert_eq!((alone.copier, alone.prepare), (750.0 * 16.0, 0.0));
    }

    #[test]
    fn sees_a_cpu_that_was_interrupted() {
        let mut timeline = timeline();
        timeline.lanes[0].phase1_end = Some(260);
        assert_eq!(Path::of(&timeline).overlaps, 1.0);
    }
}
