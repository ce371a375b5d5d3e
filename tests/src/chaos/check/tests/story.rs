//! A run that went well, to plant violations into.

use serde_json::json;

use crate::chaos::check::*;
use crate::chaos::{
    ledger::{Event, Run},
    plan::{End, Expect, Fate},
};

/// A run that went well: one family, all that is known of it, and nothing left behind.
pub(super) struct Story {
    pub(super) plan: Plan,
    pub(super) made: Vec<Made>,
    pub(super) seen: HashMap<String, Sight>,
    pub(super) present: HashMap<String, Value>,
    pub(super) ledger: Vec<Line>,
    pub(super) faults: Vec<Happened>,
    pub(super) queues: Vec<(String, u64)>,
    pub(super) leaks: Vec<String>,
    pub(super) crashes: Vec<String>,
}

pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn end(phase: &'static str, reason: &'static str, failed: Option<u32>) -> End {
    End {
        phase,
        reason,
        failed,
    }
}

pub(super) fn status(phase: &str, reason: &str, more: &Value) -> Value {
    let mut status = json!({"phase": phase, "attempt": 1, "conditions": [
        {"type": "Succeeded", "status": "True", "reason": reason},
        {"type": "Finished", "status": "True", "reason": reason},
    ]});
    for (key, value) in more.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    status
}

pub(super) fn success(uid: &str) -> Value {
    let result = json!({"result": {"uid": uid, "attempt": 1}});
    status("Succeeded", "Succeeded", &result)
}

pub(super) fn line(uid: &str, attempt: u32, at: u64, event: Event) -> Line {
    let run = Run {
        uid: uid.into(),
        attempt,
        worker: "worker-1".into(),
        pid: 1,
    };
    Line { run, at, event }
}

pub(super) fn fault(target: &str, at: f64) -> Happened {
    Happened {
        at,
        until: Some(at + 1.0),
        target: target.into(),
        harm: "kill -9".into(),
        note: String::new(),
    }
}

// === impl Story ===

impl Story {
    /// Requests `a`, `b`... of one family with uids `ua`, `ub`..., each with what is expected of it; all
    /// succeeded in one run each.
    pub(super) fn new(kind: Kind, expected: &[Expect]) -> Self {
        let mut story = Self {
            plan: Plan { families: vec![] },
            made: vec![],
            seen: HashMap::new(),
            present: HashMap::new(),
            ledger: vec![],
            faults: vec![],
            queues: vec![("isc.requests.alpha".into(), 0)],
            leaks: vec![],
            crashes: vec![],
        };
        let mut asks = vec![];
        for (name, expect) in ["a", "b", "c"].iter().zip(expected) {
            let uid = format!("u{name}");
            asks.push(Ask {
                name: (*name).into(),
                service: "alpha",
                spec: json!({}),
                expect: expect.clone(),
            });
            story.made.push(Made {
                workspace: 0,
                name: (*name).into(),
                uid: Some(uid.clone()),
            });
            let events = [(SECOND, Event::Start), (2 * SECOND, Event::End { code: 0 })];
            let lines = events.map(|(at, event)| line(&uid, 1, at, event));
            story.ledger.extend(lines);
            story.ends(&uid, success(&uid));
        }
        story.plan.families = vec![Family {
            workspace: 0,
            kind,
            asks,
            steps: vec![],
        }];
        story
    }

    pub(super) fn one(expect: Expect) -> Self {
        Self::new(Kind::Short, &[expect])
    }

    pub(super) fn ends(&mut self, uid: &str, status: Value) {
        let sight = Sight {
            status: status.clone(),
            ..Sight::default()
        };
        self.seen.insert(uid.into(), sight);
        self.present.insert(uid.into(), status);
    }

    pub(super) fn gone(&mut self, uid: &str) {
        self.present.remove(uid);
    }

    pub(super) fn runs(&mut self, uid: &str, attempt: u32) {
        self.ledger
            .push(line(uid, attempt, 3 * SECOND, Event::Start));
    }

    pub(super) fn found(&self) -> Vec<Rule> {
        let evidence = Evidence {
            plan: &self.plan,
            made: &self.made,
            seen: &self.seen,
            present: &self.present,
            ledger: &self.ledger,
            faults: &self.faults,
            start: 0,
            lost_max: 3,
            queues: &self.queues,
            leaks: &self.leaks,
            crashes: &self.crashes,
        };
        check(&evidence).into_iter().map(|v| v.rule).collect()
    }
}

pub(super) fn succeeds() -> Expect {
    Expect {
        ends: vec![end("Succeeded", "Succeeded", None)],
        ..Expect::default()
    }
}

pub(super) fn fails(retries: u32) -> Expect {
    Expect {
        ends: vec![end("Failed", "JobFailed", Some(retries + 1))],
        retries,
        ..Expect::default()
    }
}

pub(super) fn fate(fate: Fate) -> Expect {
    Expect { fate, ..succeeds() }
}

pub(super) fn failed(failed: u32, lost: u32) -> Value {
    let counts = json!({"failed": failed, "lost": lost, "attempt": failed + lost});
    status("Failed", "JobFailed", &counts)
}
