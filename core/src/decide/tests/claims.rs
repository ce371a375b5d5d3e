//! Tickets and claims.

use super::*;

fn claimed(attempt: u32, inline: bool) -> LifeEvent {
    LifeEvent::Claimed {
        by: holder("v"),
        attempt,
        inline,
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
