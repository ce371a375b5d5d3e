//! What a status says, and that a restarted watcher reads the same life from it.

mod lives;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    api::{PastAttempt, Progress},
    ids::Holder,
    life::Stop,
};
use lives::{end, live};

fn moment(seconds: i64) -> Moment {
    Moment {
        mono: Some(Duration::from_secs(7)),
        wall: jiff::Timestamp::from_second(seconds).unwrap(),
    }
}

fn holder() -> Holder {
    Holder {
        worker: "w".into(),
        incarnation: "1".into(),
    }
}

/// As the API server stores it.
fn stored(status: &RequestStatus) -> RequestStatus {
    serde_json::from_str(&serde_json::to_string(status).unwrap()).unwrap()
}

fn about(waiting_for: Option<Reason>) -> About {
    let effective = Some(Effective {
        timeout_seconds: 60,
        ..Effective::default()
    });
    About {
        generation: Some(3),
        controller: None,
        effective,
        waiting_for,
        mirror: None,
    }
}

proptest! {
    #[test]
    fn a_live_status_tells_a_restarted_watcher_everything_but_the_ticket(life in live()) {
        let status = stored(&render(&life, &about(None)));
        let told = |moment: Moment| Moment { mono: None, ..moment };
        let expected = Life {
            state: State::Recovering,
            queued: told(life.queued),
            first_started: life.first_started.map(told),
            started: life.started.map(told),
            ..life
        };
        prop_assert_eq!(recover(Some(&status), moment(0)), Recovered::Live(Box::new(expected)));
        prop_assert!(!has_ended(&status));
    }

    #[test]
    fn an_end_is_an_end_for_everyone_and_keeps_its_attempt(life in live(), end in end()) {
        let done = Done { end: end.clone(), at: moment(9), attempt: life.attempt(), by: None, written: false };
        let life = Life { state: State::Done(done), ..life };
        let status = stored(&render(&life, &about(None)));
        prop_assert!(has_ended(&status));
        let unstarted = matches!(end, End::Rejected { .. })
            || life.worker.is_none() && life.failed + life.lost == 0;
        let attempt = if unstarted { 1 } else { life.attempt() };
        let completed = Some(moment(9).wall);
        prop_assert_eq!(recover(Some(&status), moment(0)), Recovered::Ended { attempt, completed });
    }

    #[test]
    fn the_first_condition_is_succeeded_and_finished_comes_exactly_at_the_end(
        life in live(), end in proptest::option::of(end()), waits in 0..3usize,
    ) {
        let over = end.is_some();
        let done = |end| State::Done(Done { end, at: moment(9), attempt: 1, by: None, written: false });
        let life = Life { state: end.map_or(life.state.clone(), done), ..life };
        let waiting_for = [None, Some(Reason::NoWorkers), Some(Reason::ServiceMissing)][waits];
        let status = render(&life, &about(waiting_for));
        let first = &status.conditions[0];
        prop_assert_eq!(first.kind.as_str(), "Succeeded");
        prop_assert!(Reason::parse(&first.reason).is_some(), "{} is on no list", first.reason);
        prop_assert_eq!(first.status == "Unknown", !over);
        let phase = status.phase.unwrap();
        prop_assert_eq!(first.status == "True", phase == Phase::Succeeded);
        let finished: Vec<_> = status.conditions.iter().skip(1).map(|c| (&*c.kind, &*c.status)).collect();
        prop_assert_eq!(finished, if over { vec![("Finished", "True")] } else { vec![] });
        prop_assert_eq!(status.completion_time.is_some(), over);
    }
}

#[test]
fn a_result_keeps_its_nulls() {
    let result = json!({"none": null, "deep": {"none": null}});
    let end = End::Succeeded {
        result: result.as_object().cloned(),
        artifacts: vec![],
    };
    let done = Done {
        end,
        at: moment(9),
        attempt: 1,
        by: None,
        written: false,
    };
    let life = Life {
        state: State::Done(done),
        ..Life::accepted(moment(1))
    };
    let status = stored(&render(&life, &about(None)));
    assert_eq!(serde_json::to_value(status.result).unwrap(), result);
}

#[test]
fn a_request_without_a_status_is_new_and_a_foreign_end_is_an_end() {
    assert_eq!(recover(None, moment(0)), Recovered::New);
    assert_eq!(
        recover(Some(&RequestStatus::default()), moment(0)),
        Recovered::New
    );
    let finished = Condition {
        kind: FINISHED.into(),
        status: "True".into(),
        reason: "Whatever".into(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    let status = RequestStatus {
        conditions: vec![finished],
        ..RequestStatus::default()
    };
    assert_eq!(
        recover(Some(&status), moment(0)),
        Recovered::Ended {
            attempt: 1,
            completed: None
        }
    );
}

#[test]
fn the_condition_says_what_the_request_waits_for() {
    let life = Life::accepted(moment(1));
    for (waiting_for, reason, words) in [
        (None, "Queued", "waiting"),
        (Some(Reason::NoWorkers), "NoWorkers", "no worker"),
        (
            Some(Reason::ServiceMissing),
            "ServiceMissing",
            "not configured",
        ),
    ] {
        let status = render(&life, &about(waiting_for));
        assert_eq!(status.conditions[0].reason, reason);
        assert!(status.conditions[0].message.contains(words), "{status:?}");
    }
}

#[test]
fn a_pause_says_what_failed_and_what_follows_before_and_while_it_lasts() {
    let mut life = Life {
        failed: 2,
        lost: 1,
        ..Life::accepted(moment(1))
    };
    life.past.push(PastAttempt {
        attempt: 3,
        worker: "w".into(),
        start_time: None,
        end_time: None,
        reason: "TimedOut".into(),
        message: "over 60 s".into(),
    });
    let (record, pause) = (None, Duration::from_secs(3));
    life.state = State::Saving { record, pause };
    let before = render(&life, &about(Some(Reason::NoWorkers)));
    life.state = State::Backoff {
        until: Duration::from_secs(99),
    };
    let while_it_lasts = render(&life, &about(None));
    assert_eq!(before, while_it_lasts, "nothing to write when it starts");
    let first = &before.conditions[0];
    assert_eq!(
        (&*first.reason, before.phase),
        ("Backoff", Some(Phase::Queued))
    );
    assert_eq!(
        first.message,
        "attempt 3 failed (TimedOut: over 60 s): attempt 4 follows after a pause"
    );
}

#[test]
fn what_is_being_stopped_says_why() {
    for (why, words) in [
        (Stop::Cancelled, "the caller cancelled"),
        (Stop::Replaced, "a newer request"),
        (Stop::Deadline, "its deadline has passed"),
    ] {
        let life = Life {
            state: State::Running { by: holder() },
            stop: Some(why),
            ..Life::accepted(moment(1))
        };
        let status = render(&life, &about(None));
        assert_eq!(status.phase, Some(Phase::Cancelling));
        let message = &status.conditions[0].message;
        assert!(message.starts_with("w was told to stop"), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let older = RequestStatus {
        phase: Some(Phase::Cancelling),
        ..RequestStatus::default()
    };
    let Recovered::Live(life) = recover(Some(&older), moment(0)) else {
        panic!("it is live");
    };
    assert_eq!(
        life.stop,
        Some(Stop::Cancelled),
        "an older status tells none"
    );
}
