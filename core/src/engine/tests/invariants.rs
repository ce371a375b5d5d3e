//! What holds after every step, whatever happened.

use std::collections::HashMap;

use super::*;
use crate::life::{End, Life, State};

/// Checks the engine's books against each other.
pub(super) fn books_agree(engine: &Engine) {
    let mut offered = BTreeSet::new();
    let mut held: BTreeMap<Holder, BTreeSet<Uid>> = BTreeMap::new();
    for (uid, entry) in &engine.entries {
        let Entry::Live(request) = entry else {
            continue;
        };
        life_is_sound(uid, &request.life, engine.config.lost_max);
        if let Some(since) = request.offered_since() {
            offered.insert((since, uid.clone()));
        }
        if let Some(holder) = request.life.holder() {
            held.entry(holder.clone()).or_default().insert(uid.clone());
        }
        is_in_line(engine, uid, request);
        will_be_written(engine, uid, request);
    }
    assert_eq!(engine.offered, offered, "tickets out");
    let mut counts: HashMap<Arc<str>, usize> = HashMap::new();
    for _ in &offered {
        *counts.entry("sign".into()).or_default() += 1;
    }
    assert_eq!(engine.offered_count, counts, "the window");
    let leases = engine.sessions.holders.iter();
    let books: BTreeMap<Holder, BTreeSet<Uid>> = leases
        .map(|(holder, lease)| (holder.clone(), lease.held.clone()))
        .filter(|(_, held)| !held.is_empty())
        .collect();
    assert_eq!(books, held, "who holds what, and has a lease for it");
}

fn is_in_line(engine: &Engine, uid: &Uid, request: &Request) {
    let parked: Vec<&Uid> = engine.endpoints.values().flat_map(|e| &e.parked).collect();
    let lines = usize::from(engine.schedule.contains(uid))
        + engine
            .delayed
            .iter()
            .filter(|(_, delayed)| delayed == uid)
            .count()
        + parked.iter().filter(|parked| **parked == uid).count();
    // One that was forgotten and came back may find its old place still there.
    assert!(lines > 0 || !request.scheduled, "{uid} is in no line");
    let waits = request.life.state == State::Waiting;
    assert!(
        request.scheduled || !waits,
        "{uid} waits in no line: nobody will ever offer it"
    );
}

fn will_be_written(engine: &Engine, uid: &Uid, request: &Request) {
    let pending = match &request.life.state {
        State::Saving { .. } => true,
        State::Done(done) => !done.written,
        _ => false,
    };
    assert!(
        !pending || engine.writes.is_dirty(uid),
        "{uid} will never be durable"
    );
    assert!(
        request.loaded.is_none(),
        "{uid} keeps parameters that nobody asked for"
    );
}

fn life_is_sound(uid: &Uid, life: &Life, lost_max: u32) {
    assert!(
        life.lost <= lost_max + 1,
        "{uid} was lost {} times",
        life.lost
    );
    match &life.state {
        State::Done(done) => {
            let lost_too_often = life.lost > lost_max;
            let failed = matches!(done.end, End::Failed { .. } | End::Foreign);
            assert!(
                failed || !lost_too_often,
                "{uid} passed its budget and did not fail"
            );
        }
        State::Recovering
        | State::Saving { .. }
        | State::Waiting
        | State::Backoff { .. }
        | State::Behind { .. } => {
            assert_eq!(life.attempt(), life.failed + life.lost + 1, "{uid}");
        }
        State::Offered { .. } | State::Reserved { .. } => {
            assert!(
                life.worker.is_none(),
                "{uid} names a worker that does not have it"
            );
            assert!(life.stop.is_none(), "{uid} is cancelled and on offer");
        }
        State::Running { by } | State::Stopping { by, .. } => {
            assert_eq!(life.worker.as_ref(), Some(&by.worker), "{uid}");
        }
    }
}

/// What no event may do to a life.
pub(super) fn lives_on(before: &Life, after: &Life, event: &Event) {
    assert!(
        after.attempt() >= before.attempt(),
        "{event:?}: {before:?} -> {after:?}"
    );
    assert!(
        after.stop >= before.stop,
        "{event:?}: {before:?} -> {after:?}"
    );
    if let State::Done(done) = &before.state {
        let State::Done(now) = &after.state else {
            panic!("{event:?} woke the dead: {before:?} -> {after:?}");
        };
        assert!(
            now.end == done.end || now.end == End::Foreign,
            "{event:?}: {done:?} -> {now:?}"
        );
    }
    if let (Event::Outcome(..) | Event::Progress(..), State::Waiting | State::Offered { .. }) =
        (event, &before.state)
    {
        assert_eq!(before, after, "nobody holds it, but {event:?} changed it");
    }
}
