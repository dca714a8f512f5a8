// SPDX-License-Identifier: Apache-2.0
//! The monitor's timeline of one reboot (`report=rows`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One CPU; times are ticks since the request, `None` if it did not come to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// It took part.
    pub took_part: bool,
    /// It asked for the reboot.
    pub boot_cpu: bool,
    /// It was in the monitor.
    pub arrived: Option<u64>,
    /// It began to check its part of the list.
    pub check_start: Option<u64>,
    /// It had checked it.
    pub check_end: Option<u64>,
    /// How many ticks of that it worked.
    pub checked: u64,
    /// It began phase 1.
    pub phase1_start: Option<u64>,
    /// It had finished phase 1.
    pub phase1_end: Option<u64>,
    /// It began phase 3.
    pub phase3_start: Option<u64>,
    /// It began to copy.
    pub copy_start: Option<u64>,
    /// It had copied its share.
    pub copy_end: Option<u64>,
    /// It had finished phase 3.
    pub phase3_end: Option<u64>,
    /// Bytes it copied and zeroed.
    pub bytes: u64,
}

/// One reboot; times are ticks since the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Number of the kernel that it started.
    pub generation: u32,
    /// Ticks a second.
    pub frequency: u64,
    /// All CPUs were kicked.
    pub kicked: u64,
    /// All CPUs were in the monitor.
    pub gathered: u64,
    /// The list was found valid.
    pub validated: u64,
    /// How many ticks of that the boot CPU worked alone.
    pub checked_alone: u64,
    /// How many ticks of these it looked at the next kernel's device tree.
    pub checked_tree: u64,
    /// All CPUs had finished phase 1.
    pub phase1_end: u64,
    /// The boot CPU had finished phase 2.
    pub phase2_end: u64,
    /// All CPUs had finished phase 3.
    pub phase3_end: u64,
    /// The next kernel was entered.
    pub entered: u64,
    /// The CPUs, in the order of the device tree.
    pub lanes: Vec<Lane>,
    /// The lines that it was read from.
    pub text: String,
}

/// The timelines on a console, by generation.
#[derive(Default)]
pub struct Timelines {
    found: BTreeMap<u32, Timeline>,
    current: u32,
}

impl Timelines {
    /// Reads a line of the console.
    pub fn line(&mut self, text: &str) {
        let Some((_, line)) = text.split_once("baton: ") else {
            return;
        };
        if let Some(rest) = line.strip_prefix("times ") {
            if let Some(mut timeline) = times(rest) {
                timeline.text = format!("baton: {line}\n");
                self.current = timeline.generation;
                self.found.insert(timeline.generation, timeline);
            }
        } else if let Some(rest) = line.strip_prefix("row ")
            && let Some(lane) = lane(rest)
            && let Some(timeline) = self.found.get_mut(&self.current)
        {
            timeline.lanes.push(lane);
            timeline.text += &format!("baton: {line}\n");
        }
    }

    /// The timeline of the reboot that started `generation`.
    pub fn get(&self, generation: u32) -> Option<&Timeline> {
        self.found.get(&generation)
    }
}

/// The `count` fields of a line: numbers, or `None` for what did not happen.
fn fields(text: &str, count: usize) -> Option<impl Iterator<Item = Option<u64>>> {
    let words = text.split_whitespace();
    (words.clone().count() == count).then(|| words.map(|word| word.parse().ok()))
}

/// Reads what follows `times`, in the order in which the monitor prints it.
fn times(text: &str) -> Option<Timeline> {
    let mut fields = fields(text, 11)?;
    let mut next = || fields.next().flatten().unwrap_or_default();
    Some(Timeline {
        generation: next().try_into().ok()?,
        frequency: next(),
        kicked: next(),
        gathered: next(),
        validated: next(),
        checked_alone: next(),
        checked_tree: next(),
        phase1_end: next(),
        phase2_end: next(),
        phase3_end: next(),
        entered: next(),
        ..Timeline::default()
    })
}

/// Reads what follows `row`, in the order in which the monitor prints it.
fn lane(text: &str) -> Option<Lane> {
    let mut fields = fields(text, 14)?.skip(1);
    let mut next = || fields.next().flatten();
    let flags = next()?;
    Some(Lane {
        took_part: flags & baton_abi::ROW_TOOK_PART != 0,
        boot_cpu: flags & baton_abi::ROW_BOOT_CPU != 0,
        arrived: next(),
        check_start: next(),
        check_end: next(),
        checked: next()?,
        phase1_start: next(),
        phase1_end: next(),
        phase3_start: next(),
        copy_start: next(),
        copy_end: next(),
        phase3_end: next(),
        bytes: {
            let _online = next();
            next()?
        },
    })
}

impl Timeline {
    /// Where the timeline of a column is kept.
    pub fn path(folder: &Path, column: &str, smp: u32) -> PathBuf {
        folder.join(format!("timeline-{column}-{smp}.txt"))
    }

    /// Reads the one timeline in the lines of a console.
    pub fn read(text: &str) -> Option<Self> {
        let mut timelines = Timelines::default();
        text.lines().for_each(|line| timelines.line(line));
        timelines.found.into_values().next_back()
    }

    /// `ticks` as microseconds.
    pub fn us(&self, ticks: u64) -> f64 {
        ticks as f64 * 1e6 / self.frequency.max(1) as f64
    }

    /// The CPUs that took part.
    pub fn taken(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter(|lane| lane.took_part)
    }

    /// How many ticks the boot CPU needed from where the list was valid to phase 1.
    pub fn accepting(&self) -> u64 {
        let boot = self.taken().find(|lane| lane.boot_cpu);
        let start = boot.and_then(|lane| lane.phase1_start);
        start.unwrap_or(0).saturating_sub(self.validated)
    }

    /// Bytes that all CPUs copied and zeroed.
    pub fn bytes(&self) -> u64 {
        self.taken().map(|lane| lane.bytes).sum()
    }

    /// The most that one CPU copied, as a multiple of the mean.
    pub fn evenness(&self) -> f64 {
        let most = self.taken().map(|lane| lane.bytes).max().unwrap_or(0);
        most as f64 * self.taken().count() as f64 / self.bytes().max(1) as f64
    }

    /// Bytes a second, from the first CPU that begins to copy to the last that ends.
    pub fn bandwidth(&self) -> f64 {
        let start = self
            .taken()
            .filter_map(|lane| lane.copy_start)
            .min()
            .unwrap_or(0);
        let end = self
            .taken()
            .filter_map(|lane| lane.copy_end)
            .max()
            .unwrap_or(0);
        self.bytes() as f64 * 1e6 / self.us(end.saturating_sub(start)).max(1e-3)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The console of a reboot of two CPUs, of which a third took no part.
    pub const CONSOLE: &str = "\
baton: times 1 62500000 10 100 160 20 15 300 340 2000 2050
baton: row 0 5 11 110 130 20 170 250 341 350 1100 1101 2060 4096
baton: row 1 1 90 131 150 19 251 299 1102 1110 1990 1999 - 2048
baton: row 2 0 - - - 0 - - - - - - - 0
[    0.5] baton: somebody else";

    /// The timeline of it.
    pub fn timeline() -> Timeline {
        let mut timelines = Timelines::default();
        CONSOLE.lines().for_each(|line| timelines.line(line));
        timelines.get(1).expect("generation 1").clone()
    }

    #[test]
    fn reads_what_the_monitor_prints() {
        let timeline = timeline();
        assert_eq!((timeline.entered, timeline.lanes.len()), (2050, 3));
        assert_eq!(timeline.taken().count(), 2);
        assert_eq!(timeline.lanes[1].phase3_start, Some(1102));
        assert!(timeline.lanes[0].boot_cpu && !timeline.lanes[2].took_part);
        assert_eq!(timeline.bytes(), 6144);
        assert!((timeline.evenness() - 4.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_second_print_of_a_reboot_replaces_the_first() {
        let mut timelines = Timelines::default();
        let twice = [CONSOLE, CONSOLE].join("\n");
        twice.lines().for_each(|line| timelines.line(line));
        let timeline = timelines.get(1).expect("generation 1");
        assert_eq!(timeline.lanes.len(), 3);
        assert_eq!(
            Timeline::read(&timeline.text).as_ref(),
            Some(timeline),
            "kept and read"
        );
    }
}
