//! What holds after every step, whatever happened.

mod keys;

use super::*;
use crate::life::{End, Life, State};

/// Checks the engine's books against each other.
pub(super) fn books_agree(engine: &Engine) {
    let mut offered = BTreeSet::new();
    let mut held: BTreeMap<Holder, BTreeSet<Uid>> = BTreeMap::new();
    let mut clocks = BTreeSet::new();
    for (uid, entry) in &engine.entries {
        let Entry::Live(request) = entry else {
            continue;
        };
        let retries = request.policy(uid, &engine.config, false).retries;
        life_is_sound(uid, &request.life, engine.config.lost_max, retries);
        let clock = request.clock_at();
        clocks.extend(clock.map(|at| (at, uid.clone())));
        wakes_once(engine, uid, request);
        if let Some(since) = request.offered_since() {
            offered.insert((since, uid.clone()));
        }
        if let Some(holder) = request.life.holder() {
            held.entry(holder.clone()).or_default().insert(uid.clone());
        }
        is_in_line(engine, uid, request);
        will_be_written(engine, uid, request);
    }
    keys::keys_agree(engine);
    assert_eq!(engine.offered, offered, "tickets out");
    assert_eq!(engine.clocks.all(), &clocks, "clocks that run");
    deletions_agree(engine);
    engine.schedule.audit();
    let leases = engine.sessions.holders.iter();
    let books: BTreeMap<Holder, BTreeSet<Uid>> = leases
        .map(|(holder, lease)| (holder.clone(), lease.held.clone()))
        .filter(|(_, held)| !held.is_empty())
        .collect();
    assert_eq!(books, held, "who holds what, and has a lease for it");
}

/// Its place in the schedule is what its state calls for.
fn is_in_line(engine: &Engine, uid: &Uid, request: &Request) {
    let (schedule, state) = (&engine.schedule, &request.life.state);
    assert!(
        *state == State::Waiting || !schedule.is_in_line(uid),
        "{uid} is in line and does not wait"
    );
    let offered = matches!(state, State::Offered { .. });
    assert_eq!(schedule.is_offered(uid), offered, "{uid}");
    let held = request.life.holder().is_some()
        || (*state == State::Recovering && request.life.worker.is_some());
    assert_eq!(schedule.is_held(uid), held, "{uid}");
}

/// One of the lines has it.
fn will_be_in_line(engine: &Engine, uid: &Uid) -> bool {
    let parked = engine.sources.values().flat_map(|lists| &lists.parked);
    let delayed = engine.delayed.iter().map(|(_, delayed)| delayed);
    engine.schedule.is_in_line(uid) || delayed.chain(parked).any(|other| other == uid)
}

/// What makes it go on, when nobody says anything: exactly one thing, besides a deadline.
fn wakes_once(engine: &Engine, uid: &Uid, request: &Request) {
    let taken_over = engine.is_recovered(&request.address.source());
    let lease = |by: &Holder| {
        let leases = &engine.sessions.holders;
        leases.get(by).is_some_and(|lease| lease.held.contains(uid))
    };
    let held = request.life.holder().is_some_and(lease);
    let offered = request.offered_since();
    let ways = [
        (
            "the end of the take-over",
            request.life.state == State::Recovering && !taken_over,
        ),
        (
            "the end of a run that nobody knows",
            request.life.state == State::Recovering
                && taken_over
                && engine.keyed.is_open(uid)
                && engine.keyed.unsettled,
        ),
        (
            "its service",
            request
                .waits_until()
                .is_some_and(|until| request.clock.is_some_and(|at| at <= until)),
        ),
        (
            "its turn",
            request.life.state == State::Waiting && will_be_in_line(engine, uid),
        ),
        (
            "its ticket",
            offered.is_some_and(|since| engine.offered.contains(&(since, uid.clone()))),
        ),
        ("a lease", held),
        (
            "a write",
            is_pending(request) && engine.writes.is_dirty(uid),
        ),
        (
            "its pause",
            matches!(request.life.state, State::Backoff { until } if request.clock.is_some_and(|at| at <= until)),
        ),
        (
            "another request",
            matches!(request.life.state, State::Behind { .. }),
        ),
    ];
    let ways: Vec<&str> = ways
        .iter()
        .filter(|(_, is)| *is)
        .map(|(way, _)| *way)
        .collect();
    let durable = matches!(&request.life.state, State::Done(done) if done.written);
    let wanted = usize::from(!durable);
    assert_eq!(
        ways.len(),
        wanted,
        "{uid} in {:?}: {ways:?}",
        request.life.state
    );
}

/// Whether something waits for its write.
fn is_pending(request: &Request) -> bool {
    match &request.life.state {
        State::Saving { .. } => true,
        State::Done(done) => !done.written,
        _ => false,
    }
}

/// Each ended request with a time to live is deleted once.
fn deletions_agree(engine: &Engine) {
    let mut due = 0;
    for (uid, entry) in &engine.entries {
        if let Entry::Finished(finished) = entry
            && let Some(at) = finished.expires_at()
        {
            assert!(engine.expiry.awaits(uid, at), "{uid} will never be deleted");
            due += 1;
        }
    }
    assert!(engine.expiry.len() <= due, "more to delete than there is");
}

fn will_be_written(engine: &Engine, uid: &Uid, request: &Request) {
    assert!(
        !is_pending(request) || engine.writes.is_dirty(uid),
        "{uid} will never be durable"
    );
    assert!(
        request.loaded.is_none(),
        "{uid} keeps parameters that nobody asked for"
    );
}

fn life_is_sound(uid: &Uid, life: &Life, lost_max: u32, retries: u32) {
    assert!(
        life.failed <= retries + 1,
        "{uid} failed {} times",
        life.failed
    );
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
        after.failed >= before.failed && after.lost >= before.lost,
        "{event:?}: {before:?} -> {after:?}"
    );
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
