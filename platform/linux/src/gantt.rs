// SPDX-License-Identifier: Apache-2.0
//! `baton report --gantt`: the last reboot as a drawing (SVG 1.1), a bar for each CPU.

use crate::evidence::Times;
use baton_abi::{ROW_TOOK_PART, ReportRow};
use std::fmt::{self, Display, Formatter};

/// Sizes in pixels.
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 900.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 60.0;
/// The height of all bars together is about this, that of one at least [`BAR_MIN`].
const BARS: f64 = 640.0;
const BAR_MIN: f64 = 3.0;
const BAR_MAX: f64 = 18.0;
/// Lines of the scale, at most.
const TICKS: f64 = 8.0;

/// A part of a CPU's bar: what it does, in which colour, from and to when.
struct Part {
    name: &'static str,
    colour: &'static str,
    from: fn(&ReportRow) -> u64,
    to: fn(&ReportRow) -> u64,
}

const PARTS: [Part; 3] = [
    Part {
        name: "phase 1: own state",
        colour: "#4477aa",
        from: |row| row.arrived,
        to: |row| row.phase1_end,
    },
    Part {
        name: "phase 3",
        colour: "#ccbb44",
        from: |row| row.phase3_start,
        to: |row| row.phase3_end,
    },
    Part {
        name: "copy of the next kernel",
        colour: "#228833",
        from: |row| row.copy_start,
        to: |row| row.copy_end,
    },
];

/// The drawing of a reboot.
pub struct Gantt<'a>(pub &'a Times);

impl Gantt<'_> {
    /// The end of the scale, in microseconds.
    fn end(&self) -> f64 {
        let header = &self.0.header;
        let last = header.entered.max(header.phase3_end);
        self.0.us(last).unwrap_or(0.0).max(1.0)
    }

    /// Where a time is, from the left.
    fn x(&self, us: f64) -> f64 {
        LEFT + WIDTH * (us / self.end()).clamp(0.0, 1.0)
    }

    fn scale(&self, f: &mut Formatter, bottom: f64) -> fmt::Result {
        let step = step(self.end() / TICKS);
        let mut us = 0.0;
        while us <= self.end() {
            let x = self.x(us);
            writeln!(
                f,
                r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom:.1}" stroke="#dddddd"/>"##
            )?;
            writeln!(
                f,
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{us} µs</text>"#,
                bottom + 16.0
            )?;
            us += step;
        }
        Ok(())
    }

    fn marks(&self, f: &mut Formatter, bottom: f64) -> fmt::Result {
        let header = &self.0.header;
        for (name, time) in [
            ("kicked", header.kicked),
            ("phase 2 done", header.phase2_end),
            ("next kernel", header.entered),
        ] {
            if let Some(us) = self.0.us(time) {
                let x = self.x(us);
                writeln!(
                    f,
                    r##"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom:.1}" stroke="#ee6677"><title>{name}: {us:.1} µs</title></line>"##
                )?;
            }
        }
        Ok(())
    }
}

impl Display for Gantt<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let rows = &self.0.rows;
        let bar = (BARS / rows.len().max(1) as f64).clamp(BAR_MIN, BAR_MAX);
        let bottom = TOP + bar * rows.len() as f64;
        let (width, height) = (LEFT + WIDTH + RIGHT, bottom + BOTTOM);
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0}" font-family="sans-serif" font-size="11">"#
        )?;
        writeln!(f, r##"<rect width="100%" height="100%" fill="#ffffff"/>"##)?;
        writeln!(
            f,
            r#"<text x="{LEFT}" y="20" font-size="14">Reboot {}: {} CPUs, next kernel entered after {:.1} µs</text>"#,
            self.0.header.generation,
            rows.iter()
                .filter(|row| row.flags & ROW_TOOK_PART != 0)
                .count(),
            self.end()
        )?;
        self.scale(f, bottom)?;
        // A number for each bar has no room where they are thin.
        let each = (12.0 / bar).ceil() as usize;
        for (cpu, row) in rows.iter().enumerate() {
            let y = TOP + bar * cpu as f64;
            if cpu % each == 0 {
                writeln!(
                    f,
                    r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{cpu}</text>"#,
                    LEFT - 6.0,
                    y + bar.min(11.0)
                )?;
            }
            for Part {
                name,
                colour,
                from,
                to,
            } in &PARTS
            {
                if let (Some(from), Some(to)) = (self.0.us(from(row)), self.0.us(to(row))) {
                    let x = self.x(from);
                    writeln!(
                        f,
                        r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{colour}"><title>CPU {cpu}, {name}: {from:.1} to {to:.1} µs</title></rect>"#,
                        (self.x(to) - x).max(0.5),
                        bar * 0.85
                    )?;
                }
            }
        }
        self.marks(f, bottom)?;
        for (index, part) in PARTS.iter().enumerate() {
            let (x, y) = (LEFT + 200.0 * index as f64, bottom + 30.0);
            writeln!(
                f,
                r#"<rect x="{x}" y="{y:.1}" width="12" height="12" fill="{}"/><text x="{}" y="{:.1}">{}</text>"#,
                part.colour,
                x + 18.0,
                y + 10.0,
                part.name
            )?;
        }
        writeln!(f, "</svg>")
    }
}

/// Returns 1, 2 or 5 times a power of ten: the first that is not below `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps
        .into_iter()
        .find(|&step| step >= least)
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fake;

    #[test]
    fn has_a_bar_for_each_part_of_each_cpu() {
        let svg = Gantt(&fake::times()).to_string();
        assert_eq!(svg.matches("<title>CPU ").count(), 6, "{svg}");
        assert!(
            svg.contains("CPU 1, phase 1: own state: 50.0 to 60.0 µs"),
            "{svg}"
        );
        assert!(svg.contains("next kernel entered after 310.0 µs"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<rect").count(), svg.matches("fill=").count());
    }

    #[test]
    fn what_did_not_happen_has_no_bar() {
        let mut times = fake::times();
        times.rows[1] = Default::default();
        let svg = Gantt(&times).to_string();
        assert_eq!(svg.matches("<title>CPU ").count(), 3, "{svg}");
    }

    #[test]
    fn times_that_make_no_sense_stay_inside() {
        let mut times = fake::times();
        times.rows[0].copy_end = u64::MAX;
        times.header.entered = 0;
        times.header.frequency = 0;
        let svg = Gantt(&times).to_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn scale_has_round_numbers() {
        for (least, expected) in [(1.0, 1.0), (38.75, 50.0), (4_800.0, 5_000.0), (0.3, 0.5)] {
            let seen = step(least);
            assert!((seen - expected).abs() < 1e-9, "{least}: {seen}");
        }
    }
}
