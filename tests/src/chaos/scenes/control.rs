//! How long kcp itself takes meanwhile: a client of its own, next to the system that is measured.

use std::{cell::RefCell, time::Duration};

use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{LIMIT, make};
use crate::{Team, wait};

/// No worker has it, so nobody touches the request but the control.
const SERVICE: &str = "nobody-has-it";
/// Between two calls.
const PAUSE: Duration = Duration::from_millis(100);

/// One call of the control.
#[derive(Clone, Copy, Debug)]
struct Call {
    begun: Timestamp,
    ended: Timestamp,
}

/// What kcp needed for bare writes to a request of a certain size.
#[derive(Debug, Default)]
pub(super) struct Control {
    calls: RefCell<Vec<Call>>,
}

// === impl Control ===

impl Control {
    /// Writes to a request with that spec again and again, one call after the other, without end. What kcp
    /// refuses is tried again, and counts as one long call.
    pub(super) async fn run(&self, team: &Team, spec: &Value) -> Result<()> {
        make(team, "control", SERVICE, spec).await?;
        let api = team.requests("default");
        for number in 0_u64.. {
            let mark = json!({"metadata": {"annotations": {"control": number.to_string()}}});
            let begun = Timestamp::now();
            wait::until("the control writes", LIMIT, async || {
                let (params, patch) = (PatchParams::default(), Patch::Merge(&mark));
                api.patch("control", &params, &patch).await?;
                Ok(())
            })
            .await?;
            let ended = Timestamp::now();
            self.calls.borrow_mut().push(Call { begun, ended });
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The longest call that was under way between these times, seconds.
    pub(super) fn longest(&self, from: Timestamp, to: Timestamp) -> f64 {
        let calls = self.calls.borrow();
        let meanwhile = calls.iter().filter(|c| c.begun <= to && c.ended >= from);
        let took = meanwhile.map(|call| call.ended.duration_since(call.begun).as_secs_f64());
        took.fold(0.0, f64::max)
    }

    /// How many calls it made, and their median and longest time, seconds.
    pub(super) fn told(&self) -> (usize, f64, f64) {
        let calls = self.calls.borrow();
        let took = |call: &Call| call.ended.duration_since(call.begun).as_secs_f64();
        let mut all: Vec<f64> = calls.iter().map(took).collect();
        all.sort_by(f64::total_cmp);
        let median = all.get(all.len() / 2).copied().unwrap_or_default();
        (all.len(), median, all.last().copied().unwrap_or_default())
    }
}
