//! Cancel, stop list, drain and progress.

use super::*;

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
            Effect::Stop { id: id("a") },
            settle(2, Settlement::Done),
            Effect::Intake { free: 1 }
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
