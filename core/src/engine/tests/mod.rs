//! The engine as a whole: what holds after any events, and in a simulated world full of faults.

mod invariants;
mod limits;
mod pair;
mod sim;
mod stories;
mod traces;
mod trails;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    admit::ServiceLimits,
    api::{RequestSpec, RequestStatus},
    ids::{Address, AttemptId, Holder, SessionId, Source},
    writes::Pace,
};

const URL: &str = "https://shard";
const KIND: &str = "requests.internal.services";
const LEASE: Duration = Duration::from_secs(30);

fn config() -> Config {
    let limits = ServiceLimits {
        timeout: Duration::from_secs(60),
        max_timeout: Duration::from_secs(120),
        ..ServiceLimits::default()
    };
    Config {
        instance: "isc".into(),
        lease: LEASE,
        heartbeat: Duration::from_secs(10),
        window: 3,
        lost_max: 3,
        pace: Pace {
            first_delay: Duration::from_millis(750),
            min_interval: Duration::from_secs(2),
            parallel: 4,
        },
        suspect: Duration::from_secs(300),
        backlog_max: 100,
        catalogue: [("sign".into(), limits)].into(),
        tenants: crate::flow::Tenants::default(),
        pause: crate::flow::Pause::default(),
        claims: false,
        adopts: BTreeSet::new(),
        unknown_service: Duration::ZERO,
        audit: false,
    }
}

fn at(mono: Duration) -> Now {
    let seconds = 1_700_000_000 + i64::try_from(mono.as_secs()).unwrap();
    Now {
        mono,
        wall: jiff::Timestamp::from_second(seconds).unwrap(),
    }
}

fn source() -> Source {
    Source {
        endpoint: URL.into(),
        kind: KIND.into(),
    }
}

fn elsewhere() -> Source {
    Source {
        endpoint: "https://other".into(),
        kind: KIND.into(),
    }
}

fn holder(worker: &str, incarnation: u32) -> Holder {
    Holder {
        worker: worker.into(),
        incarnation: incarnation.to_string().into(),
    }
}

fn attempt(uid: &str, attempt: u32) -> AttemptId {
    AttemptId {
        uid: Uid::new(uid),
        attempt,
    }
}

/// A request as the API shows it.
fn shown(uid: &Uid, version: u64, cancel: bool, status: Option<RequestStatus>) -> Observation {
    let cancel = cancel.then_some(true);
    let spec = RequestSpec {
        service: "sign".into(),
        cancel,
        ..RequestSpec::default()
    };
    Observation {
        uid: uid.clone(),
        address: Address {
            endpoint: URL.into(),
            kind: KIND.into(),
            // Two tenants.
            cluster: (uid.0.len() % 2).to_string().into(),
            namespace: "default".into(),
            name: uid.0.clone(),
        },
        resource_version: version.to_string(),
        generation: Some(1),
        spec: Ok(spec),
        // Every third one has to be read at the claim.
        params: if uid.0.bytes().map(u32::from).sum::<u32>().is_multiple_of(3) {
            Params::Large(10_000)
        } else {
            Params::Inline("{}".into())
        },
        created: None,
        digest: None,
        flow_key: Ok(None),
        selected: true,
        service_known: true,
        trace: None,
        status,
        refusal: None,
        judged: None,
    }
}

/// The watch saw it deleted where all requests live.
fn gone(uid: &Uid) -> Event {
    let (uid, source) = (uid.clone(), source());
    Event::Gone { uid, source }
}

fn hello(holder: &Holder, slots: u32, running: Vec<AttemptId>, outcomes: Vec<AttemptId>) -> Hello {
    let services = vec!["sign".into()];
    Hello {
        holder: holder.clone(),
        services,
        slots,
        running,
        outcomes,
        greeting: 0,
    }
}

/// An engine whose source was listed empty and whose take-over period is over.
fn settled() -> (Engine, Duration) {
    let mut engine = Engine::new(config(), at(Duration::ZERO));
    engine.step(Event::Endpoints(vec![source()]), at(Duration::ZERO));
    engine.step(Event::ListStarted(source()), at(Duration::ZERO));
    engine.step(Event::Listed(source()), at(Duration::ZERO));
    let later = config().own_lease();
    engine.step(Event::Wake, at(later));
    (engine, later)
}

/// What went to a session.
fn sent(effects: &[Effect], to: SessionId) -> Vec<ToWorker> {
    let to_it = |effect: &Effect| match effect {
        Effect::Send(session, message) if *session == to => Some(message.clone()),
        _ => None,
    };
    effects.iter().filter_map(to_it).collect()
}
