//! What time alone brings about.

use super::*;

fn due(queue: Option<u64>, deadline: Option<u64>) -> Policy {
    let dues = Dues {
        queue: queue.map(Duration::from_secs),
        deadline: deadline.map(Duration::from_secs),
    };
    Policy { dues, ..POLICY }
}

#[test]
fn a_pause_ends_by_itself_and_nothing_else_without_a_clock() {
    let rows = [("Backoff", "Waiting: Enqueue, Save")];
    check(&LifeEvent::Clock, &rows, "ignored: not_yet");
    let policy = Policy {
        taking_over: true,
        ..POLICY
    };
    check_under(policy, &LifeEvent::Clock, &rows, "ignored: not_yet");
}

#[test]
fn a_clock_that_has_not_run_out_changes_nothing() {
    let policy = due(Some(10), Some(11));
    let rows = [("Backoff", "Waiting: Enqueue, Save")];
    check_under(policy, &LifeEvent::Clock, &rows, "ignored: not_yet");
}

#[test]
fn a_passed_deadline_ends_what_nobody_runs_and_stops_what_somebody_runs() {
    let late = "DeadlineExceeded: SaveNow";
    let rows = [
        ("Waiting", late),
        ("Saving", late),
        ("Saving for w", "DeadlineExceeded by w: SaveNow"),
        ("Saving for w pausing", "DeadlineExceeded by w: SaveNow"),
        ("Backoff", late),
        ("Attached", late),
        ("Replacing", late),
        ("Offered", late),
        ("Reserved w", "DeadlineExceeded: Refuse w/2 ended, SaveNow"),
        ("Running w", "Running w late: Stop w/2 deadline, Save"),
    ];
    for policy in [due(None, Some(9)), due(Some(5), Some(9))] {
        check_under(policy, &LifeEvent::Clock, &rows, "ignored: not_yet");
    }
}

#[test]
fn the_queue_clock_ends_what_waits_for_its_first_start() {
    let late = "QueueTimeout: SaveNow";
    let rows = [
        ("Waiting", late),
        ("Saving", late),
        ("Saving for w", "QueueTimeout by w: SaveNow"),
        ("Saving for w pausing", "QueueTimeout by w: SaveNow"),
        ("Backoff", "Waiting: Enqueue, Save"),
        ("Replacing", late),
        ("Offered", late),
    ];
    let policy = due(Some(9), Some(10));
    check_under(policy, &LifeEvent::Clock, &rows, "ignored: not_yet");
    for mut life in lives() {
        life.first_started = Some(life.queued);
        let answer = answer(policy, &LifeEvent::Clock, &life);
        assert!(
            !answer.contains("QueueTimeout"),
            "{}: {answer}",
            name(&life)
        );
    }
}

#[test]
fn every_state_names_the_next_moment_at_which_time_alone_changes_it() {
    let queue_and_deadline = due(Some(10), Some(20)).dues;
    let until = Duration::from_secs(12);
    for mut life in lives() {
        if let State::Backoff { until: paused } = &mut life.state {
            *paused = until;
            life.first_started = Some(life.queued);
        }
        let seconds = life.clock_at(queue_and_deadline).map(|at| at.as_secs());
        let expected = match &life.state {
            State::Recovering | State::Stopping { .. } | State::Done(_) => None,
            State::Running { .. } if life.stop.is_some() => None,
            State::Running { .. }
            | State::Reserved { .. }
            | State::Behind { attached: true, .. } => Some(20),
            State::Backoff { .. } => Some(12),
            _ => Some(10),
        };
        assert_eq!(seconds, expected, "{}", name(&life));
    }
}

#[test]
fn what_nobody_greeted_with_is_lost_or_waits_or_pauses_anew() {
    let rows = [
        ("Recovering", "Waiting: Enqueue, Save"),
        ("Recovering cancelled", "Cancelled: SaveNow"),
        ("Recovering replaced", "Replaced: SaveNow"),
        ("Recovering late", "DeadlineExceeded: SaveNow"),
        ("Recovering failed", "Backoff: Save"),
        ("Recovering of w", "Saving lost+1: SaveNow"),
        ("Recovering of w cancelled", "Cancelled: SaveNow"),
        ("Recovering of w replaced", "Replaced: SaveNow"),
        ("Recovering of w late", "DeadlineExceeded: SaveNow"),
    ];
    check(&LifeEvent::TakeoverEnded, &rows, "ignored: not_recovering");
}

#[test]
fn a_run_that_fails_after_the_deadline_fails_by_the_deadline() {
    // The worker's word counts as well: its clock may be ahead of the watcher's.
    let cases = [(FailureClass::TimedOut, 9), (FailureClass::Deadline, 11)];
    for (class, deadline) in cases {
        let mut late = life(State::Running { by: holder("w") });
        let event = LifeEvent::Ended {
            by: holder("w"),
            attempt: CURRENT,
            outcome: Outcome::Failed {
                class,
                reason: Reason::TimedOut,
                message: String::new(),
            },
        };
        decide(&mut late, event, due(None, Some(deadline)), now()).unwrap();
        assert_eq!(name(&late), "DeadlineExceeded by w", "{class:?}");
    }
}
