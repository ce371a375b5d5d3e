//! Requests that share an idempotency key.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;

use super::{CANCELLED, Draw, SUCCEEDED, Script, Work, end, expect};
use crate::chaos::{
    mix::Kind,
    plan::{Act, Fate, Step},
};

// === impl Draw ===

impl Draw<'_> {
    /// Three requests with one key, and perhaps something that befalls the first.
    pub(super) fn attached(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        params.millis = self.rng.random_range(200..6_000);
        let work = Work {
            service: self.service(kind),
            params,
            spec: json!({"idempotencyKey": format!("key-{}", self.number)}),
            expect: expect(&[SUCCEEDED]),
        };
        let mut asks = ["a", "b", "c"].map(|suffix| self.ask(kind, suffix, work.clone()));
        let mut steps = vec![
            Step::new(self.at, 0, Act::Create),
            Step::new(self.at + self.pause(0..3_000), 1, Act::Create),
        ];
        let last = steps[1].at;
        match kind {
            Kind::AttachCancelled => {
                asks[0].expect.ends.push(CANCELLED);
                steps.push(Step::new(last + self.pause(0..3_000), 0, Act::Cancel));
            }
            Kind::AttachDeleted => {
                asks[0].expect.fate = Fate::Deleted;
                steps.push(Step::new(last + self.pause(0..3_000), 0, Act::Delete));
            }
            _ => {}
        }
        steps.push(Step::new(last + self.pause(0..9_000), 2, Act::Create));
        (asks.into(), steps)
    }

    /// A request, and a later one with the same key that does not go with it.
    pub(super) fn conflicting(&mut self, kind: Kind) -> Script {
        let mut params = self.quick();
        params.millis = self.rng.random_range(200..15_000);
        let mut first = Work {
            service: self.service(kind),
            params,
            spec: json!({"idempotencyKey": format!("key-{}", self.number)}),
            expect: expect(&[SUCCEEDED]),
        };
        let mut second = first.clone();
        second.expect.idle = kind != Kind::Replace;
        match kind {
            Kind::Replace => {
                let replaced = end("Cancelled", "Replaced", None);
                first.expect.ends.push(replaced);
                second.spec["onConflict"] = "Replace".into();
            }
            Kind::Reject => {
                second.spec["onConflict"] = "Reject".into();
                second.expect.ends = vec![end("Rejected", "KeyInUse", Some(0))];
            }
            _ => {
                second.params.ballast = "other".into();
                second.expect.ends = vec![end("Rejected", "KeyReused", Some(0))];
            }
        }
        // Who is first is decided by the whole second in which a request was made.
        let later = self.at + Duration::from_millis(1_100) + self.pause(0..4_000);
        let steps = vec![
            Step::new(self.at, 0, Act::Create),
            Step::new(later, 1, Act::Create),
        ];
        let asks = vec![self.ask(kind, "a", first), self.ask(kind, "b", second)];
        (asks, steps)
    }
}
