//! Failures that another try may mend.

use super::*;

fn fails(class: FailureClass) -> LifeEvent {
    let outcome = Outcome::Failed {
        class,
        reason: Reason::JobFailed,
        message: "exit code 75".into(),
    };
    LifeEvent::Ended {
        by: holder("w"),
        attempt: CURRENT,
        outcome,
    }
}

fn running() -> Life {
    life(State::Running { by: holder("w") })
}

#[test]
fn a_failure_that_may_be_mended_is_counted_and_pauses_while_the_budget_lasts() {
    let policy = Policy {
        retries: 1,
        ..POLICY
    };
    let again = "Saving for w pausing failed+1: SaveNow";
    let mut rows = vec![
        ("Recovering", again),
        ("Recovering of w", again),
        // One failure is counted already.
        ("Recovering failed", "JobFailed by w failed+1: SaveNow"),
        ("Running w", again),
        ("Stopping w back", again),
        ("Saving for w", "ignored: outcome_pending"),
        ("Succeeded by w", "ignored: outcome_pending"),
        ("Succeeded by w written", "-: Record w/2"),
    ];
    rows.extend(reports::STOPPED);
    for class in [FailureClass::Retryable, FailureClass::TimedOut] {
        check_under(policy, &fails(class), &rows, "-: Stale w/2");
    }
    let ended = "JobFailed by w failed+1: SaveNow";
    for row in rows.iter_mut().filter(|(_, row)| *row == again) {
        row.1 = ended;
    }
    for class in [FailureClass::Permanent, FailureClass::Invalid] {
        check_under(policy, &fails(class), &rows, "-: Stale w/2");
    }
    check(&fails(FailureClass::Retryable), &rows, "-: Stale w/2");
}

#[test]
fn no_more_failures_are_counted_than_retries_and_one() {
    let policy = Policy {
        retries: 3,
        ..POLICY
    };
    let mut life = running();
    life.lost = 0;
    for failed in 1..=4 {
        let (by, attempt) = (holder("w"), life.attempt());
        assert_eq!(attempt, failed, "failed + lost + 1");
        start(&mut life, by.clone(), now());
        let LifeEvent::Ended { outcome, .. } = fails(FailureClass::Retryable) else {
            unreachable!()
        };
        let ended = LifeEvent::Ended {
            by,
            attempt,
            outcome,
        };
        decide(&mut life, ended, policy, now()).unwrap();
        assert_eq!(life.failed, failed);
    }
    assert_eq!(name(&life), "JobFailed by w");
    assert_eq!(life.attempt(), 4, "the one that ended it");
    let told: Vec<u32> = life.past.iter().map(|past| past.attempt).collect();
    assert_eq!(told, [1, 2, 3], "those before it");
}

#[test]
fn the_pause_doubles_up_to_its_longest_and_is_spread_over_all_of_it() {
    let longest = [8, 16, 32, 60, 60, 60];
    let pause = |seed, failed| {
        Backoff {
            seed,
            ..POLICY.backoff
        }
        .pause(failed)
    };
    for (failed, longest) in (1..).zip(longest) {
        let pauses: Vec<f64> = (0..1000)
            .map(|n| pause(Backoff::seed(&Uid::new(&format!("uid-{n}"))), failed).as_secs_f64())
            .collect();
        let most = f64::from(longest);
        assert!(pauses.iter().all(|pause| *pause < most), "{pauses:?}");
        let quarters = |from: f64| {
            let (low, high) = (most * from, most * (from + 0.25));
            pauses.iter().filter(|p| (low..high).contains(*p)).count()
        };
        for from in [0.0, 0.25, 0.5, 0.75] {
            let n = quarters(from);
            assert!((180..320).contains(&n), "{n} of 1000 from {from} on");
        }
    }
    assert_eq!(pause(1, 1), pause(1, 1), "the same for the same attempt");
    assert_ne!(pause(1, 1) * 2, pause(1, 2), "spread anew each time");
    assert!(pause(3, u32::MAX) < Duration::from_secs(60));
}

#[test]
fn the_newest_five_attempts_are_told_with_short_messages() {
    let mut life = running();
    for attempt in 1..=7 {
        let message = "ä".repeat(200);
        remember(&mut life, attempt, Reason::JobFailed, &message, now());
    }
    let told: Vec<u32> = life.past.iter().map(|past| past.attempt).collect();
    assert_eq!(told, [3, 4, 5, 6, 7]);
    assert_eq!(
        life.past[0].message.len(),
        256,
        "at most, on a letter's end"
    );
    assert_eq!(life.past[0].worker, "w");
}

#[test]
fn a_first_claim_that_was_never_granted_does_not_stop_the_queue_clock() {
    let mut life = Life::accepted(Moment::at(now()));
    start(&mut life, holder("w"), now());
    let missing = LifeEvent::Missing { by: holder("w") };
    decide(&mut life, missing.clone(), POLICY, now()).unwrap();
    assert_eq!(life.first_started, None);
    let mut life = running();
    life.first_started = Some(life.queued);
    decide(&mut life, missing, POLICY, now()).unwrap();
    assert_eq!(life.first_started, Some(life.queued), "an earlier one ran");
}
