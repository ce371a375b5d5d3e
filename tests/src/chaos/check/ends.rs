//! How requests end: once, as planned, with the result of their own run, and there or gone as planned.

use serde_json::Value;

use super::{Case, Evidence, Findings, Rule, count};
use crate::{
    chaos::{
        ledger::Event,
        plan::{End, Fate},
    },
    team::{is_finished, reason},
};

const SUCCEEDED: End = End {
    phase: "Succeeded",
    reason: "Succeeded",
    failed: None,
};

pub(super) fn judge(evidence: &Evidence, case: &Case) -> Findings {
    let mut found = Findings::new();
    found.extend(presence(case));
    if let Some(sight) = case.sight {
        let others = sight.other_ends.iter();
        found.extend(others.map(|other| {
            let first = sight.end.as_ref().unwrap_or(&Value::Null);
            (
                Rule::SecondEnd,
                format!("it ended as {first}, then as {other}"),
            )
        }));
    }
    if is_finished(case.status) {
        found.extend(end(evidence, case));
        found.extend(result(case));
    }
    found
}

/// Whether it is there, or gone, as planned, and has ended.
fn presence(case: &Case) -> Option<(Rule, String)> {
    let ended = is_finished(case.status);
    let what = |rule, what: &str| Some((rule, what.to_owned()));
    match (case.ask.expect.fate, case.present) {
        (Fate::Stays | Fate::Expires, true) if !ended => what(Rule::Stuck, "it has not ended"),
        (Fate::Stays, false) => what(Rule::Lost, "nobody deleted it, and it is gone"),
        (Fate::Deleted, true) => what(Rule::Lost, "it was deleted and is there"),
        (Fate::Expires, true) => what(Rule::Lost, "its time is over and it is there"),
        (Fate::Expires, false) if !ended && !ran(case) => {
            what(Rule::Lost, "it was deleted before it had run")
        }
        _ => None,
    }
}

fn ran(case: &Case) -> bool {
    let good = Event::End { code: 0 };
    case.lines.iter().any(|line| line.event == good)
}

fn end(evidence: &Evidence, case: &Case) -> Option<(Rule, String)> {
    let (phase, reason) = (text(case.status, "phase"), reason(case.status));
    let failed = case.count("failed");
    let fits = |end: &End| {
        let counted = end.failed.is_none_or(|wanted| wanted == failed);
        end.phase == phase && end.reason == reason && (counted || attached(case))
    };
    if case.ask.expect.ends.iter().any(fits) {
        return None;
    }
    let family_lost = case.has_key() && case.family_lost(evidence.lost_max);
    let lost = case.count("lost") > evidence.lost_max || (attached(case) && family_lost);
    if phase == "Failed" && reason == "WorkerLost" && lost {
        return None;
    }
    // The earlier one ended without a success, so its key was free.
    if family_lost && fits(&SUCCEEDED) {
        return None;
    }
    let wanted = case.ask.expect.ends.iter().map(ToString::to_string);
    let wanted = wanted.collect::<Vec<_>>().join(" or ");
    let found = format!(
        "{phase}/{reason} with {failed} failed, {} lost",
        case.count("lost")
    );
    Some((Rule::WrongEnd, format!("{found}, not {wanted}")))
}

/// A success has the result of the run that is told of: its own, or that of the one it is attached to.
fn result(case: &Case) -> Option<(Rule, String)> {
    if text(case.status, "phase") != "Succeeded" {
        return None;
    }
    let result = &case.status["result"];
    let from = text(result, "uid");
    if !attached(case) {
        let own = from == case.uid && result["attempt"] == case.status["attempt"];
        return (!own).then(|| (Rule::WrongResult, format!("the result is of {result:.200}")));
    }
    let to = text(case.status, "attachedTo");
    let Some((_, other)) = case.others.iter().find(|(name, _)| *name == to) else {
        return Some((Rule::WrongResult, format!("it is attached to {to:?}")));
    };
    // One that was deleted may have been seen last before its end.
    let same = text(&other["result"], "uid") == from || !is_finished(other);
    (!same).then(|| {
        let theirs = &other["result"]["uid"];
        (
            Rule::WrongResult,
            format!("the result is of {from}, that of {to} of {theirs}"),
        )
    })
}

fn attached(case: &Case) -> bool {
    case.status["attachedTo"].is_string()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Counts that are over their budget in a status.
pub(super) fn budgets(evidence: &Evidence, case: &Case) -> Findings {
    let budgets = [
        ("failed", case.ask.expect.retries + 1),
        ("lost", evidence.lost_max + 1),
    ];
    let over = budgets
        .into_iter()
        .map(|(field, most)| (field, most, count(case.status, field)))
        .filter(|(_, most, found)| found > most && !attached(case));
    over.map(|(field, most, found)| (Rule::Budget, format!("{found} {field}, at most {most}")))
        .collect()
}
