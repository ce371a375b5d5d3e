//! What happens to the object and to its writes.

use super::*;

#[test]
fn what_is_to_stop_ends_when_nobody_runs_it_and_its_worker_is_told_otherwise() {
    for (why, word, end, name) in [
        (Stop::Cancelled, "cancelled", "Cancelled", "cancelled"),
        (Stop::Replaced, "replaced", "Replaced", "replaced"),
        (Stop::Deadline, "deadline", "DeadlineExceeded", "late"),
    ] {
        let ended = format!("{end}: SaveNow");
        let ended_for_w = format!("{end} by w: SaveNow");
        let rows = [
            ("Recovering", format!("Recovering {name}: Save")),
            ("Recovering of w", format!("Recovering of w {name}: Save")),
            (
                "Recovering failed",
                format!("Recovering failed {name}: Save"),
            ),
            ("Waiting", ended.clone()),
            ("Saving", ended.clone()),
            ("Saving for w", ended_for_w.clone()),
            ("Saving for w pausing", ended_for_w),
            ("Backoff", ended.clone()),
            ("Attached", ended.clone()),
            ("Replacing", ended.clone()),
            ("Offered", ended.clone()),
            ("Reserved w", format!("{end}: Refuse w/2 ended, SaveNow")),
            (
                "Running w",
                format!("Running w {name}: Stop w/2 {word}, Save"),
            ),
            ("Stopping w", format!("Stopping w {name}:")),
            ("Stopping w back", format!("Stopping w back {name}:")),
        ];
        let rows: Vec<(&str, &str)> = rows.iter().map(|(state, row)| (*state, &**row)).collect();
        check(&LifeEvent::Stop(why), &rows, "ignored: stopped_or_done");
    }
}

#[test]
fn a_request_that_is_gone_is_forgotten_once_nobody_runs_it() {
    let rows = [
        ("Saving for w", "-: Stale w/2, Forget"),
        ("Saving for w pausing", "-: Stale w/1, Forget"),
        ("Reserved w", "-: Refuse w/2 gone, Forget"),
        ("Running w", "Stopping w: Stop w/2 gone"),
        ("Running w cancelled", "Stopping w cancelled: Stop w/2 gone"),
        ("Running w replaced", "Stopping w replaced: Stop w/2 gone"),
        ("Running w late", "Stopping w late: Stop w/2 gone"),
        ("Stopping w", "-:"),
        ("Stopping w cancelled", "-:"),
        ("Stopping w replaced", "-:"),
        ("Stopping w late", "-:"),
        ("Stopping w back", "Stopping w:"),
        ("Stopping w back cancelled", "Stopping w cancelled:"),
        ("Stopping w back replaced", "Stopping w replaced:"),
        ("Stopping w back late", "Stopping w late:"),
        ("Succeeded by w", "-: Stale w/2, Forget"),
    ];
    check(&LifeEvent::Gone, &rows, "-: Forget");
}

#[test]
fn a_request_that_came_back_runs_again_only_after_its_run_has_stopped() {
    let rows = [
        ("Stopping w", "Stopping w back:"),
        ("Stopping w cancelled", "Stopping w back cancelled:"),
        ("Stopping w replaced", "Stopping w back replaced:"),
        ("Stopping w late", "Stopping w back late:"),
    ];
    check(&LifeEvent::Seen, &rows, "ignored: known");
}

#[test]
fn counts_are_durable_before_the_next_ticket_and_ends_before_recorded() {
    let rows = [
        ("Saving", "Waiting: Enqueue"),
        ("Saving for w", "Waiting: Enqueue, Record w/2"),
        ("Saving for w pausing", "Backoff: Record w/1"),
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
    let rows = [
        ("Saving", "Recovering:"),
        ("Saving for w", "Recovering: Record w/2"),
        // The attempt that comes is one that nobody can have been granted yet.
        ("Saving for w pausing", "Backoff: Record w/1"),
        ("Succeeded", "Succeeded written:"),
        ("Succeeded by w", "Succeeded by w written: Record w/2"),
    ];
    check_under(policy, &LifeEvent::Written, &rows, "ignored: written");
}

#[test]
fn a_foreign_end_is_final() {
    let stopped = "Foreign written: Stop w/2 ended_elsewhere";
    let rows = [
        ("Saving for w", "Foreign written: Stale w/2"),
        ("Saving for w pausing", "Foreign written: Stale w/1"),
        ("Reserved w", "Foreign written: Refuse w/2 done"),
        ("Running w", stopped),
        ("Running w cancelled", stopped),
        ("Running w replaced", stopped),
        ("Running w late", stopped),
        ("Succeeded by w", "Foreign written: Stale w/2"),
        ("Succeeded written", "ignored: done"),
        ("Succeeded by w written", "ignored: done"),
        ("Foreign written", "ignored: done"),
    ];
    check(&LifeEvent::ForeignEnd, &rows, "Foreign written:");
}
