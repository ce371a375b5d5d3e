//! The judge of a run: pure functions from the plan and the evidence to what is wrong. It knows nothing of
//! the product but its API.

mod ends;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::{
    creator::Made,
    ledger::Line,
    mix::Kind,
    observer::Sight,
    plan::{Ask, Family, Plan},
    wreck::Happened,
};

/// What is known at the end of a run, when all is quiet.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// What was made, in no particular order.
    pub made: &'a [Made],
    /// What the watches saw, by UID.
    pub seen: &'a HashMap<String, Sight>,
    /// The status of every request that is there now, by UID.
    pub present: &'a HashMap<String, Value>,
    /// What the jobs said.
    pub ledger: &'a [Line],
    /// The faults.
    pub faults: &'a [Happened],
    /// The zero of the faults' times, nanoseconds.
    pub start: u64,
    /// So many lost attempts are repeated.
    pub lost_max: u32,
    /// What is left in each queue.
    pub queues: &'a [(String, u64)],
    /// Processes that should not be there.
    pub leaks: &'a [String],
    /// Processes that ended by themselves, or did not end.
    pub crashes: &'a [String],
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which rule it breaks.
    pub rule: Rule,
    /// The request's UID; empty when it is not about one.
    pub uid: String,
    /// The request's workspace and name.
    pub request: String,
    /// What was found.
    pub what: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// No two jobs of one request, or of one key, at the same time.
    Overlap,
    /// Every request ends.
    Stuck,
    /// It ends as it should.
    WrongEnd,
    /// It is there, or gone, as it should be.
    Lost,
    /// An end never changes.
    SecondEnd,
    /// No more attempts than allowed.
    Budget,
    /// The result is the one of its own run.
    WrongResult,
    /// What must not run does not.
    RanForNothing,
    /// Nothing is left in the queues.
    Queue,
    /// No process is left.
    Leak,
    /// No process of ours ends by itself.
    Crash,
}

/// One request with all that is known of it.
#[derive(Debug)]
struct Case<'a> {
    family: &'a Family,
    ask: &'a Ask,
    uid: &'a str,
    /// The status now, or the last one that was seen; null when none was.
    status: &'a Value,
    present: bool,
    sight: Option<&'a Sight>,
    lines: &'a [&'a Line],
    /// The others of its family: their statuses.
    others: Vec<(&'a str, &'a Value)>,
}

/// Everything that is wrong.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut lines: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in evidence.ledger {
        lines.entry(&line.run.uid).or_default().push(line);
    }
    let made = by_name(evidence.made);
    for family in &evidence.plan.families {
        for ask in &family.asks {
            match made.get(&(family.workspace, ask.name.as_str())) {
                None => violations.push(about_nobody(
                    Rule::Lost,
                    format!("{} was never made", ask.name),
                )),
                // Gone before anybody could read its UID: nothing can be said of it.
                Some(Made { uid: None, .. }) => {}
                Some(Made { uid: Some(uid), .. }) => {
                    let case = case(evidence, family, ask, uid, &lines, &made);
                    violations.extend(judge(evidence, &case));
                }
            }
        }
    }
    violations.extend(runs::strangers(evidence, &lines));
    violations.extend(surroundings(evidence));
    violations
}

fn judge(evidence: &Evidence, case: &Case) -> Vec<Violation> {
    let mut found = ends::judge(evidence, case);
    found.extend(runs::judge(evidence, case));
    let about = |(rule, what)| Violation {
        rule,
        uid: case.uid.to_owned(),
        request: format!("{}/{}", case.family.workspace, case.ask.name),
        what,
    };
    found.into_iter().map(about).collect()
}

/// What is wrong with one request.
type Findings = Vec<(Rule, String)>;

fn case<'a>(
    evidence: &'a Evidence,
    family: &'a Family,
    ask: &'a Ask,
    uid: &'a str,
    lines: &'a BTreeMap<&str, Vec<&'a Line>>,
    made: &HashMap<(usize, &'a str), &'a Made>,
) -> Case<'a> {
    let other = |ask: &'a Ask| {
        let uid = made
            .get(&(family.workspace, ask.name.as_str()))?
            .uid
            .as_deref()?;
        Some((ask.name.as_str(), status(evidence, uid)))
    };
    let others = family.asks.iter().filter(|other| other.name != ask.name);
    Case {
        family,
        ask,
        uid,
        status: status(evidence, uid),
        present: evidence.present.contains_key(uid),
        sight: evidence.seen.get(uid),
        lines: lines.get(uid).map_or(&[], Vec::as_slice),
        others: others.filter_map(other).collect(),
    }
}

fn by_name(made: &[Made]) -> HashMap<(usize, &str), &Made> {
    made.iter()
        .map(|made| ((made.workspace, made.name.as_str()), made))
        .collect()
}

fn status<'a>(evidence: &'a Evidence, uid: &str) -> &'a Value {
    let seen = || evidence.seen.get(uid).map(|sight| &sight.status);
    evidence
        .present
        .get(uid)
        .or_else(seen)
        .unwrap_or(&Value::Null)
}

fn about_nobody(rule: Rule, what: String) -> Violation {
    Violation {
        rule,
        uid: String::new(),
        request: String::new(),
        what,
    }
}

fn surroundings(evidence: &Evidence) -> Vec<Violation> {
    let full = evidence.queues.iter().filter(|(_, messages)| *messages > 0);
    let queues = full.map(|(name, messages)| {
        about_nobody(
            Rule::Queue,
            format!("{messages} messages are left in {name}"),
        )
    });
    let leaks = evidence.leaks.iter();
    let leaks = leaks.map(|leak| about_nobody(Rule::Leak, format!("it still runs: {leak}")));
    let crashes = evidence.crashes.iter();
    let crashes = crashes.map(|crash| about_nobody(Rule::Crash, crash.clone()));
    queues.chain(leaks).chain(crashes).collect()
}

// === impl Case ===

impl Case<'_> {
    fn count(&self, field: &str) -> u32 {
        count(self.status, field)
    }

    /// Whether another one of its family ran out of workers: then what was to follow from its end does not.
    fn family_lost(&self, lost_max: u32) -> bool {
        let lost = |(_, status): &(&str, &Value)| count(status, "lost") > lost_max;
        self.others.iter().any(lost)
    }

    /// Whether it is one that goes by keys.
    fn has_key(&self) -> bool {
        matches!(
            self.family.kind,
            Kind::Attach
                | Kind::AttachCancelled
                | Kind::AttachDeleted
                | Kind::Replace
                | Kind::Reject
                | Kind::KeyReused
        )
    }
}

fn count(status: &Value, field: &str) -> u32 {
    let number = status[field].as_u64().unwrap_or(0);
    u32::try_from(number).unwrap_or(u32::MAX)
}

// === impl Evidence ===

impl Evidence<'_> {
    /// A moment of the ledger, in seconds of the run.
    #[must_use]
    pub fn seconds(&self, at: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
        let nanos = at.saturating_sub(self.start) as f64;
        nanos / 1e9
    }
}
