//! What may be under way, whatever happens to workers and watchers.

use super::*;
use crate::flow::Rate;

#[test]
fn the_concurrency_holds_through_claims_and_lost_attempts() {
    let mut story = Story::limited(concurrency(1));
    story.asks("a", "one", Priority::Normal);
    story.asks("b", "two", Priority::Normal);
    assert_eq!(story.out(), ["a"]);
    assert_eq!(
        story.refusal("b"),
        Some("full"),
        "an old ticket of b turned up"
    );
    assert_eq!(story.refusal("a"), None);
    assert_eq!(story.out(), [""; 0]);
    story.wait(40_000);
    story.greets(TWO, &[], &[]);
    assert!(story.state("a").starts_with("Saving"), "its worker is lost");
    assert_eq!(story.out(), ["b"], "its place is free");
    story.written("a");
    assert_eq!(story.out(), ["b"]);
    let id = story.claims("b", TWO);
    assert_eq!(story.out(), [""; 0]);
    story.succeeds(TWO, &id);
    assert_eq!(story.out(), ["a"]);
}

#[test]
fn what_runs_from_before_a_restart_takes_its_place_before_its_worker_has_greeted() {
    let mut story = Story::restarts(concurrency(1));
    story.listed(&[("a", Some(running_on("w1")))]);
    story.asks("new", "two", Priority::Normal);
    assert_eq!(story.out(), [""; 0]);
    story.greets(ONE, &[attempt("a", 1)], &[]);
    story.beats(ONE, &[attempt("a", 1)]);
    story.wait(20_000);
    story.beats(ONE, &[attempt("a", 1)]);
    story.wait(20_000);
    assert_eq!(story.out(), [""; 0], "it still runs");
    story.succeeds(ONE, &attempt("a", 1));
    assert_eq!(story.out(), ["new"]);
}

#[test]
fn what_an_earlier_watcher_granted_without_a_word_in_its_status_counts_towards_a_limit() {
    for flow in [
        concurrency(1),
        Flow {
            per_key: Some(1),
            ..Flow::default()
        },
    ] {
        let mut story = Story::restarts(flow);
        story.greets(ONE, &[], &[]);
        story.listed(&[]);
        let keyed = |story: &mut Story, uid: &str| story.asks_for_key(uid, Ok(Some("k".into())));
        keyed(&mut story, "new");
        assert_eq!(
            story.out(),
            [""; 0],
            "another may run, and its worker has not greeted"
        );
        for _ in 0..3 {
            story.beats(ONE, &[]);
            story.wait(15_000);
        }
        assert_eq!(story.out(), ["new"], "the take-over is over");
    }
}

#[test]
fn adopted_runs_may_exceed_a_limit_but_count() {
    let mut story = Story::restarts(concurrency(1));
    // Granted and not written before the restart: no status tells of them.
    story.listed(&[("a", None), ("bb", None)]);
    let runs = [attempt("a", 1), attempt("bb", 1)];
    story.greets(ONE, &runs, &[]);
    for _ in 0..3 {
        story.wait(15_000);
        story.beats(ONE, &runs);
    }
    story.asks("new", "two", Priority::Normal);
    story.succeeds(ONE, &runs[0]);
    assert_eq!(story.out(), [""; 0]);
    story.succeeds(ONE, &runs[1]);
    assert_eq!(story.out(), ["new"]);
}

#[test]
fn a_tenant_at_its_limit_leaves_the_place_to_others() {
    let mut story = Story::limited(Flow {
        per_tenant: Some(1),
        ..Flow::default()
    });
    for uid in ["a", "b"] {
        story.asks(uid, "one", Priority::Normal);
    }
    story.asks("c", "two", Priority::Normal);
    assert_eq!(story.out(), ["a", "c"]);
    let id = story.claims("a", ONE);
    assert_eq!(story.out(), ["c"]);
    story.succeeds(ONE, &id);
    assert_eq!(story.out(), ["b", "c"]);
}

#[test]
fn a_rate_holds_for_starts_however_long_the_tickets_waited() {
    let every = Duration::from_secs(10);
    let mut story = Story::limited(Flow {
        rate: Some(Rate { every, burst: 2 }),
        ..Flow::default()
    });
    for uid in ["a", "b", "c", "d"] {
        story.asks(uid, uid, Priority::Normal);
    }
    story.beats(ONE, &[]);
    story.wait(20_000);
    story.beats(ONE, &[]);
    assert_eq!(story.out(), ["a", "b"], "no worker took them so far");
    assert_eq!((story.refusal("a"), story.refusal("b")), (None, None));
    assert_eq!(story.out(), [""; 0]);
    assert_eq!(story.refusal("c"), Some("too_soon"), "an old ticket");
    let wake = story.engine.wake_at(story.now).unwrap();
    assert!(wake <= story.now + every, "{wake:?}");
    story.wait(9_999);
    assert_eq!(story.out(), [""; 0]);
    story.wait(1);
    assert_eq!(story.out(), ["c"]);
}

#[test]
fn a_key_is_for_one_at_a_time_and_holds_up_no_other() {
    let mut story = Story::limited(Flow {
        per_key: Some(1),
        ..Flow::default()
    });
    for (uid, key) in [("a", "repo"), ("b", "repo"), ("c", "other")] {
        story.asks_for_key(uid, Ok(Some(key.into())));
    }
    assert_eq!(story.out(), ["a", "c"]);
    let id = story.claims("a", ONE);
    assert_eq!(story.refusal("b"), Some("full"));
    story.tell(Event::Outcome(ONE, id, Outcome::Interrupted));
    assert_eq!(story.out(), ["b", "c"], "nobody runs with it any more");
}
