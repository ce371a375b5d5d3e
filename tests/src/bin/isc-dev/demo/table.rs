//! The live table: redrawn in place in a terminal, one line per change elsewhere.

use std::{
    io::{IsTerminal as _, Write as _},
    process::{Command, Stdio},
};

use isc_tests::team::{message, reason};

use super::follow::Row;

const BAR: usize = 10;

/// How the rows were shown last.
#[derive(Debug)]
pub(crate) struct Table {
    /// The width of the terminal; none when there is no terminal.
    width: Option<usize>,
    shown: Vec<String>,
}

// === impl Table ===

impl Table {
    pub(crate) fn new() -> Self {
        let width = std::io::stdout().is_terminal().then(terminal_width);
        Self {
            width,
            shown: Vec::new(),
        }
    }

    /// Shows what has changed.
    pub(crate) fn draw(&mut self, rows: &[Row]) {
        let lines: Vec<_> = rows.iter().map(line).collect();
        let mut out = std::io::stdout().lock();
        // Nobody is left to tell when stdout is gone.
        let _ignored = match self.width {
            Some(width) => self.redraw(&mut out, rows, &lines, width),
            None => self.append(&mut out, &lines),
        };
        let _ignored = out.flush();
        self.shown = lines;
    }

    fn redraw(
        &self,
        out: &mut impl std::io::Write,
        rows: &[Row],
        lines: &[String],
        width: usize,
    ) -> std::io::Result<()> {
        if self.shown.is_empty() {
            writeln!(out, "\x1b[1m{}\x1b[0m", cut(&heading(), width))?;
        } else {
            write!(out, "\x1b[{}A", self.shown.len())?;
        }
        for (row, line) in rows.iter().zip(lines) {
            writeln!(out, "\r\x1b[K{}{}\x1b[0m", color(row), cut(line, width))?;
        }
        Ok(())
    }

    fn append(&self, out: &mut impl std::io::Write, lines: &[String]) -> std::io::Result<()> {
        if self.shown.is_empty() {
            writeln!(out, "{}", heading())?;
        }
        for (index, line) in lines.iter().enumerate() {
            if self.shown.get(index) != Some(line) {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }
}

fn heading() -> String {
    columns(
        "WORKSPACE",
        "REQUEST",
        "SERVICE",
        "PHASE",
        "PROGRESS",
        "WORKER",
        "RESULT",
    )
}

#[expect(clippy::too_many_arguments, reason = "one per column")]
fn columns(
    team: &str,
    name: &str,
    service: &str,
    phase: &str,
    progress: &str,
    worker: &str,
    result: &str,
) -> String {
    format!("{team:<9} {name:<15} {service:<8} {phase:<9} {progress:<15} {worker:<8} {result}")
}

fn line(row: &Row) -> String {
    let status = &row.status;
    let phase = status["phase"].as_str().unwrap_or("(new)");
    let worker = status["worker"].as_str().unwrap_or("-");
    let text = columns(
        &row.team,
        &row.name,
        &row.service,
        phase,
        &progress(row, phase),
        worker,
        &result(row),
    );
    text.trim_end().to_owned()
}

fn progress(row: &Row, phase: &str) -> String {
    let percent = match row.status["progress"]["percent"].as_u64() {
        Some(percent) => usize::try_from(percent).unwrap_or(100).min(100),
        None if phase == "Succeeded" => 100,
        None => return String::new(),
    };
    let full = percent * BAR / 100;
    format!(
        "{}{} {percent:>3}%",
        "█".repeat(full),
        "░".repeat(BAR - full)
    )
}

fn result(row: &Row) -> String {
    let (status, result) = (&row.status, &row.status["result"]);
    let text = |key: &str| result[key].as_str().unwrap_or_default();
    match (status["phase"].as_str(), row.service.as_str()) {
        (Some("Succeeded"), "sign") => {
            format!(
                "signature {:.16}… by key {}",
                text("signature"),
                text("keyId")
            )
        }
        (Some("Succeeded"), "publish") => {
            format!("{} bytes, sha256 {:.16}…", result["bytes"], text("sha256"))
        }
        (Some("Failed" | "Rejected" | "Cancelled"), _) => {
            format!("{}: {}", reason(status), message(status))
        }
        _ => status["progress"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }
}

fn color(row: &Row) -> &'static str {
    match row.status["phase"].as_str() {
        Some("Succeeded") => "\x1b[32m",
        Some("Failed") => "\x1b[31m",
        Some("Rejected" | "Cancelled") => "\x1b[33m",
        Some("Running") => "\x1b[36m",
        _ => "",
    }
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

fn terminal_width() -> usize {
    let output = Command::new("stty")
        .arg("size")
        .stdin(Stdio::inherit())
        .output();
    let text = output
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    let width = text.split_whitespace().nth(1).and_then(|w| w.parse().ok());
    width.filter(|w| *w > 20).unwrap_or(100)
}
