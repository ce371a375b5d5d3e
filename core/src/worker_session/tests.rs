//! Every row of the table in the parent module, and the rules around it.

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

fn hello(running: &[&str], outcomes: &[&str]) -> E {
    Effect::Send(Message::Hello {
        running: running.iter().map(|uid| id(uid)).collect(),
        outcomes: outcomes.iter().map(|uid| id(uid)).collect(),
    })
}

#[test]
fn nothing_is_consumed_before_the_welcome() {
    let mut worker = W::new(policy(2));
    assert_eq!(
        all(&mut worker, s(0), [ticket(1, "a")]),
        [settle(1, Settlement::Return)]
    );
    assert_eq!(all(&mut worker, s(0), [Event::Opening]), [hello(&[], &[])]);
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
        [Effect::Intake { free: 1 }, settle(1, Settlement::Done)]
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
            [Effect::Intake { free: 2 }, settle(1, Settlement::Done)]
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
fn heartbeats_list_all_that_takes_a_slot() {
    let mut worker = live(4);
    let events = [
        ticket(1, "runs"),
        assigned("runs"),
        ticket(2, "ended"),
        assigned("ended"),
        done("ended"),
        ticket(3, "claimed"),
    ];
    all(&mut worker, s(9), events);
    assert_eq!(worker.wake_up(), Some(BEAT));
    assert_eq!(
        all(&mut worker, BEAT, [Event::Tick]),
        [Effect::Send(Message::Heartbeat {
            seq: 1,
            held: vec![id("claimed"), id("ended"), id("runs")],
            free: 1,
            draining: false
        })]
    );
}

#[test]
fn the_lease_counts_from_when_the_acknowledged_heartbeat_was_sent() {
    let mut worker = running();
    all(&mut worker, BEAT, [Event::Tick]);
    all(&mut worker, s(19), [Event::HeartbeatAck { seq: 1 }]);
    all(&mut worker, s(39), [Event::Tick]);
    let effects = all(&mut worker, BEAT + LEASE, [Event::Tick]);
    assert!(
        effects.contains(&Effect::Kill { id: id("a") }),
        "{effects:?}"
    );
}

#[test]
fn an_acknowledgement_that_is_here_counts_before_the_lease_is_judged() {
    let mut worker = running();
    all(&mut worker, BEAT, [Event::Tick]);
    let effects = all(&mut worker, s(31), [Event::HeartbeatAck { seq: 1 }]);
    assert!(
        !effects.contains(&Effect::Kill { id: id("a") }),
        "{effects:?}"
    );
}

#[test]
fn at_the_end_of_the_lease_jobs_are_killed_and_forgotten() {
    let mut worker = running();
    all(&mut worker, s(1), [Event::Disconnected]);
    assert_eq!(
        all(&mut worker, LEASE, [Event::Tick]),
        [Effect::Kill { id: id("a") }, settle(1, Settlement::Done)]
    );
    assert!(!worker.may_greet());
    let early = worker.step::<&str>(Event::Opening, s(31));
    assert_eq!(early.ignored, Some(Ignored::StillDying));
    assert_eq!(all(&mut worker, s(32), [stopped("a")]), []);
    assert_eq!(
        all(&mut worker, s(32), [Event::Opening]),
        [hello(&[], &[])],
        "of a forgotten attempt nothing is said"
    );
}

#[test]
fn a_watcher_that_acknowledges_nothing_is_left_at_the_end_of_the_lease() {
    let mut worker = live(2);
    all(&mut worker, s(29), [ticket(1, "a")]);
    assert_eq!(
        all(&mut worker, LEASE, [Event::Tick]),
        [
            Effect::Intake { free: 0 },
            Effect::Disconnect,
            settle(1, Settlement::Return)
        ]
    );
    let late = worker.step(assigned("a"), LEASE);
    assert_eq!(late.ignored, Some(Ignored::Unknown), "no job starts");
}

#[test]
fn no_job_starts_once_the_lease_is_over() {
    let mut worker = live(1);
    all(&mut worker, s(29), [ticket(1, "a")]);
    let step = worker.step(assigned("a"), s(31));
    assert_eq!(step.ignored, Some(Ignored::Unknown));
    assert!(step.effects.contains(&Effect::Disconnect));
    assert!(step.effects.contains(&settle(1, Settlement::Return)));
}

#[test]
fn a_lost_session_drops_bids_and_keeps_jobs_and_outcomes() {
    let mut worker = live(4);
    let events = [
        ticket(1, "runs"),
        assigned("runs"),
        ticket(2, "ended"),
        assigned("ended"),
        done("ended"),
        ticket(3, "claimed"),
    ];
    all(&mut worker, s(1), events);
    assert_eq!(
        all(&mut worker, s(2), [Event::Disconnected]),
        [Effect::Intake { free: 0 }, settle(3, Settlement::Return)],
        "consumers stop before a ticket goes back"
    );
    assert_eq!(
        all(&mut worker, s(3), [Event::Opening]),
        [hello(&["runs"], &["ended"])]
    );
    assert_eq!(
        all(&mut worker, s(4), [welcome()]),
        [
            Effect::Intake { free: 2 },
            outcome("ended", Outcome::Done("ok"))
        ]
    );
    all(&mut worker, s(5), [Event::Disconnected, Event::Opening]);
    let again = all(&mut worker, s(6), [welcome()]);
    assert!(
        again.contains(&outcome("ended", Outcome::Done("ok"))),
        "{again:?}"
    );
}

#[test]
fn what_ends_without_a_session_is_reported_after_the_welcome() {
    let mut worker = running();
    all(&mut worker, s(1), [Event::Disconnected, Event::Opening]);
    assert_eq!(all(&mut worker, s(2), [done("a")]), []);
    let effects = all(&mut worker, s(3), [welcome()]);
    assert!(effects.contains(&outcome("a", Outcome::Done("ok"))));
}

#[test]
fn the_welcome_renews_the_lease_from_the_greeting() {
    let mut worker = running();
    all(&mut worker, s(20), [Event::Disconnected, Event::Opening]);
    all(&mut worker, s(25), [welcome()]);
    assert_eq!(all(&mut worker, s(34), [Event::Tick]), []);
    let effects = all(&mut worker, s(50), [Event::Tick]);
    assert!(
        effects.contains(&Effect::Kill { id: id("a") }),
        "{effects:?}"
    );
}

#[test]
fn an_unanswered_claim_ends_the_session_not_the_slot() {
    let mut worker = live(1);
    all(&mut worker, s(5), [ticket(1, "a")]);
    for (at, seq) in [(10, 1), (20, 2), (30, 3)] {
        all(
            &mut worker,
            s(at),
            [Event::Tick, Event::HeartbeatAck { seq }],
        );
    }
    let effects = all(&mut worker, s(35), [Event::Tick]);
    assert_eq!(effects, [Effect::Disconnect, settle(1, Settlement::Return)]);
    assert_eq!(worker.free(), 1);
}

#[test]
fn cancel_stops_the_job_and_is_reported() {
    let mut worker = running();
    let cancel = Event::Cancel { id: id("a") };
    assert_eq!(
        all(&mut worker, s(1), [cancel.clone()]),
        [Effect::Stop { id: id("a") }]
    );
    assert_eq!(worker.step(cancel, s(1)).ignored, Some(Ignored::Late));
    assert_eq!(
        all(&mut worker, s(2), [stopped("a")]),
        [outcome("a", Outcome::Cancelled)]
    );
}

#[test]
fn a_job_that_succeeds_while_it_is_cancelled_has_succeeded() {
    let mut worker = running();
    assert_eq!(
        all(
            &mut worker,
            s(1),
            [Event::Cancel { id: id("a") }, done("a")]
        ),
        [outcome("a", Outcome::Done("ok"))]
    );
}

#[test]
fn the_stop_list_stops_jobs_and_drops_outcomes() {
    let mut worker = running();
    all(
        &mut worker,
        s(1),
        [ticket(2, "b"), assigned("b"), done("b")],
    );
    all(&mut worker, s(2), [Event::Disconnected, Event::Opening]);
    let stop = Event::Welcome(Welcome {
        lease: LEASE,
        heartbeat: BEAT,
        stop: vec![id("a"), id("b"), id("unheard of")],
    });
    assert_eq!(
        all(&mut worker, s(3), [stop]),
        [
            Effect::Intake { free: 1 },
            Effect::Stop { id: id("a") },
            settle(2, Settlement::Done)
        ]
    );
    assert_eq!(
        all(&mut worker, s(4), [stopped("a")]),
        [outcome("a", Outcome::Cancelled)]
    );
}

#[test]
fn a_drain_takes_nothing_new_says_so_and_leaves_when_all_is_recorded() {
    let mut worker = running();
    assert_eq!(
        all(&mut worker, s(1), [Event::Drain]),
        [
            Effect::Intake { free: 0 },
            Effect::Send(Message::Heartbeat {
                seq: 1,
                held: vec![id("a")],
                free: 1,
                draining: true
            })
        ]
    );
    assert_eq!(
        all(&mut worker, s(2), [Event::DrainOver]),
        [Effect::Stop { id: id("a") }]
    );
    assert_eq!(
        all(&mut worker, s(3), [stopped("a")]),
        [outcome("a", Outcome::Interrupted)]
    );
    assert_eq!(
        all(&mut worker, s(4), [Event::Recorded { id: id("a") }]),
        [settle(1, Settlement::Done), Effect::Leave]
    );
}

#[test]
fn a_claim_that_is_granted_during_a_drain_is_interrupted_unstarted() {
    let mut worker = live(1);
    assert_eq!(
        all(
            &mut worker,
            s(1),
            [ticket(1, "a"), Event::Drain, assigned("a")]
        ),
        [outcome("a", Outcome::Interrupted)]
    );
}

#[test]
fn an_idle_worker_leaves_at_once() {
    let mut worker = W::new(policy(2));
    assert_eq!(all(&mut worker, s(1), [Event::Drain]), [Effect::Leave]);
}

#[test]
fn progress_is_coalesced_and_kept_while_there_is_no_session() {
    let mut worker = running();
    let progress = |percent| Progress {
        percent,
        message: String::new(),
    };
    let event = |percent| Event::Progress {
        id: id("a"),
        progress: progress(percent),
    };
    let effect = |percent| Effect::Progress {
        id: id("a"),
        progress: progress(percent),
    };
    assert_eq!(all(&mut worker, s(1), [event(1)]), [effect(1)]);
    assert_eq!(all(&mut worker, s(1), [event(2), event(3)]), []);
    assert_eq!(worker.wake_up(), Some(s(1) + PROGRESS));
    assert_eq!(
        all(&mut worker, s(1) + PROGRESS, [Event::Tick]),
        [effect(3)]
    );
    assert_eq!(
        all(&mut worker, s(3), [Event::Disconnected, event(4), event(5)]),
        []
    );
    let effects = all(&mut worker, s(4), [Event::Opening, welcome()]);
    assert!(effects.contains(&effect(5)), "{effects:?}");
}

#[test]
fn nothing_of_an_ended_job_is_told_after_its_outcome() {
    let mut worker = running();
    all(&mut worker, s(1), [done("a")]);
    let event: V = Event::Progress {
        id: id("a"),
        progress: Progress {
            percent: 9,
            message: String::new(),
        },
    };
    assert_eq!(worker.step(event, s(1)).ignored, Some(Ignored::Late));
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
