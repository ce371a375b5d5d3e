//! Every state with every event: where it goes and what has to be done.
//!
//! `w` holds attempt 2 in every state that has a holder; `v` is another worker. What a test does not
//! name has the test's default answer.

use std::time::Duration;

use super::*;
use crate::{
    api::Progress,
    life::{FailureClass, Outcome},
    reason::Reason,
};

const POLICY: Policy = Policy {
    lost_max: 3,
    taking_over: false,
};
const CURRENT: u32 = 2;

fn now() -> Now {
    Now {
        mono: Duration::from_secs(9),
        wall: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn holder(worker: &str) -> Holder {
    Holder {
        worker: worker.into(),
        incarnation: "1".into(),
    }
}

fn life(state: State) -> Life {
    let mut life = Life::accepted(Moment::at(now()));
    life.lost = CURRENT - 1;
    if matches!(state, State::Running { .. } | State::Stopping { .. }) {
        life.worker = Some("w".into());
    }
    life.state = state;
    life
}

fn cancelled(state: State) -> Life {
    Life {
        cancel: true,
        ..life(state)
    }
}

fn done(by: Option<Holder>, written: bool) -> State {
    let end = End::Succeeded {
        result: None,
        artifacts: vec![],
    };
    State::Done(Done {
        end,
        at: Moment::at(now()),
        by,
        written,
    })
}

/// All states.
fn lives() -> Vec<Life> {
    let w = || holder("w");
    let running = || State::Running { by: w() };
    vec![
        life(State::Recovering),
        Life {
            worker: Some("w".into()),
            ..life(State::Recovering)
        },
        Life {
            worker: Some("w".into()),
            ..cancelled(State::Recovering)
        },
        life(State::Waiting),
        life(State::Saving { record: None }),
        life(State::Saving { record: Some(w()) }),
        life(State::Offered {
            since: Duration::ZERO,
        }),
        life(State::Reserved { by: w() }),
        life(running()),
        cancelled(running()),
        life(State::Stopping {
            by: w(),
            back: false,
        }),
        life(State::Stopping {
            by: w(),
            back: true,
        }),
        cancelled(State::Stopping {
            by: w(),
            back: true,
        }),
        life(done(None, false)),
        life(done(Some(w()), false)),
        life(done(Some(w()), true)),
    ]
}

fn name(life: &Life) -> String {
    let mut name = match &life.state {
        State::Recovering if life.worker.is_some() => "Recovering of w".into(),
        State::Recovering => "Recovering".into(),
        State::Waiting => "Waiting".into(),
        State::Saving { record: None } => "Saving".into(),
        State::Saving { record: Some(by) } => format!("Saving for {}", by.worker),
        State::Offered { .. } => "Offered".into(),
        State::Reserved { by } => format!("Reserved {}", by.worker),
        State::Running { by } => format!("Running {}", by.worker),
        State::Stopping { by, back: false } => format!("Stopping {}", by.worker),
        State::Stopping { by, back: true } => format!("Stopping {} back", by.worker),
        State::Done(done) => {
            let by = done
                .by
                .as_ref()
                .map(|by| format!(" by {}", by.worker))
                .unwrap_or_default();
            let end = match &done.end {
                End::Failed { reason, .. } => reason.as_str(),
                End::Succeeded { .. } => "Succeeded",
                End::Rejected { .. } => "Rejected",
                End::Cancelled => "Cancelled",
                End::Foreign => "Foreign",
            };
            let written = if done.written { " written" } else { "" };
            format!("{end}{by}{written}")
        }
    };
    if life.cancel && !matches!(life.state, State::Done(_)) {
        name.push_str(" cancelled");
    }
    if life.lost > CURRENT - 1 {
        name.push_str(" lost+1");
    }
    if life.failed > 0 {
        name.push_str(" failed+1");
    }
    name
}

fn short(act: &Act) -> String {
    match act {
        Act::Grant(by) => format!("Grant {}", by.worker),
        Act::Refuse(by, why) => format!("Refuse {} {why}", by.worker),
        Act::Stop(by, attempt, why) => format!("Stop {}/{attempt} {why}", by.worker),
        Act::Record(by, attempt) => format!("Record {}/{attempt}", by.worker),
        Act::Stale(by, attempt) => format!("Stale {}/{attempt}", by.worker),
        other => format!("{other:?}"),
    }
}

/// Checks one event in every state: `rows` say state and answer, `default` the answer of the others.
/// An answer is `state: acts`, `-: acts` when the state stays, or `ignored: why`.
fn check(event: &LifeEvent, rows: &[(&str, &str)], default: &str) {
    let names: Vec<String> = lives().iter().map(name).collect();
    for (state, _) in rows {
        assert!(
            names.iter().any(|name| name == state),
            "{state} is none of {names:?}"
        );
    }
    for before in lives() {
        let mut after = before.clone();
        let answer = match decide(&mut after, event.clone(), POLICY, now()) {
            Err(Ignored(why)) => {
                assert_eq!(after, before, "{event:?} was ignored");
                format!("ignored: {why}")
            }
            Ok(acts) => {
                let state = if after.state == before.state {
                    "-".into()
                } else {
                    name(&after)
                };
                let acts: Vec<String> = acts.iter().map(short).collect();
                format!("{state}: {}", acts.join(", "))
                    .trim_end()
                    .to_owned()
            }
        };
        let row = rows.iter().find(|(state, _)| *state == name(&before));
        let expected = row.map_or(default, |(_, answer)| answer);
        assert_eq!(answer, expected, "{} with {event:?}", name(&before));
    }
}

fn claimed(attempt: u32, inline: bool) -> LifeEvent {
    LifeEvent::Claimed {
        by: holder("v"),
        attempt,
        inline,
    }
}

fn ended(by: &str, attempt: u32, outcome: Outcome) -> LifeEvent {
    LifeEvent::Ended {
        by: holder(by),
        attempt,
        outcome,
    }
}

fn success() -> Outcome {
    Outcome::Succeeded {
        result: None,
        artifacts: vec![],
    }
}

fn failure() -> Outcome {
    let message = "exit code 1".into();
    Outcome::Failed {
        class: FailureClass::Permanent,
        reason: Reason::JobFailed,
        message,
    }
}

#[test]
fn only_what_waits_is_offered() {
    check(
        &LifeEvent::Offer,
        &[("Waiting", "Offered: Publish")],
        "ignored: not_waiting",
    );
}

#[test]
fn a_spent_ticket_is_followed_by_another_one_later() {
    let rows = [("Offered", "Waiting: EnqueueLater")];
    check(&LifeEvent::Unplaced, &rows, "ignored: not_offered");
}

#[test]
fn a_ticket_that_nobody_claims_is_published_again() {
    let rows = [("Offered", "Offered: Publish")];
    check(&LifeEvent::Unclaimed, &rows, "ignored: not_offered");
}

#[test]
fn a_claim_is_granted_only_while_nobody_holds_the_attempt() {
    let refused = [
        ("Recovering", "-: Refuse v taking_over"),
        ("Recovering of w", "-: Refuse v taking_over"),
        ("Recovering of w cancelled", "-: Refuse v taking_over"),
        ("Saving", "-: Refuse v not_durable"),
        ("Saving for w", "-: Refuse v not_durable"),
        ("Reserved w", "-: Refuse v held"),
        ("Running w", "-: Refuse v held"),
        ("Running w cancelled", "-: Refuse v held"),
        ("Stopping w", "-: Refuse v gone"),
        ("Stopping w back", "-: Refuse v gone"),
        ("Stopping w back cancelled", "-: Refuse v gone"),
    ];
    let rows = |answer| [&refused[..], &[("Waiting", answer), ("Offered", answer)]].concat();
    check(
        &claimed(CURRENT, true),
        &rows("Running v: Grant v, Save"),
        "-: Refuse v done",
    );
    check(
        &claimed(CURRENT, false),
        &rows("Reserved v: ReadParams"),
        "-: Refuse v done",
    );
}

#[test]
fn a_claim_of_another_attempt_is_refused() {
    check(
        &claimed(CURRENT - 1, true),
        &[],
        "-: Refuse v other_attempt",
    );
    check(
        &claimed(CURRENT + 1, false),
        &[],
        "-: Refuse v other_attempt",
    );
}

#[test]
fn the_read_of_the_parameters_decides_on_a_reserved_claim() {
    let rows = [("Reserved w", "Running w: Grant w, Save")];
    check(
        &LifeEvent::ParamsRead { ok: true },
        &rows,
        "ignored: not_reserved",
    );
    let rows = [(
        "Reserved w",
        "Waiting: Refuse w params_unreadable, EnqueueLater",
    )];
    check(
        &LifeEvent::ParamsRead { ok: false },
        &rows,
        "ignored: not_reserved",
    );
}

#[test]
fn progress_counts_only_from_the_holder_of_the_current_attempt() {
    let progressed = |by, attempt| {
        let progress = Progress {
            percent: 5,
            message: String::new(),
        };
        LifeEvent::Progressed {
            by: holder(by),
            attempt,
            progress,
        }
    };
    let rows = [("Running w", "-: Save"), ("Running w cancelled", "-: Save")];
    check(
        &progressed("w", CURRENT),
        &rows,
        "ignored: foreign_progress",
    );
    check(
        &progressed("w", CURRENT - 1),
        &[],
        "ignored: foreign_progress",
    );
    check(&progressed("v", CURRENT), &[], "ignored: foreign_progress");
}

#[test]
fn the_holders_success_ends_the_request_even_while_it_is_cancelled() {
    let succeeded = "Succeeded by w: SaveNow";
    let rows = [
        ("Recovering", succeeded),
        ("Recovering of w", succeeded),
        ("Recovering of w cancelled", succeeded),
        ("Running w", succeeded),
        ("Running w cancelled", succeeded),
        ("Stopping w", "-: Stale w/2, Forget"),
        ("Stopping w back", succeeded),
        ("Stopping w back cancelled", succeeded),
        ("Saving for w", "ignored: outcome_pending"),
        ("Succeeded by w", "ignored: outcome_pending"),
        ("Succeeded by w written", "-: Record w/2"),
    ];
    check(&ended("w", CURRENT, success()), &rows, "-: Stale w/2");
}

#[test]
fn the_holders_failure_ends_the_request_as_failed_or_cancelled() {
    let failed = "JobFailed by w failed+1: SaveNow";
    let cancelled = "Cancelled by w: SaveNow";
    let rows = [
        ("Recovering", failed),
        ("Recovering of w", failed),
        ("Recovering of w cancelled", cancelled),
        ("Running w", failed),
        ("Running w cancelled", cancelled),
        ("Stopping w", "-: Stale w/2, Forget"),
        ("Stopping w back", failed),
        ("Stopping w back cancelled", cancelled),
        ("Saving for w", "ignored: outcome_pending"),
        ("Succeeded by w", "ignored: outcome_pending"),
        ("Succeeded by w written", "-: Record w/2"),
    ];
    check(&ended("w", CURRENT, failure()), &rows, "-: Stale w/2");
}

#[test]
fn an_interrupted_attempt_counts_as_nothing_and_is_recorded_when_that_is_durable() {
    let (again, cancelled) = ("Saving for w: SaveNow", "Cancelled by w: SaveNow");
    let rows = [
        ("Recovering", again),
        ("Recovering of w", again),
        ("Recovering of w cancelled", cancelled),
        ("Running w", again),
        ("Running w cancelled", cancelled),
        ("Stopping w", "-: Stale w/2, Forget"),
        ("Stopping w back", again),
        ("Stopping w back cancelled", cancelled),
        ("Saving for w", "ignored: outcome_pending"),
        ("Succeeded by w", "ignored: outcome_pending"),
        ("Succeeded by w written", "-: Record w/2"),
    ];
    for outcome in [Outcome::Interrupted, Outcome::Cancelled] {
        check(&ended("w", CURRENT, outcome), &rows, "-: Stale w/2");
    }
}
