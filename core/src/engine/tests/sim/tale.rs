//! The time-line of a seed: who did what when, in words.

use std::{fmt::Write as _, time::Duration};

use super::{super::*, action::Process};
use crate::life::Outcome;

/// What happened, when somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Tale {
    lines: Option<Vec<Line>>,
}

#[derive(Debug)]
struct Line {
    /// What it is about; none for what concerns everyone.
    about: Option<Uid>,
    text: String,
}

// === impl Tale ===

impl Tale {
    pub(super) fn told() -> Self {
        Self {
            lines: Some(vec![]),
        }
    }

    /// Tells something, and which request it is about.
    pub(super) fn about(&mut self, now: Duration, what: impl FnOnce() -> (Option<Uid>, String)) {
        if let Some(lines) = &mut self.lines {
            let (seconds, millis) = (now.as_secs(), now.subsec_millis());
            let (about, text) = what();
            let text = format!("{seconds:>4}.{millis:03}  {text}");
            lines.push(Line { about, text });
        }
    }

    /// All lines, or only those about one request and about everyone.
    pub(super) fn text(&self, about: Option<&Uid>) -> String {
        let mut text = String::new();
        for line in self.lines.iter().flatten() {
            let routine = |uid: &Uid| {
                line.text.contains("heartbeat") && !line.text.contains(&format!("{uid}/"))
            };
            let wanted = about.is_none_or(|about| match &line.about {
                Some(other) => other == about,
                None => !routine(about),
            });
            if wanted {
                writeln!(text, "{}", line.text).unwrap();
            }
        }
        text
    }
}

pub(super) fn watcher(process: Process) -> String {
    format!("watcher-{}.{}", ["a", "b"][process.slot], process.number)
}

pub(super) fn worker(process: Process) -> String {
    format!("w{}.{}", process.slot, process.number)
}

fn ids(ids: &[AttemptId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(" ")
}

pub(super) fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "succeeded",
        Outcome::Failed { class, .. } if class.may_be_mended() => "failed, retryable",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Interrupted => "interrupted",
    }
}

/// What an event tells, and of which request.
pub(super) fn event(event: &Event) -> (Option<Uid>, String) {
    match event {
        Event::Hello(_, hello) => {
            let (runs, ended) = (ids(&hello.running), ids(&hello.outcomes));
            (None, format!("greets, runs [{runs}], has ended [{ended}]"))
        }
        Event::Heartbeat { seq, held, .. } => {
            (None, format!("heartbeat {seq}, holds [{}]", ids(held)))
        }
        Event::Claim(_, id) => (Some(id.uid.clone()), format!("claims {id}")),
        Event::Progress(_, id, _) => (Some(id.uid.clone()), format!("progress of {id}")),
        Event::Outcome(_, id, how) => (
            Some(id.uid.clone()),
            format!("outcome of {id}: {}", outcome(how)),
        ),
        Event::Observed(seen) => {
            let (uid, version) = (&seen.uid, &seen.resource_version);
            let what = status(seen.status.as_ref());
            (
                Some(uid.clone()),
                format!("sees {uid} version {version}: {what}"),
            )
        }
        Event::Written(uid, result) => {
            let how = match result {
                WriteResult::Ok(version) => format!("is version {version}"),
                WriteResult::Conflict(seen) => format!(
                    "met version {}: {}",
                    seen.resource_version,
                    status(seen.status.as_ref())
                ),
                WriteResult::Gone => "met no such object".into(),
                WriteResult::Retry => "did not work".into(),
            };
            (
                Some(uid.clone()),
                format!("hears that its write of {uid} {how}"),
            )
        }
        Event::Gone { uid, .. } => (Some(uid.clone()), format!("sees that {uid} is gone")),
        Event::ParamsRead(id, _) => (
            Some(id.uid.clone()),
            format!("has read the parameters of {id}"),
        ),
        Event::Unplaced(id) | Event::DeadLettered(id) => {
            (Some(id.uid.clone()), format!("gets the ticket {id} back"))
        }
        Event::Reconfigured(new) => (None, format!("is to pause: {}", new.pause.all)),
        other => (None, format!("{other:?}")),
    }
}

/// What a message tells, and of which request.
pub(super) fn message(message: &ToWorker) -> (Option<Uid>, String) {
    match message {
        ToWorker::Welcome { .. } => (None, "is welcome".into()),
        ToWorker::HeartbeatAck(seq) => (None, format!("heartbeat {seq} is acknowledged")),
        ToWorker::Assignment(a) => (Some(a.id.uid.clone()), format!("is granted {}", a.id)),
        ToWorker::Refusal(id, why) => (Some(id.uid.clone()), format!("is refused {id}: {why}")),
        ToWorker::Cancel(id, why) => (Some(id.uid.clone()), format!("is to stop {id}: {why}")),
        ToWorker::Recorded(id) => (Some(id.uid.clone()), format!("hears that {id} is recorded")),
        ToWorker::Stale(id) => (Some(id.uid.clone()), format!("hears that {id} is stale")),
        ToWorker::Drain => (None, "is to leave".into()),
    }
}

/// A status in one line.
pub(super) fn status(status: Option<&RequestStatus>) -> String {
    let Some(status) = status else {
        return "no status".into();
    };
    let reason = status.conditions.first().map_or("", |c| c.reason.as_str());
    let worker = status.worker.as_deref().unwrap_or("nobody");
    format!(
        "{reason}, {worker} has it, {} failed, {} lost",
        status.failed, status.lost
    )
}
