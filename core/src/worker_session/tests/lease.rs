//! Heartbeats, the lease, and lost sessions.

use super::*;

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
        [hello(2, &[], &[])],
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
        [hello(2, &["runs"], &["ended"])]
    );
    assert_eq!(
        all(&mut worker, s(4), [welcome()]),
        [
            outcome("ended", Outcome::Done("ok")),
            Effect::Intake { free: 2 }
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
fn a_watcher_that_leaves_a_heartbeat_unanswered_is_left_while_the_lease_lasts_and_jobs_go_on() {
    let mut worker = running();
    all(&mut worker, BEAT, [Event::Tick]);
    let silent = BEAT + LEASE / 4;
    assert_eq!(worker.wake_up(), Some(silent));
    let effects = all(&mut worker, silent, [Event::Tick]);
    assert!(effects.contains(&Effect::Disconnect), "{effects:?}");
    assert!(
        !effects.contains(&Effect::Kill { id: id("a") }),
        "{effects:?}"
    );
    assert_eq!(worker.lease_end(), Some(LEASE));
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
