//! The plots of a run, as SVG files below target/bench.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use plotters::{
    coord::ranged1d::{AsRangedCoord, Ranged},
    prelude::*,
};

use crate::{
    full::{AtPace, Found},
    growth::Rate,
    report,
};

const SIZE: (u32, u32) = (720, 420);
const MARGIN: u32 = 14;
/// Room for the labels of the axes, pixels.
const LABELS: u32 = 56;
const TITLE: (&str, u32) = ("sans-serif", 20);

/// A line of a plot.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// All that can be drawn of what was found.
pub(crate) fn all(found: &Found) -> Result<()> {
    if !found.subjects.is_empty() {
        bars(found)?;
    }
    latencies(found)?;
    growth(found)
}

/// Throughputs by that of the limit.
fn bars(found: &Found) -> Result<()> {
    let file = file("throughput.svg")?;
    let root = SVGBackend::new(&file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawn)?;
    let subjects = &found.subjects;
    let (count, most) = (subjects.len(), 1.1_f64);
    let mut chart = ChartBuilder::on(&root)
        .caption("requests a second, by the limit's", TITLE)
        .margin(MARGIN)
        .x_label_area_size(LABELS)
        .y_label_area_size(LABELS)
        .build_cartesian_2d((0..count).into_segmented(), 0.0..most)
        .map_err(drawn)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(count)
        .x_label_formatter(&|at| match at {
            SegmentValue::CenterOf(number) => subjects
                .get(*number)
                .map_or_else(String::new, |s| s.name.clone()),
            _ => String::new(),
        })
        .draw()
        .map_err(drawn)?;
    let bars = subjects.iter().enumerate().map(|(number, subject)| {
        let (left, right) = (SegmentValue::Exact(number), SegmentValue::Exact(number + 1));
        let mut bar = Rectangle::new(
            [(left, 0.0), (right, subject.ratio)],
            BLUE.mix(0.6).filled(),
        );
        bar.set_margin(0, 0, 12, 12);
        bar
    });
    chart.draw_series(bars).map_err(drawn)?;
    root.present().map_err(drawn)
}

fn latencies(found: &Found) -> Result<()> {
    let of = |name: &str, value: fn(&AtPace) -> f64| {
        Line::of(name, &found.paces, |pace| (pace.share * 100.0, value(pace)))
    };
    let lines = [
        of("product, p99", |pace| pace.product.p99_ms),
        of("product, p50", |pace| pace.product.p50_ms),
        of("limit, p99", |pace| pace.limit.p99_ms),
        of("limit, p50", |pace| pace.limit.p50_ms),
    ];
    let title = "ms from asked to ended, by the load in percent";
    lines_of("latency.svg", title, &lines, false)
}

fn growth(found: &Found) -> Result<()> {
    let number = report::number;
    let starts = [
        Line::of("start of the watcher", &found.stored, |s| {
            (number(s.requests), s.start_seconds)
        }),
        Line::of("raw list", &found.stored, |s| {
            (number(s.requests), s.list_seconds)
        }),
    ];
    let title = "seconds, by finished requests stored";
    lines_of("start.svg", title, &starts, true)?;
    let memory = [
        Line::of("finished", &found.stored, |s| {
            (number(s.requests), s.memory_mb)
        }),
        Line::of("waiting", &found.waiting, |w| {
            (number(w.requests), w.memory_mb)
        }),
    ];
    lines_of(
        "memory.svg",
        "MB of the watcher, by requests",
        &memory,
        true,
    )?;
    let rate = |rate: &Rate| (number(rate.of), rate.per_second);
    let rates = [
        Line::of("workspaces", &found.tenants, rate),
        Line::of("workers", &found.workers, rate),
    ];
    let title = "requests a second, by workspaces or workers";
    lines_of("growth.svg", title, &rates, true)
}

// === impl Line ===

impl Line {
    fn of<T>(name: &str, found: &[T], point: impl Fn(&T) -> (f64, f64)) -> Self {
        Self {
            name: name.to_owned(),
            points: found.iter().map(point).collect(),
        }
    }
}

/// Lines with a legend; the x axis is logarithmic where that is said. Nothing where there are no points.
fn lines_of(name: &str, title: &str, lines: &[Line], logarithmic: bool) -> Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    if points().next().is_none() {
        return Ok(());
    }
    let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let (right, top) = (most(|p| p.0), most(|p| p.1) * 1.1);
    let file = file(name)?;
    if logarithmic {
        draw(&file, title, lines, (least..right * 1.1).log_scale(), top)
    } else {
        draw(&file, title, lines, 0.0..right, top)
    }
}

fn draw<X>(file: &PathBuf, title: &str, lines: &[Line], x: X, top: f64) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawn)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, TITLE)
        .margin(MARGIN)
        .x_label_area_size(LABELS)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(x, 0.0..top)
        .map_err(drawn)?;
    chart.configure_mesh().draw().map_err(drawn)?;
    for (number, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(number).to_rgba();
        let points = line.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))
            .map_err(drawn)?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(drawn)?;
    root.present().map_err(drawn)
}

fn file(name: &str) -> Result<PathBuf> {
    Ok(report::folder()?.join(name))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn drawn<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}
