//! What a status says, and that a restarted watcher reads the same life from it.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{api::Progress, ids::Holder, life::Stop};

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

fn live_state() -> impl Strategy<Value = State> {
    let by = holder;
    prop_oneof![
        Just(State::Recovering),
        Just(State::Waiting),
        Just(State::Saving {
            record: None,
            pause: Duration::ZERO
        }),
        Just(State::Saving {
            record: Some(crate::life::Reported {
                by: by(),
                attempt: 1
            }),
            pause: Duration::ZERO
        }),
        Just(State::Offered {
            since: Duration::ZERO
        }),
        Just(State::Reserved { by: by() }),
        Just(State::Running { by: by() }),
        any::<bool>().prop_map(move |back| State::Stopping { by: by(), back }),
    ]
}

/// Lives as the transitions make them: a worker is named while one has it, and only such a request,
/// or one whose worker is not known yet, is live and cancelled.
fn live() -> impl Strategy<Value = Life> {
    let counts = (0..5u32, 0..5u32, 0..2_000_000_000i64);
    let run = (
        any::<bool>(),
        any::<bool>(),
        proptest::option::of(0..=100u32),
    );
    (live_state(), counts, run).prop_map(
        |(state, (failed, lost, queued), (named, cancel, percent))| {
            let recovering = state == State::Recovering;
            let held = matches!(state, State::Running { .. } | State::Stopping { .. });
            let named = held || recovering && named;
            let progress = |percent| Progress {
                percent,
                message: "half".into(),
            };
            Life {
                failed,
                lost,
                stop: (cancel && (held || recovering)).then_some(Stop::Cancelled),
                first_started: named.then(|| moment(queued + 5)),
                queued: moment(queued),
                started: named.then(|| moment(queued + 5)),
                worker: named.then(|| "w".into()),
                progress: percent.filter(|_| named).map(progress),
                past: vec![],
                state,
            }
        },
    )
}

fn end() -> impl Strategy<Value = End> {
    let result = json!({"digest": "abc", "none": null, "deep": {"none": null}});
    let succeeded = End::Succeeded {
        result: result.as_object().cloned(),
        artifacts: vec![],
    };
    let failed = End::Failed {
        reason: Reason::TimedOut,
        message: "over 5 s".into(),
    };
    let rejected = End::Rejected {
        reason: Reason::UnknownService,
        message: "no".into(),
    };
    prop_oneof![
        Just(succeeded),
        Just(failed),
        Just(rejected),
        Just(End::Cancelled(Reason::Cancelled))
    ]
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
        effective,
        waiting_for,
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
