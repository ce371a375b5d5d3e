//! Every row of the table in the parent module, and the rules around it.

mod ends;
mod lease;

use super::*;
use crate::ids::Uid;

type W = Worker<&'static str>;
type E = Effect<&'static str, &'static str>;
type V = Event<&'static str, &'static str>;

const LEASE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_secs(10);
const HOLD: Duration = Duration::from_secs(20);
const PROGRESS: Duration = Duration::from_millis(500);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id(uid: &str) -> AttemptId {
    AttemptId {
        uid: Uid::new(uid),
        attempt: 1,
    }
}

fn policy(slots: u32) -> Policy {
    Policy {
        slots,
        hold: HOLD,
        progress_interval: PROGRESS,
    }
}

fn welcome() -> V {
    Event::Welcome(Welcome {
        lease: LEASE,
        heartbeat: BEAT,
        stop: vec![],
    })
}

fn ticket(no: u64, uid: &str) -> V {
    Event::Ticket {
        ticket: TicketNo(no),
        id: id(uid),
        service: "sign".into(),
    }
}

fn assigned(uid: &str) -> V {
    Event::Assigned {
        id: id(uid),
        assignment: "work",
    }
}

fn done(uid: &str) -> V {
    Event::JobEnded {
        id: id(uid),
        end: End::Done("ok"),
    }
}

fn stopped(uid: &str) -> V {
    Event::JobEnded {
        id: id(uid),
        end: End::Stopped,
    }
}

/// Steps that must be taken in, at one moment; the effects of the last one.
fn all(worker: &mut W, now: Duration, events: impl IntoIterator<Item = V>) -> Vec<E> {
    let mut effects = vec![];
    for event in events {
        let step = worker.step(event.clone(), now);
        assert_eq!(step.ignored, None, "{event:?}");
        effects = step.effects;
    }
    effects
}

/// A worker that was welcomed at 0.
fn live(slots: u32) -> W {
    let mut worker = W::new(policy(slots));
    all(&mut worker, s(0), [Event::Opening, welcome()]);
    worker
}

/// A worker of two slots with one job, all at 0.
fn running() -> W {
    let mut worker = live(2);
    let effects = all(&mut worker, s(0), [ticket(1, "a"), assigned("a")]);
    assert!(matches!(effects[..], [Effect::Start { .. }]), "{effects:?}");
    worker
}

fn settle(no: u64, how: Settlement) -> E {
    Effect::Settle {
        ticket: TicketNo(no),
        how,
    }
}

fn outcome(uid: &str, outcome: Outcome<&'static str>) -> E {
    Effect::Send(Message::Outcome {
        id: id(uid),
        outcome,
    })
}

fn hello(greeting: u64, running: &[&str], outcomes: &[&str]) -> E {
    Effect::Send(Message::Hello {
        running: running.iter().map(|uid| id(uid)).collect(),
        outcomes: outcomes.iter().map(|uid| id(uid)).collect(),
        greeting,
    })
}

#[test]
fn nothing_is_consumed_before_the_welcome() {
    let mut worker = W::new(policy(2));
    assert_eq!(
        all(&mut worker, s(0), [ticket(1, "a")]),
        [settle(1, Settlement::Return)]
    );
    assert_eq!(
        all(&mut worker, s(0), [Event::Opening]),
        [hello(1, &[], &[])]
    );
    assert_eq!(
        all(&mut worker, s(0), [welcome()]),
        [Effect::Intake { free: 2 }]
    );
}

#[test]
fn a_ticket_becomes_a_claim_and_takes_a_slot() {
    let mut worker = live(1);
    assert_eq!(
        all(&mut worker, s(0), [ticket(1, "a")]),
        [
            Effect::Intake { free: 0 },
            Effect::Send(Message::Claim {
                id: id("a"),
                service: "sign".into()
            })
        ]
    );
    assert_eq!(
        all(&mut worker, s(0), [ticket(2, "b")]),
        [settle(2, Settlement::Return)],
        "without a free slot nothing is kept"
    );
}

#[test]
fn a_refused_claim_is_acknowledged_and_frees_its_slot() {
    let mut worker = live(1);
    all(&mut worker, s(0), [ticket(1, "a")]);
    assert_eq!(
        all(&mut worker, s(0), [Event::Refused { id: id("a") }]),
        [settle(1, Settlement::Done), Effect::Intake { free: 1 }]
    );
}

#[test]
fn a_copy_of_what_it_holds_is_acknowledged_and_the_run_goes_on() {
    let mut worker = running();
    assert_eq!(
        all(&mut worker, s(0), [ticket(2, "a")]),
        [settle(2, Settlement::Done)]
    );
    assert_eq!(
        all(&mut worker, s(0), [done("a")]),
        [outcome("a", Outcome::Done("ok"))]
    );
}

#[test]
fn the_slot_is_free_only_after_recorded_or_stale() {
    for answer in [
        Event::Recorded { id: id("a") },
        Event::Stale { id: id("a") },
    ] {
        let mut worker = running();
        assert_eq!(
            all(&mut worker, s(1), [done("a")]),
            [outcome("a", Outcome::Done("ok"))]
        );
        assert_eq!(worker.free(), 1);
        assert_eq!(
            all(&mut worker, s(1), [answer]),
            [settle(1, Settlement::Done), Effect::Intake { free: 2 }]
        );
    }
}

#[test]
fn a_ticket_is_not_held_for_the_length_of_a_long_job() {
    let mut worker = running();
    all(
        &mut worker,
        s(10),
        [Event::Tick, Event::HeartbeatAck { seq: 1 }],
    );
    assert_eq!(worker.wake_up(), Some(HOLD));
    let effects = all(&mut worker, HOLD, [Event::Tick]);
    assert!(effects.contains(&settle(1, Settlement::StillRunning)));
    let effects = all(
        &mut worker,
        s(21),
        [done("a"), Event::Recorded { id: id("a") }],
    );
    assert_eq!(effects, [Effect::Intake { free: 2 }], "settled only once");
}

#[test]
fn a_lost_broker_takes_the_tickets_and_nothing_else() {
    let mut worker = running();
    all(&mut worker, s(1), [ticket(2, "b")]);
    all(&mut worker, s(2), [Event::BrokerLost]);
    assert_eq!(
        all(&mut worker, s(3), [Event::Refused { id: id("b") }]),
        [Effect::Intake { free: 1 }],
        "a ticket that is gone is not settled"
    );
    assert_eq!(
        all(&mut worker, s(3), [done("a")]),
        [outcome("a", Outcome::Done("ok"))]
    );
}

#[test]
fn stale_and_foreign_events_change_nothing() {
    let unknown = [
        assigned("x"),
        Event::Refused { id: id("x") },
        Event::Cancel { id: id("x") },
        Event::Recorded { id: id("x") },
        Event::Stale { id: id("x") },
        done("x"),
        Event::HeartbeatAck { seq: 7 },
    ];
    for event in unknown {
        let step = running().step(event.clone(), s(1));
        assert_eq!(step.ignored, Some(Ignored::Unknown), "{event:?}");
        assert_eq!(step.effects, [], "{event:?}");
    }
    let late = [
        assigned("a"),
        Event::Refused { id: id("a") },
        Event::Recorded { id: id("a") },
    ];
    for event in late {
        let step = running().step(event.clone(), s(1));
        assert_eq!(step.ignored, Some(Ignored::Late), "{event:?}");
        assert_eq!(step.effects, [], "{event:?}");
    }
    for event in [
        welcome(),
        Event::Disconnected,
        Event::HeartbeatAck { seq: 1 },
    ] {
        let step = W::new(policy(1)).step(event.clone(), s(1));
        assert_eq!(step.ignored, Some(Ignored::NoSession), "{event:?}");
    }
}
