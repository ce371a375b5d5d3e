//! What the schedule promises, by story and by property.

mod audit;
mod counts;
mod express;
mod keys;
mod model;
mod pair;
mod props;
mod stories;

use super::*;
use crate::flow::Rate;

fn ask(service: &str, tenant: &str) -> Ask {
    Ask {
        service: service.into(),
        tenant: tenant.into(),
        priority: Priority::Normal,
        key: None,
        bytes: 10,
    }
}

fn uid(text: impl std::fmt::Display) -> Uid {
    Uid::new(&format!("{text}"))
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A schedule with one service `sign`.
fn with(flow: Flow) -> Schedule {
    let mut schedule = Schedule::default();
    allow(&mut schedule, flow, Tenants::default(), Pause::default());
    schedule
}

fn allow(schedule: &mut Schedule, flow: Flow, tenants: Tenants, pause: Pause) {
    schedule.configure([("sign".into(), flow)], tenants, pause, Duration::ZERO);
}

impl Schedule {
    fn add(&mut self, name: impl std::fmt::Display, tenant: &str, priority: Priority) {
        let ask = Ask {
            priority,
            ..ask("sign", tenant)
        };
        self.push(&uid(name), &ask);
    }

    /// Everything that `sign` gives now.
    fn all(&mut self) -> Vec<String> {
        let next = || self.pop("sign", Duration::ZERO);
        std::iter::from_fn(next)
            .take(60_000)
            .map(|uid| uid.to_string())
            .collect()
    }
}
