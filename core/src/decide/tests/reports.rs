//! What workers say, and their silence.

use super::*;

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

#[test]
fn a_foreign_outcome_changes_nothing() {
    // Nobody is named yet: the first worker that says so is believed.
    let rows = [("Recovering", "Succeeded by v: SaveNow")];
    check(&ended("v", CURRENT, success()), &rows, "-: Stale v/2");
    for other in [CURRENT - 1, CURRENT + 1] {
        check(
            &ended("w", other, success()),
            &[],
            &format!("-: Stale w/{other}"),
        );
        check(
            &ended("v", other, failure()),
            &[],
            &format!("-: Stale v/{other}"),
        );
    }
}

#[test]
fn a_greeting_with_the_current_attempt_keeps_the_run_or_stops_it() {
    let rows = [
        ("Recovering", "Running w: Save"),
        ("Recovering of w", "Running w: Save"),
        (
            "Recovering of w cancelled",
            "Running w cancelled: Save, Stop w/2 cancelled",
        ),
        ("Saving for w", "ignored: outcome_pending"),
        ("Running w", "ignored: still_running"),
        ("Running w cancelled", "-: Stop w/2 cancelled"),
        ("Stopping w", "-: Stop w/2 gone"),
        ("Stopping w back", "-: Stop w/2 gone"),
        ("Stopping w back cancelled", "-: Stop w/2 gone"),
        ("Succeeded by w", "ignored: outcome_pending"),
        ("Succeeded by w written", "ignored: outcome_pending"),
    ];
    let greeted = LifeEvent::Greeted {
        by: holder("w"),
        attempt: CURRENT,
    };
    check(&greeted, &rows, "-: Stop w/2 foreign");
}

#[test]
fn a_greeting_with_anything_else_is_told_to_stop() {
    let greeted = |by, attempt| LifeEvent::Greeted {
        by: holder(by),
        attempt,
    };
    check(
        &greeted("v", CURRENT),
        &[("Recovering", "Running v: Save")],
        "-: Stop v/2 foreign",
    );
    check(&greeted("w", CURRENT - 1), &[], "-: Stop w/1 foreign");
    check(&greeted("w", CURRENT + 1), &[], "-: Stop w/3 foreign");
}

#[test]
fn a_claim_that_its_worker_does_not_list_was_never_granted() {
    let rows = [
        ("Reserved w", "Waiting: Enqueue"),
        ("Running w", "Saving: SaveNow"),
        ("Running w cancelled", "Cancelled: SaveNow"),
        ("Stopping w", "-: Forget"),
        ("Stopping w back", "Saving: SaveNow"),
        ("Stopping w back cancelled", "Cancelled: SaveNow"),
    ];
    check(
        &LifeEvent::Missing { by: holder("w") },
        &rows,
        "ignored: not_held",
    );
    check(
        &LifeEvent::Missing { by: holder("v") },
        &[],
        "ignored: not_held",
    );
}

#[test]
fn silence_for_a_lease_counts_as_lost_only_what_ran_and_was_wanted() {
    let rows = [
        ("Reserved w", "Waiting: Enqueue"),
        ("Running w", "Saving lost+1: SaveNow"),
        ("Running w cancelled", "Cancelled: SaveNow"),
        ("Stopping w", "-: Forget"),
        ("Stopping w back", "Saving: SaveNow"),
        ("Stopping w back cancelled", "Cancelled: SaveNow"),
    ];
    check(
        &LifeEvent::LeaseEnded { by: holder("w") },
        &rows,
        "ignored: not_held",
    );
    check(
        &LifeEvent::LeaseEnded { by: holder("v") },
        &[],
        "ignored: not_held",
    );
}

#[test]
fn what_nobody_greeted_with_is_lost_or_waits() {
    let rows = [
        ("Recovering", "Waiting: Enqueue, Save"),
        ("Recovering of w", "Saving lost+1: SaveNow"),
        ("Recovering of w cancelled", "Cancelled: SaveNow"),
    ];
    check(&LifeEvent::TakeoverEnded, &rows, "ignored: not_recovering");
}

#[test]
fn one_loss_over_the_budget_fails_the_request_and_names_the_worker() {
    let mut life = life(State::Running { by: holder("w") });
    life.lost = POLICY.lost_max;
    let attempt = life.attempt();
    decide(
        &mut life,
        LifeEvent::LeaseEnded { by: holder("w") },
        POLICY,
        now(),
    )
    .unwrap();
    let State::Done(Done {
        end: End::Failed { reason, message },
        by: None,
        ..
    }) = &life.state
    else {
        panic!("{life:?}");
    };
    assert_eq!((*reason, life.attempt()), (Reason::WorkerLost, attempt));
    assert!(message.contains('w') && message.contains('4'), "{message}");
}
