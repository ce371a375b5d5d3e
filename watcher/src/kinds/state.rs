//! What recovery needs of a status, kept in a condition of its own: a kind's schema may prune every field that
//! it does not know, but conditions have the same shape everywhere.

use isc_core::{
    api::{Condition, Phase, RequestSpec, RequestStatus},
    engine::Write,
    status::{FINISHED, SUCCEEDED, is_undecided},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of that condition.
pub(super) const STATE: &str = "ISCState";
/// Its reason.
const REASON: &str = "State";
/// The longest state, bytes. Kubernetes allows a condition's message 32 KiB.
pub(super) const STATE_MAX: usize = 16 * 1024;

/// What a status told.
#[derive(Debug)]
pub(super) struct Told {
    /// As core wrote it, but for what is too large to be kept twice.
    pub(super) status: RequestStatus,
    /// What was decided when the request was accepted, if it was.
    pub(super) decided: Option<Decided>,
}

/// What an accepted request asks for, whatever its object says later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decided {
    service: String,
    key: Option<String>,
}

/// The message of the condition.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    /// Without result, artifacts and conditions.
    #[serde(flatten)]
    status: RequestStatus,
    /// Of the first condition: a kind may show another one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    service: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
}

/// The condition for what is to be written.
pub(super) fn condition(write: &Write) -> Condition {
    let first = write.status.conditions.first();
    Condition {
        kind: STATE.into(),
        status: "True".into(),
        reason: REASON.into(),
        message: State::of(write).text(),
        last_transition_time: first.and_then(|first| first.last_transition_time),
        observed_generation: first.and_then(|first| first.observed_generation),
    }
}

/// What the condition among a status's conditions tells; none when there is no readable one.
pub(super) fn told(status: &Value) -> Option<Told> {
    let conditions = status["conditions"].as_array()?;
    let text = |condition: &Value| Some(condition["message"].as_str()?.to_owned());
    let kept = conditions.iter().find(|c| c["type"] == STATE);
    let state: State = serde_json::from_str(&text(kept?)?).ok()?;
    let message = conditions
        .iter()
        .find(|c| c["type"] == SUCCEEDED)
        .and_then(text);
    Some(state.told(message.unwrap_or_default()))
}

// === impl State ===

impl State {
    fn of(write: &Write) -> Self {
        let first = write.status.conditions.first();
        Self {
            reason: first.map(|first| first.reason.clone()).unwrap_or_default(),
            status: RequestStatus {
                conditions: vec![],
                result: None,
                artifacts: vec![],
                ..write.status.clone()
            },
            service: write.service.to_string(),
            idempotency_key: write.idempotency_key.as_deref().map(str::to_owned),
        }
    }

    /// Where it is too long, what only people read goes first.
    fn text(mut self) -> String {
        let shorter: [fn(&mut RequestStatus); 4] = [
            |status| {
                status
                    .previous_attempts
                    .iter_mut()
                    .for_each(|past| past.message.clear());
            },
            |status| {
                status
                    .progress
                    .iter_mut()
                    .for_each(|progress| progress.message.clear());
            },
            |status| status.previous_attempts.clear(),
            |status| status.executor = None,
        ];
        for shorten in shorter {
            let text = self.json();
            if text.len() <= STATE_MAX {
                return text;
            }
            shorten(&mut self.status);
        }
        self.json()
    }

    fn json(&self) -> String {
        serde_json::to_string(self).expect("a status is JSON")
    }

    fn told(self, message: String) -> Told {
        let mut status = self.status;
        let decided = Decided {
            service: self.service,
            key: self.idempotency_key,
        };
        status.conditions = conditions(&status, self.reason, message);
        let accepted = status.phase.is_some_and(|phase| phase != Phase::Rejected);
        let accepted = accepted && !is_undecided(&status);
        Told {
            status,
            decided: Some(decided).filter(|decided| accepted && !decided.service.is_empty()),
        }
    }
}

/// As core writes them.
fn conditions(status: &RequestStatus, reason: String, message: String) -> Vec<Condition> {
    let Some(phase) = status.phase else {
        return vec![];
    };
    let condition = |kind: &str, word: &str, reason: String, message: String| Condition {
        kind: kind.into(),
        status: word.into(),
        reason,
        message,
        last_transition_time: status.completion_time.or(status.queued_time),
        observed_generation: status.observed_generation,
    };
    let word = match phase {
        Phase::Queued | Phase::Running | Phase::Cancelling => "Unknown",
        Phase::Succeeded => "True",
        Phase::Failed | Phase::Rejected | Phase::Cancelled => "False",
    };
    let mut conditions = vec![condition(SUCCEEDED, word, reason.clone(), message)];
    if status.completion_time.is_some() {
        conditions.push(condition(FINISHED, "True", reason, String::new()));
    }
    conditions
}

// === impl Decided ===

impl Decided {
    /// What the request asks for: what its object says, but for what was decided. An object that says nothing
    /// that can be read any more still asks for that.
    pub(super) fn over(&self, spec: Result<RequestSpec, String>) -> RequestSpec {
        RequestSpec {
            service: self.service.clone(),
            idempotency_key: self.key.clone(),
            ..spec.unwrap_or_default()
        }
    }
}
