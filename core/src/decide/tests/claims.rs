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
fn a_ticket_that_may_not_be_claimed_now_is_worth_nothing() {
    let rows = [("Offered", "Waiting: Enqueue")];
    check(&LifeEvent::Withdrawn, &rows, "ignored: not_offered");
}

#[test]
fn a_ticket_that_nobody_claims_is_published_again() {
    let rows = [("Offered", "Offered: Publish")];
    check(&LifeEvent::Unclaimed, &rows, "ignored: not_offered");
}

#[test]
fn a_claim_is_granted_only_while_nobody_holds_the_attempt() {
    let why_not = |state: &str| {
        let starts = |word: &str| state.starts_with(word);
        match state {
            _ if starts("Recovering") => "taking_over",
            _ if starts("Saving") => "not_durable",
            "Backoff" => "pausing",
            "Attached" | "Replacing" => "behind",
            _ if starts("Reserved") || starts("Running") => "held",
            _ if starts("Stopping") => "gone",
            _ => "done",
        }
    };
    for (inline, granted) in [
        (true, "Running v: Grant v, Save"),
        (false, "Reserved v: ReadParams"),
    ] {
        for life in lives() {
            let state = name(&life);
            let expected = match &*state {
                "Waiting" | "Offered" => granted.to_owned(),
                _ => format!("-: Refuse v/2 {}", why_not(&state)),
            };
            let answer = answer(POLICY, &claimed(CURRENT, inline), &life);
            assert_eq!(answer, expected, "{state}");
        }
    }
}

#[test]
fn a_claim_of_another_attempt_is_refused_by_its_own_number() {
    let event = claimed(CURRENT - 1, true);
    check(&event, &[], "-: Refuse v/1 other_attempt");
    let event = claimed(CURRENT + 1, false);
    check(&event, &[], "-: Refuse v/3 other_attempt");
}

#[test]
fn the_read_of_the_parameters_decides_on_a_reserved_claim() {
    let rows = [("Reserved w", "Running w: Grant w, Save")];
    let read = LifeEvent::ParamsRead { ok: true };
    check(&read, &rows, "ignored: not_reserved");
    let answer = "Waiting: Refuse w/2 params_unreadable, EnqueueLater";
    let read = LifeEvent::ParamsRead { ok: false };
    check(&read, &[("Reserved w", answer)], "ignored: not_reserved");
}
