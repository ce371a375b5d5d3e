//! What a run leaves for people: a table, every violation with what was known around it, and report.json.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use super::{
    check::{Evidence, Violation},
    ledger::{Event, Line},
    wreck::Happened,
};
use crate::team::reason;

/// Faults that long before and after what a request went through are told with its violation, seconds.
const NEARBY: f64 = 15.0;

/// The verdict on a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What the run was made of.
    pub seed: u64,
    /// Requests that were made.
    pub requests: usize,
    /// In so many workspaces.
    pub workspaces: usize,
    /// From the first request until all was quiet.
    pub seconds: f64,
    /// By kind.
    pub kinds: BTreeMap<String, Row>,
    /// All of them together.
    pub total: Row,
    /// Watches that began anew: so often, changes of a status may have been missed.
    pub gaps: u32,
    /// Everything that was broken.
    pub faults: Vec<Happened>,
    /// Everything that is wrong.
    pub violations: Vec<Told>,
}

/// One line of the table.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Requests.
    pub requests: u32,
    /// How they ended.
    pub ends: BTreeMap<String, u32>,
    /// Jobs that were started.
    pub runs: u32,
    /// Attempts that were lost with their workers.
    pub lost: u32,
    /// Status writes.
    pub writes: u32,
    /// The most for one request.
    pub most_writes: u32,
}

/// A violation with what was known around it.
#[derive(Debug, Serialize)]
pub struct Told {
    /// What it is.
    #[serde(flatten)]
    pub violation: Violation,
    /// The request's status.
    pub status: Value,
    /// What its jobs said, in seconds of the run.
    pub ledger: Vec<String>,
    /// What was broken then.
    pub faults: Vec<String>,
}

// === impl Report ===

impl Report {
    /// Puts it together.
    #[must_use]
    pub fn new(
        seed: u64,
        seconds: f64,
        gaps: u32,
        evidence: &Evidence,
        found: Vec<Violation>,
    ) -> Self {
        let (kinds, total) = rows(evidence);
        let workspaces = evidence.made.iter().map(|m| m.workspace).max();
        Self {
            seed,
            requests: evidence.made.len(),
            workspaces: workspaces.map_or(0, |last| last + 1),
            seconds,
            kinds,
            total,
            gaps,
            faults: evidence.faults.to_vec(),
            violations: found.into_iter().map(|v| tell(evidence, v)).collect(),
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The table and the violations, for a terminal. At most `most` violations are told in full.
    #[must_use]
    pub fn text(&self, most: usize) -> String {
        let mut text = heading();
        for (name, row) in &self.kinds {
            let _infallible = writeln!(text, "{}", line(name, row));
        }
        let _infallible = writeln!(text, "{}\n", line("all", &self.total));
        let done = self
            .faults
            .iter()
            .filter(|f| !f.note.starts_with("left out"));
        let _infallible = writeln!(
            text,
            "seed {}: {} requests in {} workspaces, {} faults, {:.0} s, {} violations",
            self.seed,
            self.requests,
            self.workspaces,
            done.count(),
            self.seconds,
            self.violations.len()
        );
        for told in self.violations.iter().take(most) {
            let _infallible = writeln!(text, "\n{told}");
        }
        if self.violations.len() > most {
            let more = self.violations.len() - most;
            let _infallible = writeln!(text, "\n{more} more violations are in the report");
        }
        text
    }
}

fn heading() -> String {
    format!(
        "{:<17} {:>8} {:>7} {:>6} {:>7} {:>5}  ENDS\n",
        "KIND", "REQUESTS", "RUNS", "LOST", "WRITES", "MOST"
    )
}

fn line(name: &str, row: &Row) -> String {
    let ends = row.ends.iter().map(|(end, count)| format!("{end} {count}"));
    let ends = ends.collect::<Vec<_>>().join(", ");
    let writes = f64::from(row.writes) / f64::from(row.requests.max(1));
    format!(
        "{name:<17} {:>8} {:>7} {:>6} {writes:>7.2} {:>5}  {ends}",
        row.requests, row.runs, row.lost, row.most_writes
    )
}

fn rows(evidence: &Evidence) -> (BTreeMap<String, Row>, Row) {
    let mut runs: BTreeMap<&str, u32> = BTreeMap::new();
    for line in evidence.ledger.iter().filter(|l| l.event == Event::Start) {
        *runs.entry(&line.run.uid).or_default() += 1;
    }
    let kinds: BTreeMap<_, _> = evidence
        .plan
        .asks()
        .map(|(family, ask)| ((family.workspace, ask.name.as_str()), family.kind.name()))
        .collect();
    let (mut rows, mut total) = (BTreeMap::<String, Row>::new(), Row::default());
    for made in evidence.made {
        let Some(kind) = kinds.get(&(made.workspace, made.name.as_str())) else {
            continue;
        };
        let uid = made.uid.as_deref().unwrap_or_default();
        let row = rows.entry(kind.clone()).or_default();
        for row in [row, &mut total] {
            row.add(evidence, uid, runs.get(uid).copied().unwrap_or(0));
        }
    }
    (rows, total)
}

// === impl Row ===

impl Row {
    fn add(&mut self, evidence: &Evidence, uid: &str, runs: u32) {
        let sight = evidence.seen.get(uid).cloned().unwrap_or_default();
        let status = evidence.present.get(uid).unwrap_or(&sight.status);
        let end = match (sight.gone, reason(status)) {
            (_, "") => "(unseen)",
            (_, reason) => reason,
        };
        self.requests += 1;
        *self.ends.entry(end.to_owned()).or_default() += 1;
        self.runs += runs;
        let lost = status["lost"].as_u64().unwrap_or(0);
        self.lost += u32::try_from(lost).unwrap_or(0);
        self.writes += sight.writes;
        self.most_writes = self.most_writes.max(sight.writes);
    }
}

/// Adds what was known around a violation.
fn tell(evidence: &Evidence, violation: Violation) -> Told {
    let uid = violation.uid.as_str();
    let lines: Vec<_> = evidence
        .ledger
        .iter()
        .filter(|l| l.run.uid == uid)
        .collect();
    let seen = || evidence.seen.get(uid).map(|sight| &sight.status);
    let status = evidence.present.get(uid).or_else(seen);
    let times = lines.iter().map(|line| evidence.seconds(line.at));
    let from = times.clone().fold(f64::MAX, f64::min) - NEARBY;
    let to = times.fold(0.0, f64::max) + NEARBY;
    let near = |fault: &&Happened| fault.at <= to && fault.until.unwrap_or(f64::MAX) >= from;
    Told {
        status: status.cloned().unwrap_or_default(),
        ledger: lines.iter().map(|line| said(evidence, line)).collect(),
        faults: evidence
            .faults
            .iter()
            .filter(near)
            .map(ToString::to_string)
            .collect(),
        violation,
    }
}

fn said(evidence: &Evidence, line: &Line) -> String {
    let (at, run) = (evidence.seconds(line.at), &line.run);
    let what = match &line.event {
        Event::Start => "start".to_owned(),
        Event::End { code } => format!("end with {code}"),
        Event::Overlap { lock, other } => format!("OVERLAP ({lock}) with {other}"),
    };
    format!(
        "{at:9.3} attempt {} on {} pid {}: {what}",
        run.attempt, run.worker, run.pid
    )
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation {
            rule,
            uid,
            request,
            what,
        } = &self.violation;
        writeln!(f, "{rule:?} {request} {uid}: {what}")?;
        if !self.status.is_null() {
            writeln!(f, "  status {:.1500}", self.status.to_string())?;
        }
        for line in self.ledger.iter().chain(&self.faults) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
