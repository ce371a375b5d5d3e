//! Lives as the transitions make them.

use super::*;
use crate::life::Reported;

fn live_state() -> impl Strategy<Value = State> {
    let by = holder;
    let record = || {
        Some(Reported {
            by: holder(),
            attempt: 1,
        })
    };
    let pause = prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(9))];
    prop_oneof![
        Just(State::Recovering),
        Just(State::Waiting),
        (any::<bool>(), pause).prop_map(move |(outcome, pause)| State::Saving {
            record: record().filter(|_| outcome),
            pause
        }),
        (0..100u64).prop_map(|until| State::Backoff {
            until: Duration::from_secs(until)
        }),
        Just(State::Offered {
            since: Duration::ZERO
        }),
        Just(State::Reserved { by: by() }),
        Just(State::Running { by: by() }),
        any::<bool>().prop_map(move |back| State::Stopping { by: by(), back }),
    ]
}

fn past() -> impl Strategy<Value = Vec<PastAttempt>> {
    let attempt = (1..9u32, any::<bool>()).prop_map(|(attempt, lost)| PastAttempt {
        attempt,
        worker: "w".into(),
        start_time: Some(moment(5).wall),
        end_time: Some(moment(6).wall),
        reason: if lost { "WorkerLost" } else { "JobFailed" }.into(),
        message: if lost { "" } else { "exit code 75" }.into(),
    });
    prop::collection::vec(attempt, 0..=5)
}

fn stop() -> impl Strategy<Value = Option<Stop>> {
    prop_oneof![
        Just(None),
        Just(Some(Stop::Cancelled)),
        Just(Some(Stop::Replaced)),
        Just(Some(Stop::Deadline)),
    ]
}

/// Lives as the transitions make them: a worker is named while one has it, and only such a request,
/// or one whose worker is not known yet, is live and to be stopped.
pub(super) fn live() -> impl Strategy<Value = Life> {
    let counts = (0..5u32, 0..5u32, 0..2_000_000_000i64);
    let run = (any::<bool>(), stop(), proptest::option::of(0..=100u32));
    let before = (past(), any::<bool>());
    (live_state(), counts, run, before).prop_map(
        |(state, (failed, lost, queued), (named, stop, percent), (past, ran_before))| {
            let recovering = state == State::Recovering;
            let held = matches!(state, State::Running { .. } | State::Stopping { .. });
            let named = held || recovering && named;
            let progress = |percent| Progress {
                percent,
                message: "half".into(),
            };
            let first = (named || ran_before).then(|| moment(queued + 3));
            Life {
                failed,
                lost,
                stop: stop.filter(|_| held || recovering),
                first_started: first,
                queued: moment(queued),
                started: named.then(|| moment(queued + 5)),
                worker: named.then(|| "w".into()),
                progress: percent.filter(|_| named).map(progress),
                past,
                state,
            }
        },
    )
}

pub(super) fn end() -> impl Strategy<Value = End> {
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
