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

/// What becomes of an attempt that did not succeed and was to stop, and of one that is gone.
pub(super) const STOPPED: [(&str, &str); 16] = [
    ("Recovering cancelled", "Cancelled by w: SaveNow"),
    ("Recovering replaced", "Replaced by w: SaveNow"),
    ("Recovering late", "DeadlineExceeded by w: SaveNow"),
    ("Recovering of w cancelled", "Cancelled by w: SaveNow"),
    ("Recovering of w replaced", "Replaced by w: SaveNow"),
    ("Recovering of w late", "DeadlineExceeded by w: SaveNow"),
    ("Running w cancelled", "Cancelled by w: SaveNow"),
    ("Running w replaced", "Replaced by w: SaveNow"),
    ("Running w late", "DeadlineExceeded by w: SaveNow"),
    ("Stopping w back cancelled", "Cancelled by w: SaveNow"),
    ("Stopping w back replaced", "Replaced by w: SaveNow"),
    ("Stopping w back late", "DeadlineExceeded by w: SaveNow"),
    ("Stopping w", "-: Stale w/2, Forget"),
    ("Stopping w cancelled", "-: Stale w/2, Forget"),
    ("Stopping w replaced", "-: Stale w/2, Forget"),
    ("Stopping w late", "-: Stale w/2, Forget"),
];

/// What is answered later, or was answered already.
const KNOWN: [(&str, &str); 3] = [
    ("Saving for w", "ignored: outcome_pending"),
    ("Succeeded by w", "ignored: outcome_pending"),
    ("Succeeded by w written", "-: Record w/2"),
];

/// Who can be the holder of the current attempt.
const OPEN: [&str; 5] = [
    "Recovering",
    "Recovering of w",
    "Recovering failed",
    "Running w",
    "Stopping w back",
];

fn rows(open: &str) -> Vec<(&str, &str)> {
    let open = OPEN.iter().map(|state| (*state, open));
    open.chain(STOPPED).chain(KNOWN).collect()
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
    let rows = [
        ("Running w", "-: Save"),
        ("Running w cancelled", "-: Save"),
        ("Running w replaced", "-: Save"),
        ("Running w late", "-: Save"),
    ];
    let ignored = "ignored: foreign_progress";
    check(&progressed("w", CURRENT), &rows, ignored);
    check(&progressed("w", CURRENT - 1), &[], ignored);
    check(&progressed("v", CURRENT), &[], ignored);
}

#[test]
fn the_holders_success_ends_the_request_even_while_it_is_to_stop() {
    let mut rows = rows("Succeeded by w: SaveNow");
    for row in rows.iter_mut().filter(|(_, row)| row.ends_with("SaveNow")) {
        row.1 = "Succeeded by w: SaveNow";
    }
    check(&ended("w", CURRENT, success()), &rows, "-: Stale w/2");
}

#[test]
fn the_holders_failure_ends_the_request_as_failed_or_stopped() {
    let rows = rows("JobFailed by w failed+1: SaveNow");
    check(&ended("w", CURRENT, failure()), &rows, "-: Stale w/2");
}

#[test]
fn an_interrupted_attempt_counts_as_nothing_and_is_recorded_when_that_is_durable() {
    let rows = rows("Saving for w: SaveNow");
    for outcome in [Outcome::Interrupted, Outcome::Cancelled] {
        check(&ended("w", CURRENT, outcome), &rows, "-: Stale w/2");
    }
}

#[test]
fn a_foreign_outcome_changes_nothing() {
    // Nobody is named yet: the first worker that says so is believed.
    let succeeded = "Succeeded by v: SaveNow";
    let rows = [
        ("Recovering", succeeded),
        ("Recovering failed", succeeded),
        ("Recovering cancelled", succeeded),
        ("Recovering replaced", succeeded),
        ("Recovering late", succeeded),
    ];
    check(&ended("v", CURRENT, success()), &rows, "-: Stale v/2");
    let pending = [("Saving for w pausing", "ignored: outcome_pending")];
    let earlier = ended("w", CURRENT - 1, success());
    check(&earlier, &pending, "-: Stale w/1");
    check(&ended("w", CURRENT + 1, success()), &[], "-: Stale w/3");
    check(&ended("v", CURRENT - 1, failure()), &[], "-: Stale v/1");
    check(&ended("v", CURRENT + 1, failure()), &[], "-: Stale v/3");
}

#[test]
fn a_greeting_with_the_current_attempt_keeps_the_run_or_stops_it() {
    let mut rows = vec![
        ("Recovering", "Running w: Save"),
        ("Recovering of w", "Running w: Save"),
        ("Recovering failed", "Running w: Save"),
        ("Saving for w", "ignored: outcome_pending"),
        ("Running w", "ignored: still_running"),
        ("Stopping w", "-: Stop w/2 gone"),
        ("Stopping w back", "-: Stop w/2 gone"),
        ("Succeeded by w", "ignored: outcome_pending"),
        ("Succeeded by w written", "ignored: outcome_pending"),
    ];
    let words = [
        ("cancelled", "cancelled"),
        ("replaced", "replaced"),
        ("late", "deadline"),
    ];
    let stopped: Vec<(String, String)> = words
        .iter()
        .flat_map(|(name, word)| {
            let adopted = format!("Running w {name}: Save, Stop w/2 {word}");
            let gone = || "-: Stop w/2 gone".to_owned();
            [
                (format!("Recovering {name}"), adopted.clone()),
                (format!("Recovering of w {name}"), adopted),
                (format!("Running w {name}"), format!("-: Stop w/2 {word}")),
                (format!("Stopping w {name}"), gone()),
                (format!("Stopping w back {name}"), gone()),
            ]
        })
        .collect();
    rows.extend(stopped.iter().map(|(state, row)| (&**state, &**row)));
    check(&greeted("w", CURRENT), &rows, "-: Stop w/2 foreign");
}

fn greeted(by: &str, attempt: u32) -> LifeEvent {
    LifeEvent::Greeted {
        by: holder(by),
        attempt,
    }
}

#[test]
fn a_greeting_with_anything_else_is_told_to_stop() {
    let rows = [
        ("Recovering", "Running v: Save"),
        ("Recovering failed", "Running v: Save"),
        (
            "Recovering cancelled",
            "Running v cancelled: Save, Stop v/2 cancelled",
        ),
        (
            "Recovering replaced",
            "Running v replaced: Save, Stop v/2 replaced",
        ),
        ("Recovering late", "Running v late: Save, Stop v/2 deadline"),
    ];
    check(&greeted("v", CURRENT), &rows, "-: Stop v/2 foreign");
    let pending = [("Saving for w pausing", "ignored: outcome_pending")];
    check(&greeted("w", CURRENT - 1), &pending, "-: Stop w/1 foreign");
    check(&greeted("w", CURRENT + 1), &[], "-: Stop w/3 foreign");
}

/// What becomes of a run that is over without a word.
fn silent(running: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("Reserved w", "Waiting: Enqueue"),
        ("Running w", running),
        ("Running w cancelled", "Cancelled: SaveNow"),
        ("Running w replaced", "Replaced: SaveNow"),
        ("Running w late", "DeadlineExceeded: SaveNow"),
        ("Stopping w", "-: Forget"),
        ("Stopping w cancelled", "-: Forget"),
        ("Stopping w replaced", "-: Forget"),
        ("Stopping w late", "-: Forget"),
        ("Stopping w back", "Saving: SaveNow"),
        ("Stopping w back cancelled", "Cancelled: SaveNow"),
        ("Stopping w back replaced", "Replaced: SaveNow"),
        ("Stopping w back late", "DeadlineExceeded: SaveNow"),
    ]
}

#[test]
fn a_claim_that_its_worker_does_not_list_was_never_granted() {
    let missing = |by| LifeEvent::Missing { by: holder(by) };
    let rows = silent("Saving: SaveNow");
    check(&missing("w"), &rows, "ignored: not_held");
    check(&missing("v"), &[], "ignored: not_held");
}

#[test]
fn silence_for_a_lease_counts_as_lost_only_what_ran_and_was_wanted() {
    let ended = |by| LifeEvent::LeaseEnded { by: holder(by) };
    let rows = silent("Saving lost+1: SaveNow");
    check(&ended("w"), &rows, "ignored: not_held");
    check(&ended("v"), &[], "ignored: not_held");
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
