//! What each kind of request asks for, what is done to it, and how it may end.

mod keyed;

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    job::{Params, RETRYABLE},
    mix::Kind,
    plan::{Act, Ask, End, Expect, Family, Fate, Step},
};

/// The services that workers have; and one that none has.
pub const SERVICES: [&str; 2] = ["alpha", "beta"];
/// The watcher knows it, no worker has it.
pub const UNWANTED: &str = "gamma";
/// It runs one at a time of those that name the same lane.
pub const LANES: &str = "delta";
/// The largest result of these services, bytes.
pub const RESULT_MAX_BYTES: usize = 4096;

const SUCCEEDED: End = end("Succeeded", "Succeeded", None);
const CANCELLED: End = end("Cancelled", "Cancelled", None);
/// Few enough to be in each other's way.
const LANES_IN_ALL: u32 = 8;
/// Longer than any run: such a job ends only by being stopped.
const FOR_EVER: u64 = 3_600_000;

/// What a family is made from.
#[derive(Debug)]
pub struct Draw<'a> {
    /// Unique in the plan.
    pub number: usize,
    /// When it begins.
    pub at: Duration,
    /// Failures may ask for another try.
    pub retries: bool,
    /// Chance.
    pub rng: &'a mut StdRng,
}

const fn end(phase: &'static str, reason: &'static str, failed: Option<u32>) -> End {
    End {
        phase,
        reason,
        failed,
    }
}

fn failed(reason: &'static str, failed: u32) -> End {
    end("Failed", reason, Some(failed))
}

/// The requests of a kind.
#[must_use]
pub fn family(kind: Kind, workspace: usize, mut draw: Draw) -> Family {
    let (asks, steps) = match kind {
        Kind::Short | Kind::Long | Kind::Bulky | Kind::High | Kind::Low | Kind::Lane => {
            draw.working(kind)
        }
        Kind::Failing | Kind::Oversized | Kind::Unknown | Kind::Timeout => draw.failing(kind),
        Kind::Stillborn | Kind::Cancelled | Kind::Stubborn | Kind::Deleted => draw.stopped(kind),
        Kind::Flaky | Kind::Hopeless | Kind::Killed => draw.retried(kind),
        Kind::Unwanted | Kind::Impatient | Kind::Deadline | Kind::Brief => draw.timed(kind),
        Kind::Attach | Kind::AttachCancelled | Kind::AttachDeleted => draw.attached(kind),
        Kind::Replace | Kind::Reject | Kind::KeyReused => draw.conflicting(kind),
    };
    Family {
        workspace,
        kind,
        asks,
        steps,
    }
}

type Script = (Vec<Ask>, Vec<Step>);

/// What one request asks for.
#[derive(Clone)]
struct Work {
    service: &'static str,
    params: Params,
    spec: Value,
    expect: Expect,
}

// === impl Draw ===

impl Draw<'_> {
    fn working(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        let mut spec = json!({});
        match kind {
            Kind::Long => {
                params.millis = self.rng.random_range(2_000..12_000);
                params.progress = true;
            }
            Kind::Bulky => params.ballast = "b".repeat(self.rng.random_range(5_000..40_000)),
            Kind::Lane => {
                params.millis = self.rng.random_range(200..3_000);
                params.lane = format!("lane-{}", self.rng.random_range(0..LANES_IN_ALL));
            }
            Kind::High => spec["priority"] = "High".into(),
            Kind::Low => spec["priority"] = "Low".into(),
            _ => {}
        }
        self.alone(kind, params, spec, expect(&[SUCCEEDED]))
    }

    fn failing(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        let mut spec = json!({});
        let retries = self.retries(0..2);
        let expected = match kind {
            Kind::Failing => {
                params.code = self.rng.random_range(1..RETRYABLE);
                spec["retries"] = retries.into();
                failed("JobFailed", 1)
            }
            Kind::Oversized => {
                params.result_bytes = RESULT_MAX_BYTES + self.rng.random_range(0..40_000);
                failed("ResultTooLarge", 1)
            }
            Kind::Unknown => end("Rejected", "UnknownService", Some(0)),
            _ => {
                params.millis = FOR_EVER;
                spec["timeoutSeconds"] = self.rng.random_range(1..4).into();
                spec["retries"] = retries.into();
                failed("TimedOut", 1 + retries)
            }
        };
        let mut expect = expect(&[expected]);
        expect.retries = retries;
        expect.idle = kind == Kind::Unknown;
        self.alone(kind, params, spec, expect)
    }

    fn stopped(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        params.millis = self.rng.random_range(100..15_000);
        let (mut spec, act) = (
            json!({}),
            if kind == Kind::Deleted {
                Act::Delete
            } else {
                Act::Cancel
            },
        );
        let mut expect = expect(&[SUCCEEDED, CANCELLED]);
        match kind {
            Kind::Stillborn => {
                spec["cancel"] = true.into();
                expect.ends = vec![CANCELLED];
                expect.idle = true;
            }
            Kind::Cancelled if self.rng.random_bool(0.5) => {
                params.millis = FOR_EVER;
                expect.ends = vec![CANCELLED];
            }
            Kind::Stubborn => {
                params.millis = FOR_EVER;
                params.stubborn = true;
                expect.ends = vec![CANCELLED];
            }
            Kind::Deleted => expect.fate = Fate::Deleted,
            _ => {}
        }
        let later = self.at + self.pause(0..15_000);
        let (asks, mut steps) = self.alone(kind, params, spec, expect);
        if kind != Kind::Stillborn {
            steps.push(Step::new(later, 0, act));
        }
        (asks, steps)
    }

    fn retried(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        let retries = self.rng.random_range(1..4);
        let expected = match kind {
            Kind::Flaky => {
                params.failures = self.rng.random_range(1..=retries);
                end("Succeeded", "Succeeded", Some(params.failures))
            }
            Kind::Hopeless => {
                params.code = RETRYABLE;
                failed("JobFailed", retries + 1)
            }
            _ => {
                params.dies = true;
                failed("JobKilled", retries + 1)
            }
        };
        let mut expect = expect(&[expected]);
        expect.retries = retries;
        self.alone(kind, params, json!({"retries": retries}), expect)
    }

    fn timed(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        let mut expected = expect(&[SUCCEEDED]);
        let seconds = self.rng.random_range(2..8);
        let field = match kind {
            Kind::Unwanted => {
                expected = expect(&[end("Failed", "QueueTimeout", Some(0))]);
                expected.idle = true;
                "queueTimeoutSeconds"
            }
            Kind::Impatient => {
                expected.ends.push(end("Failed", "QueueTimeout", Some(0)));
                "queueTimeoutSeconds"
            }
            Kind::Deadline => {
                params.millis = FOR_EVER;
                expected = expect(&[end("Failed", "DeadlineExceeded", None)]);
                "deadlineSeconds"
            }
            _ => {
                expected.fate = Fate::Expires;
                "ttlSecondsAfterFinished"
            }
        };
        self.alone(kind, params, json!({field: seconds}), expected)
    }

    fn alone(&mut self, kind: Kind, params: Params, spec: Value, expect: Expect) -> Script {
        let work = Work {
            service: self.service(kind),
            params,
            spec,
            expect,
        };
        let ask = self.ask(kind, "a", work);
        (vec![ask], vec![Step::new(self.at, 0, Act::Create)])
    }

    fn ask(&self, kind: Kind, suffix: &str, work: Work) -> Ask {
        let Work {
            service,
            params,
            mut spec,
            expect,
        } = work;
        spec["params"] = json!(params);
        Ask {
            name: format!("{}-{}-{suffix}", kind.name(), self.number),
            service,
            spec,
            expect,
        }
    }

    fn service(&mut self, kind: Kind) -> &'static str {
        match kind {
            Kind::Unknown => "omega",
            Kind::Unwanted => UNWANTED,
            Kind::Lane => LANES,
            _ => SERVICES[self.rng.random_range(0..SERVICES.len())],
        }
    }

    fn quick(&mut self) -> Params {
        Params {
            millis: self.rng.random_range(5..150),
            ..Params::default()
        }
    }

    fn retries(&mut self, range: std::ops::Range<u32>) -> u32 {
        let drawn = self.rng.random_range(range);
        if self.retries { drawn } else { 0 }
    }

    fn pause(&mut self, millis: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(millis))
    }
}

fn expect(ends: &[End]) -> Expect {
    Expect {
        ends: ends.to_vec(),
        ..Expect::default()
    }
}
