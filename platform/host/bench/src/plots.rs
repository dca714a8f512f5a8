// SPDX-License-Identifier: Apache-2.0
//! The plots, as SVG and PNG.

use crate::timeline::{Lane, Timeline};
use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use resvg::{tiny_skia, usvg};
use std::error::Error;
use std::fs;
use std::path::Path;

/// Why a plot was not drawn.
pub type Failed = Box<dyn Error>;

/// Colours that can be told apart by all (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
];
const FONT: &str = "DejaVu Sans, Arial, sans-serif";
/// Of Debian's fonts-dejavu-core.
const FONT_FILE: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
const SIZE: (u32, u32) = (900, 560);

/// A point of a line: x, median, least, greatest.
pub type Point = (f64, f64, f64, f64);

/// A line of a plot.
pub struct Series {
    /// What it is called.
    pub name: String,
    /// Its points, by x.
    pub points: Vec<Point>,
}

/// What is drawn around the lines.
pub struct Frame<'a> {
    /// The heading.
    pub title: &'a str,
    /// What is along x.
    pub x: &'a str,
    /// What is along y.
    pub y: &'a str,
    /// y is logarithmic; else it begins at 0.
    pub log: bool,
}

/// Draws lines with their spread; x is logarithmic.
///
/// # Errors
/// If it cannot be drawn.
pub fn lines(frame: &Frame, series: &[Series]) -> Result<String, Failed> {
    let points = || series.iter().flat_map(|series| &series.points);
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    if points().next().is_none() {
        return Err("there are no points yet".into());
    }
    let x = (least(&mut points().map(|p| p.0)) * 0.9)..(most(&mut points().map(|p| p.0)) * 1.15);
    let top = most(&mut points().map(|p| p.3));
    if frame.log {
        let bottom = least(&mut points().map(|p| p.2).filter(|y| *y > 0.0));
        draw(
            frame,
            series,
            x.log_scale(),
            (bottom * 0.7..top * 30.0).log_scale(),
        )
    } else {
        draw(frame, series, x.log_scale(), 0.0..top * 1.5)
    }
}

fn draw<X, Y>(frame: &Frame, series: &[Series], x: X, y: Y) -> Result<String, Failed>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(frame.title, (FONT, 20))
            .margin(16)
            .x_label_area_size(46)
            .y_label_area_size(78)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(frame.x)
            .y_desc(frame.y)
            .label_style((FONT, 13))
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| crate::stats::digits(*y))
            .light_line_style(WHITE)
            .draw()?;
        for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let style = ShapeStyle::from(*colour).stroke_width(2);
            let line = series.points.iter().map(|p| (p.0, p.1));
            chart
                .draw_series(LineSeries::new(line.clone(), style))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            chart.draw_series(line.map(|p| Circle::new(p, 3, colour.filled())))?;
            let spread = |p: &Point| PathElement::new([(p.0, p.2), (p.0, p.3)], *colour);
            chart.draw_series(series.points.iter().map(spread))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font((FONT, 13))
            .draw()?;
        area.present()?;
    }
    Ok(text)
}

/// A part of a CPU's way, and its colour.
type Part = (
    &'static str,
    RGBColor,
    fn(&Lane, &Timeline) -> Option<(u64, u64)>,
);

const PARTS: [Part; 10] = [
    ("kicked, on its way", RGBColor(235, 235, 235), |lane, t| {
        (!lane.boot_cpu).then_some((t.kicked, lane.arrived?))
    }),
    (
        "kicks, enters (boot CPU)",
        RGBColor(213, 94, 0),
        |lane, t| lane.boot_cpu.then_some((0, t.kicked)),
    ),
    ("gathers, waits", RGBColor(245, 240, 220), |lane, _| {
        Some((lane.arrived?, lane.phase1_start?))
    }),
    ("checks its part", RGBColor(0, 114, 178), |lane, _| {
        Some((lane.check_start?, lane.check_end?))
    }),
    ("phase 1", RGBColor(86, 180, 233), |lane, _| {
        Some((lane.phase1_start?, lane.phase1_end?))
    }),
    ("waits", RGBColor(255, 236, 190), |lane, _| {
        Some((lane.phase1_end?, lane.phase3_start?))
    }),
    ("copies", RGBColor(0, 158, 115), |lane, _| {
        (lane.bytes > 0).then_some((lane.copy_start?, lane.copy_end?))
    }),
    // The report and the next tree, while the others copy.
    (
        "prepares the next kernel (boot CPU)",
        RGBColor(204, 121, 167),
        |lane, _| {
            let prepares = lane.boot_cpu && lane.bytes == 0;
            prepares.then_some((lane.copy_start?, lane.copy_end?))
        },
    ),
    (
        "boot CPU waits for all",
        RGBColor(240, 228, 66),
        |lane, t| lane.boot_cpu.then_some((lane.phase3_end?, t.phase3_end)),
    ),
    ("parked", RGBColor(204, 187, 215), |lane, t| {
        (!lane.boot_cpu).then_some((lane.phase3_end?, t.entered))
    }),
];

/// Draws a reboot as a Gantt chart, a lane for each CPU.
///
/// # Errors
/// If it cannot be drawn.
pub fn gantt(title: &str, timeline: &Timeline) -> Result<String, Failed> {
    let lanes: Vec<_> = timeline
        .lanes
        .iter()
        .enumerate()
        .filter(|(_, lane)| lane.took_part)
        .collect();
    let height = (lanes.len() as u32 * 8).clamp(160, 1200) + 190;
    let ms = |ticks: u64| timeline.us(ticks) / 1e3;
    let end = ms(timeline.entered) * 1.01;
    let count = timeline.lanes.len() as f64;
    let mut text = String::new();
    {
        let area: DrawingArea<_, Shift> =
            SVGBackend::with_string(&mut text, (SIZE.0, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 20))
            .margin(16)
            .margin_bottom(100)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, count..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(WHITE)
            .x_desc("ms since the hook")
            .label_style((FONT, 13))
            .x_label_formatter(&|x| crate::stats::digits(*x))
            .y_labels(0)
            .draw()?;
        // A number for each lane has no room where they are thin.
        let each = lanes.len().div_ceil(24).max(1);
        for (cpu, _) in lanes.iter().step_by(each) {
            let middle = (0.0, *cpu as f64 + 0.5);
            let (x, y) = chart.plotting_area().map_coordinate(&middle);
            area.draw(&Text::new(
                format!("CPU {cpu}"),
                (x - 52, y - 6),
                (FONT, 12),
            ))?;
        }
        for (name, colour, part) in PARTS {
            let bars = lanes.iter().filter_map(|(index, lane)| {
                let (from, to) = part(lane, timeline)?;
                let y = *index as f64;
                Some(Rectangle::new(
                    [(ms(from), y + 0.1), (ms(to), y + 0.9)],
                    colour.filled(),
                ))
            });
            chart.draw_series(bars)?.label(name);
        }
        // Below the axis, where no lane is.
        let width = (SIZE.0 as i32 - 60) / 3;
        for (index, (name, colour, _)) in PARTS.iter().enumerate() {
            let x = 40 + (index as i32 % 3) * width;
            let y = height as i32 - 88 + (index as i32 / 3) * 20;
            area.draw(&Rectangle::new([(x, y), (x + 16, y + 12)], colour.filled()))?;
            area.draw(&Text::new(*name, (x + 22, y), (FONT, 13)))?;
        }
        area.present()?;
    }
    Ok(text)
}

/// Writes `svg` to `NAME.svg`, and as a picture to `NAME.png`.
///
/// # Errors
/// If a file cannot be written, or the text not be drawn for want of a font.
pub fn write(folder: &Path, name: &str, svg: &str) -> Result<(), Failed> {
    fs::write(folder.join(format!("{name}.svg")), svg)?;
    let mut options = usvg::Options::default();
    let fonts = options.fontdb_mut();
    let font = fs::read(FONT_FILE)
        .map_err(|error| format!("no font for the PNG: {FONT_FILE}: {error}"))?;
    fonts.load_font_data(font);
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = usvg::Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size();
    // For screens with two pixels a point.
    let mut picture =
        tiny_skia::Pixmap::new(size.width() * 2, size.height() * 2).ok_or("an empty picture")?;
    let scale = tiny_skia::Transform::from_scale(2.0, 2.0);
    resvg::render(&tree, scale, &mut picture.as_mut());
    picture.save_png(folder.join(format!("{name}.png")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::timeline;

    #[test]
    fn draws_lines_and_lanes() {
        let frame = Frame {
            title: "a title",
            x: "vCPUs",
            y: "ms",
            log: true,
        };
        let series = Series {
            name: "stock".into(),
            points: vec![(1.0, 2.0, 1.0, 3.0), (80.0, 500.0, 400.0, 600.0)],
        };
        let svg = lines(&frame, &[series]).expect("two points");
        for expected in ["a title", "stock", "vCPUs"] {
            assert!(svg.contains(expected), "expected {expected:?} in the plot");
        }
        let svg = gantt("lanes", &timeline()).expect("two CPUs");
        for expected in ["phase 1", "CPU 0", "CPU 1"] {
            assert!(svg.contains(expected), "expected {expected:?} in the chart");
        }
        assert!(lines(&frame, &[]).is_err(), "a plot of nothing");
    }
}
