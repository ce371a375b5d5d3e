//! What happens to the object and to its writes.

use super::*;

#[test]
fn a_cancel_ends_what_nobody_runs_and_stops_what_somebody_runs() {
    let rows = [
        ("Recovering", "-: Save"),
        ("Recovering of w", "-: Save"),
        ("Waiting", "Cancelled: SaveNow"),
        ("Saving", "Cancelled: SaveNow"),
        ("Saving for w", "Cancelled by w: SaveNow"),
        ("Offered", "Cancelled: SaveNow"),
        ("Reserved w", "Cancelled: Refuse w ended, SaveNow"),
        ("Running w", "-: Stop w/2 cancelled, Save"),
        ("Stopping w", "-:"),
        ("Stopping w back", "-:"),
    ];
    check(
        &LifeEvent::Stop(Stop::Cancelled),
        &rows,
        "ignored: stopped_or_done",
    );
}

#[test]
fn a_request_that_is_gone_is_forgotten_once_nobody_runs_it() {
    let rows = [
        ("Saving for w", "-: Stale w/2, Forget"),
        ("Reserved w", "-: Refuse w gone, Forget"),
        ("Running w", "Stopping w: Stop w/2 gone"),
        ("Running w cancelled", "Stopping w cancelled: Stop w/2 gone"),
        ("Stopping w", "-:"),
        ("Stopping w back", "Stopping w:"),
        ("Stopping w back cancelled", "Stopping w cancelled:"),
        ("Succeeded by w", "-: Stale w/2, Forget"),
    ];
    check(&LifeEvent::Gone, &rows, "-: Forget");
}

#[test]
fn a_request_that_came_back_runs_again_only_after_its_run_has_stopped() {
    check(
        &LifeEvent::Seen,
        &[("Stopping w", "Stopping w back:")],
        "ignored: known",
    );
}

#[test]
fn counts_are_durable_before_the_next_ticket_and_ends_before_recorded() {
    let rows = [
        ("Saving", "Waiting: Enqueue"),
        ("Saving for w", "Waiting: Enqueue, Record w/2"),
        ("Succeeded", "Succeeded written:"),
        ("Succeeded by w", "Succeeded by w written: Record w/2"),
    ];
    check(&LifeEvent::Written, &rows, "ignored: written");
}

#[test]
fn during_a_take_over_a_run_that_ended_in_nothing_waits_for_other_greetings() {
    let policy = Policy {
        taking_over: true,
        ..POLICY
    };
    let mut life = life(State::Saving {
        record: Some(holder("w")),
        pause: Duration::ZERO,
    });
    let acts = decide(&mut life, LifeEvent::Written, policy, now()).unwrap();
    assert_eq!(
        (life.state, acts),
        (State::Recovering, vec![Act::Record(holder("w"), CURRENT)])
    );
}

#[test]
fn a_foreign_end_is_final() {
    let rows = [
        ("Saving for w", "Foreign written: Stale w/2"),
        ("Reserved w", "Foreign written: Refuse w done"),
        ("Running w", "Foreign written: Stop w/2 ended_elsewhere"),
        (
            "Running w cancelled",
            "Foreign written: Stop w/2 ended_elsewhere",
        ),
        ("Succeeded by w", "Foreign written: Stale w/2"),
        ("Succeeded by w written", "ignored: done"),
    ];
    check(&LifeEvent::ForeignEnd, &rows, "Foreign written:");
}
