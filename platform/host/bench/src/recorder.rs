// SPDX-License-Identifier: Apache-2.0
//! Reads samples off a console while it runs.

use crate::column::Column;
use crate::critical::Path;
use crate::exit_cost;
use crate::timeline::{Timeline, Timelines};
use baton_qemu::console::Line;
use baton_qemu::{kexec, linux};
use std::time::Duration;

/// The figures of a sample, by their names.
pub type Metrics = Vec<(String, String)>;

/// What is known of the kexec that is under way.
#[derive(Default)]
struct Kexec {
    starting: Option<Duration>,
    entered: Option<Duration>,
    all_online: Option<Duration>,
}

/// Follows a console.
pub struct Recorder {
    column: Column,
    smp: u32,
    kexec: Kexec,
    timelines: Timelines,
    done: u32,
    /// The timeline of the last sample.
    pub last: Option<Timeline>,
    /// The instructions of the boot CPU alone in the refusal that is under way.
    refused_alone: Option<f64>,
    /// The bytes of a crash kernel that were verified, and the instructions that it took.
    verified: Option<(f64, f64)>,
    /// What the guest or the monitor complains of.
    pub complaint: Option<String>,
}

impl Recorder {
    /// Follows a machine of `column` with `smp` vCPUs.
    pub fn new(column: Column, smp: u32) -> Self {
        Self {
            column,
            smp,
            kexec: Kexec::default(),
            timelines: Timelines::default(),
            done: 0,
            last: None,
            refused_alone: None,
            verified: None,
            complaint: None,
        }
    }

    /// Reads a line; returns a sample when one is whole.
    pub fn line(&mut self, line: &Line) -> Option<Metrics> {
        let text = &line.text;
        self.timelines.line(text);
        for pattern in [
            "guest: FAIL",
            "probe: FAIL",
            "baton: error: ",
            "Kernel panic",
        ] {
            let is_meant = pattern == "Kernel panic" && self.column == Column::CrashCount;
            if text.contains(pattern) && !is_meant && self.complaint.is_none() {
                self.complaint = Some(text.clone());
            }
        }
        if self.column == Column::Refusal {
            self.refusal(text)
        } else if self.column == Column::CrashCount {
            self.crash(text)
        } else if self.column.is_linux() {
            self.linux(line)
        } else {
            self.probe(text)
        }
    }

    /// The instructions of a refused request, as the probe counts them, and those of the boot CPU alone, as the
    /// monitor does.
    fn refusal(&mut self, text: &str) -> Option<Metrics> {
        if let Some(alone) = text.strip_suffix(" of them work of this one)") {
            let (_, us) = alone.rsplit_once(' ')?;
            // Under `-icount shift=0` a nanosecond is an instruction.
            self.refused_alone = us.parse().ok().map(|us: f64| us * 1e3);
            return None;
        }
        let (_, rest) = text.split_once("probe: cost: refusal: ")?;
        let all = exit_cost::instructions_each(rest)?;
        let alone = self.refused_alone.take()?;
        Some(vec![
            ("refusal instructions".to_owned(), format!("{alone:.0}")),
            (
                "refusal instructions of all".to_owned(),
                format!("{all:.0}"),
            ),
        ])
    }

    /// The way from a panic to the crash kernel, but for its verification and what the boot CPU does beside that.
    fn crash(&mut self, text: &str) -> Option<Metrics> {
        if let Some((_, rest)) = text.split_once("baton: crash: ") {
            self.verified = verified(rest).or(self.verified);
        }
        if linux::generation(text)?.number != 1 {
            return None;
        }
        let (bytes, instructions) = self.verified?;
        let timeline = self.timelines.get(1)?.clone();
        let path = Path::of(&timeline);
        let mut metrics = self.timeline(&timeline);
        metrics.extend([
            (
                "crash path instructions".to_owned(),
                format!("{:.0}", path.validate + path.without_copy()),
            ),
            (
                "verify instructions a byte".to_owned(),
                format!("{:.3}", instructions / bytes),
            ),
        ]);
        self.last = Some(timeline);
        Some(metrics)
    }

    fn linux(&mut self, line: &Line) -> Option<Metrics> {
        let kexec = &mut self.kexec;
        if line.text.contains(kexec::STARTING) {
            *kexec = Kexec {
                starting: Some(line.at),
                ..Kexec::default()
            };
        } else if kexec::entered(line) && kexec.starting.is_some() {
            kexec.entered.get_or_insert(line.at);
        } else if line.text.contains("smp: Brought up") {
            kexec.all_online = Some(line.at);
        }
        let generation = linux::generation(&line.text)?;
        if generation.number == 0 {
            return None;
        }
        if generation.online != self.smp {
            self.complaint.get_or_insert_with(|| {
                format!(
                    "{} of {} CPUs came back online",
                    generation.online, self.smp
                )
            });
            return None;
        }
        let Kexec {
            starting,
            entered,
            all_online,
        } = std::mem::take(kexec);
        let (starting, entered) = (starting?, entered?);
        let since = |at: Duration| millis(at.saturating_sub(starting));
        let mut metrics = Vec::new();
        if !self.column.is_counted() {
            metrics = vec![
                ("away ms".to_owned(), since(entered)),
                ("online ms".to_owned(), since(all_online.unwrap_or(line.at))),
                ("userspace ms".to_owned(), since(line.at)),
            ];
        }
        if self.column.is_carried() {
            let timeline = self.timelines.get(generation.number)?;
            metrics.extend(self.timeline(timeline));
            self.last = Some(timeline.clone());
        }
        Some(metrics)
    }

    /// The probe says that memory came over once it has looked at the report.
    fn probe(&mut self, text: &str) -> Option<Metrics> {
        if !text.contains("probe: report: exits") {
            return None;
        }
        self.done += 1;
        let timeline = self.timelines.get(self.done)?;
        // The first reboot is one of seven CPUs in eight.
        if self.done == 1 {
            return None;
        }
        let metrics = self.timeline(timeline);
        self.last = Some(timeline.clone());
        Some(metrics)
    }

    /// The figures that a timeline has, the critical path among them where instructions were counted.
    fn timeline(&self, timeline: &Timeline) -> Metrics {
        let mut metrics = phases(timeline);
        if self.column.is_counted() {
            let path = Path::of(timeline).metrics();
            metrics.extend(path.map(|(name, value)| (name.to_owned(), format!("{value:.0}"))));
        }
        metrics
    }
}

/// Reads `N bytes of the crash kernel verified in M us`; under `-icount shift=0` a nanosecond is an instruction.
fn verified(text: &str) -> Option<(f64, f64)> {
    let (bytes, rest) = text.split_once(" bytes of the crash kernel verified in ")?;
    let us: f64 = rest.strip_suffix(" us")?.parse().ok()?;
    Some((bytes.parse().ok()?, us * 1e3))
}

/// The figures that a timeline has, whatever its clock was.
fn phases(timeline: &Timeline) -> Metrics {
    let between = |from: u64, to: u64| timeline.us(to.saturating_sub(from));
    let t = timeline;
    [
        ("hook us", t.us(t.entered)),
        ("kick us", t.us(t.kicked)),
        ("gather us", between(t.kicked, t.gathered)),
        ("validate us", between(t.gathered, t.validated)),
        ("phase 1 us", between(t.validated, t.phase1_end)),
        ("phase 2 us", between(t.phase1_end, t.phase2_end)),
        ("phase 3 us", between(t.phase2_end, t.phase3_end)),
        ("enter us", between(t.phase3_end, t.entered)),
        ("CPUs taken", t.taken().count() as f64),
        ("copied MiB", t.bytes() as f64 / f64::from(1 << 20)),
        ("copy GB/s", t.bandwidth() / 1e9),
        ("copy most to mean", t.evenness()),
    ]
    .map(|(name, value)| (name.to_owned(), format!("{value:.4}")))
    .to_vec()
}

fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::CONSOLE;

    fn follow(column: Column, console: &str) -> (Vec<Metrics>, Recorder) {
        let mut recorder = Recorder::new(column, 2);
        let lines = console.lines().zip(0..).map(|(text, at)| Line {
            at: Duration::from_millis(at),
            text: text.to_owned(),
        });
        let found = lines.filter_map(|line| recorder.line(&line)).collect();
        (found, recorder)
    }

    fn value(metrics: &Metrics, name: &str) -> f64 {
        let found = metrics.iter().find(|(metric, _)| metric == name);
        found.and_then(|(_, value)| value.parse().ok()).expect(name)
    }

    const STOCK: &str = "IN:\nguest: generation 0, Linux 6.1, CPUs online: 2 of 2\n\
        kexec_core: Starting new kernel\nBye!\nIN:\nIN:\nsmp: Brought up 1 node, 2 CPUs\n\
        guest: generation 1, Linux 6.1, CPUs online: 2 of 2";

    #[test]
    fn times_run_from_starting_on() {
        let (found, recorder) = follow(Column::Stock, STOCK);
        assert_eq!(found.len(), 1, "one kexec");
        assert_eq!(value(&found[0], "away ms"), 2.0);
        assert_eq!(value(&found[0], "online ms"), 4.0);
        assert_eq!(value(&found[0], "userspace ms"), 5.0);
        assert_eq!(recorder.complaint, None);
    }

    #[test]
    fn a_kernel_with_a_cpu_less_is_no_sample() {
        let console = STOCK.replace(
            "1, Linux 6.1, CPUs online: 2",
            "1, Linux 6.1, CPUs online: 1",
        );
        let (found, recorder) = follow(Column::Stock, &console);
        assert_eq!(found, Vec::<Metrics>::new());
        let complaint = recorder.complaint.expect("a complaint");
        assert!(complaint.contains("1 of 2"), "seen {complaint:?}");
    }

    #[test]
    fn a_refused_kexec_is_what_the_probe_counted() {
        let (found, _) = follow(
            Column::Refusal,
            "baton: warning: cpu 0: KEXEC refused: it (all CPUs go on after 50 us, 31 of them work of this one)\n\
             probe: cost: refusal: 1 times in 59968 ns\nprobe: cost: call: 1 times in 160 ns",
        );
        assert_eq!(found.len(), 1, "seen {found:?}");
        assert_eq!(value(&found[0], "refusal instructions"), 31_000.0);
        assert_eq!(value(&found[0], "refusal instructions of all"), 59_968.0);
    }

    #[test]
    fn a_panic_is_the_path_without_the_verification() {
        let console = format!(
            "Kernel panic - not syncing: sysrq triggered crash\n\
             baton: crash: 1000000 bytes of the crash kernel verified in 1500 us\n{CONSOLE}\n\
             guest: generation 1, Linux 6.1, CPUs online: 2 of 2"
        );
        let (found, recorder) = follow(Column::CrashCount, &console);
        assert_eq!(recorder.complaint, None);
        assert_eq!(value(&found[0], "verify instructions a byte"), 1.5);
        let of = |metric| value(&found[0], metric);
        let expected = of("validate instructions") + of("path instructions");
        assert_eq!(of("crash path instructions"), expected);
    }

    #[test]
    fn a_carried_kexec_has_the_monitors_times() {
        let console = STOCK.replace("smp:", &format!("{CONSOLE}\nsmp:"));
        let (found, recorder) = follow(Column::Baton, &console);
        assert_eq!(value(&found[0], "hook us"), 32.8);
        assert_eq!(recorder.last.expect("a timeline").generation, 1);
        let (found, _) = follow(Column::Baton, STOCK);
        assert_eq!(found, Vec::<Metrics>::new(), "a kexec that was not carried");
    }
}
