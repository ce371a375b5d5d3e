//! What ran: never two at once, no more often than allowed, and nothing that must not.

use std::collections::{BTreeMap, HashSet};

use super::{Case, Evidence, Findings, Rule, Violation, about_nobody, ends};
use crate::chaos::{ledger::Event, ledger::Line, plan::Fate, wreck::Happened};

/// A fault acts that long before and after: leases, and what was under way.
const AFTERMATH: f64 = 20.0;

pub(super) fn judge(evidence: &Evidence, case: &Case) -> Findings {
    let mut found = ends::budgets(evidence, case);
    for line in case.lines {
        if let Event::Overlap { lock, other } = &line.event {
            let (attempt, worker) = (line.run.attempt, &line.run.worker);
            let what = format!("attempt {attempt} on {worker} ran beside {other} (lock: {lock})");
            found.push((Rule::Overlap, what));
        }
    }
    let starts: Vec<_> = case
        .lines
        .iter()
        .filter(|l| l.event == Event::Start)
        .collect();
    let idle = case.ask.expect.idle && !case.family_lost(evidence.lost_max);
    if idle && !starts.is_empty() {
        found.push((
            Rule::RanForNothing,
            format!("it ran {} times", starts.len()),
        ));
    }
    let most = case.ask.expect.retries + evidence.lost_max + 2;
    if let Some(line) = starts.iter().find(|line| line.run.attempt > most) {
        found.push((
            Rule::Budget,
            format!("attempt {} ran, at most {most}", line.run.attempt),
        ));
    }
    found.extend(too_many(evidence, case, &starts));
    found
}

/// A run that no count tells of is one that was interrupted, or that a watcher forgot when it was killed:
/// no more of these than faults.
fn too_many(evidence: &Evidence, case: &Case, starts: &[&&Line]) -> Option<(Rule, String)> {
    let (first, last) = (starts.first()?, starts.last()?);
    if case.ask.expect.fate == Fate::Deleted || !case.present {
        return None;
    }
    let (from, to) = (evidence.seconds(first.at), evidence.seconds(last.at));
    let faults = evidence
        .faults
        .iter()
        .filter(|fault| touches(fault, from, to));
    let faults = u32::try_from(faults.count()).unwrap_or(u32::MAX);
    let runs = u32::try_from(starts.len()).unwrap_or(u32::MAX);
    let counted = case.count("failed") + case.count("lost") + 1;
    (runs > counted.saturating_add(faults)).then(|| {
        let what = format!("it ran {runs} times, with {counted} attempts and {faults} faults");
        (Rule::Budget, what)
    })
}

fn touches(fault: &Happened, from: f64, to: f64) -> bool {
    let harmful = ["watcher", "worker"]
        .iter()
        .any(|who| fault.target.starts_with(who));
    let until = fault.until.unwrap_or(f64::MAX);
    let left_out = fault.note.starts_with("left out");
    harmful && !left_out && fault.at - AFTERMATH <= to && until + AFTERMATH >= from
}

/// Jobs of requests that nobody made.
pub(super) fn strangers(evidence: &Evidence, lines: &BTreeMap<&str, Vec<&Line>>) -> Vec<Violation> {
    let made: HashSet<_> = evidence
        .made
        .iter()
        .filter_map(|m| m.uid.as_deref())
        .collect();
    // One that was gone before anybody read its UID may have run.
    let unread = evidence.made.iter().any(|m| m.uid.is_none());
    let strange = lines.keys().filter(|uid| !unread && !made.contains(**uid));
    strange
        .map(|uid| about_nobody(Rule::RanForNothing, format!("a job of {uid} ran")))
        .collect()
}
