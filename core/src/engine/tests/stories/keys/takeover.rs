//! A restarted watcher finds the same first one, whatever the statuses do not tell.

use super::*;

/// The status of one that is attached to `a`, which ran on that worker.
fn attached(worker: Option<&str>) -> RequestStatus {
    let status = worker.map_or_else(queued, running_on);
    RequestStatus {
        attached_to: Some("a".into()),
        attempt: None,
        ..status
    }
}

fn queued() -> RequestStatus {
    RequestStatus {
        phase: Some(Phase::Queued),
        ..RequestStatus::default()
    }
}

fn replacing() -> RequestStatus {
    let mut story = Story::settled();
    story.leads("a");
    story.joins("b", OnConflict::Replace);
    let effects = story.wait(1000);
    let all = story.all_written(effects);
    last(&all, "b").clone()
}

const ATTACH: OnConflict = OnConflict::Attach;
const REPLACE: OnConflict = OnConflict::Replace;

#[test]
fn an_attached_one_is_never_believed_to_run_on_the_worker_that_its_status_names() {
    let mut story = Story::starts();
    story.greets(ONE, &[attempt("a", 1)], &[]);
    story.lists(&[
        ("a", ATTACH, Some(running_on("w1"))),
        ("b", ATTACH, Some(attached(Some("w1")))),
    ]);
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
    story.beats(ONE, &[attempt("a", 1)]);
    let effects = story.wait(20_000);
    story.all_written(effects);
    story.beats(ONE, &[attempt("a", 1)]);
    let effects = story.wait(15_000);
    assert!(story.is_behind("b", "a"), "{}", story.state("b"));
    assert_eq!(
        (published(&effects), writes(&effects)),
        (vec![], vec![]),
        "nothing changed"
    );
    let effects = story.succeeds(ONE, &attempt("a", 1));
    let all = story.all_written(effects);
    assert_eq!(last(&all, "b").phase, Some(Phase::Succeeded));
}

#[test]
fn places_are_decided_when_the_take_over_ends_and_the_least_one_runs() {
    let mut story = Story::starts_attended();
    story.lists(&[
        ("c", ATTACH, None),
        ("b", ATTACH, None),
        ("d", ATTACH, Some(queued())),
    ]);
    // New for certain, but its key is not decided.
    let mut late = story.keyed("a", ATTACH, None);
    late.created = Some(jiff::Timestamp::from_second(1_700_000_001).unwrap());
    assert_eq!(published(&story.shows(late)), vec![]);
    let mut other = story.keyed("e", ATTACH, None);
    other.created = Some(jiff::Timestamp::from_second(1_700_000_001).unwrap());
    other.spec.as_mut().unwrap().idempotency_key = Some("other".into());
    assert_eq!(published(&story.shows(other)), vec![attempt("e", 1)]);
    assert_eq!(published(&story.wait(34_999)), vec![]);
    assert_eq!(published(&story.wait(1)), vec![attempt("b", 1)]);
    for uid in ["a", "c", "d"] {
        assert!(story.is_behind(uid, "b"), "{}", story.state(uid));
    }
}

#[test]
fn one_that_was_granted_without_a_word_in_its_status_is_first_when_its_worker_greets() {
    let mut story = Story::starts();
    story.lists(&[("a", ATTACH, None), ("b", ATTACH, None)]);
    story.greets(ONE, &[attempt("b", 1)], &[]);
    story.wait(20_000);
    story.beats(ONE, &[attempt("b", 1)]);
    let effects = story.wait(15_000);
    assert_eq!(published(&effects), vec![]);
    assert!(story.is_behind("a", "b"), "{}", story.state("a"));
}

#[test]
fn one_that_was_lost_with_its_worker_stays_the_first() {
    let mut story = Story::starts_attended();
    story.lists(&[
        ("a", ATTACH, Some(queued())),
        ("b", ATTACH, Some(running_on("w9"))),
    ]);
    let effects = story.wait(35_000);
    assert_eq!(wrote(&effects, "b").unwrap().lost, 1);
    assert!(story.is_behind("a", "b"), "{}", story.state("a"));
    assert_eq!(published(&story.written("b")), vec![attempt("b", 2)]);
}

#[test]
fn what_did_not_wait_by_its_status_comes_before_what_did() {
    let mut story = Story::starts_attended();
    story.lists(&[
        ("b", ATTACH, Some(attached(None))),
        ("c", ATTACH, Some(queued())),
    ]);
    assert_eq!(published(&story.wait(35_000)), vec![attempt("c", 1)]);
    assert!(story.is_behind("b", "c"), "{}", story.state("b"));
}

#[test]
fn an_attached_one_whose_first_one_was_deleted_waits_for_the_run_that_nobody_knows() {
    let mut story = Story::starts();
    story.lists(&[("b", ATTACH, Some(attached(Some("w1"))))]);
    let run = attempt("a", 1);
    let effects = story.greets(ONE, std::slice::from_ref(&run), &[]);
    assert!(sent(&effects, ONE).contains(&ToWorker::Cancel(run.clone(), "unknown")));
    story.wait(20_000);
    story.beats(ONE, std::slice::from_ref(&run));
    assert_eq!(published(&story.wait(15_000)), vec![], "it may be its own");
    assert_eq!(published(&story.beats(ONE, &[])), vec![attempt("b", 1)]);
}

#[test]
fn a_first_one_that_is_deleted_during_the_take_over_is_waited_for_too() {
    let mut story = Story::starts();
    story.lists(&[
        ("a", ATTACH, None),
        ("b", ATTACH, Some(attached(Some("w1")))),
    ]);
    story.tell(gone(&Uid::new("a")));
    let run = attempt("a", 1);
    story.greets(ONE, std::slice::from_ref(&run), &[]);
    story.wait(20_000);
    story.beats(ONE, std::slice::from_ref(&run));
    assert_eq!(published(&story.wait(15_000)), vec![]);
    assert_eq!(published(&story.stops(ONE, &run)), vec![attempt("b", 1)]);
}

#[test]
fn a_replacing_one_stops_the_first_again_and_runs_after_it() {
    let mut story = Story::starts();
    story.lists(&[
        ("a", ATTACH, Some(running_on("w1"))),
        ("b", REPLACE, Some(replacing())),
    ]);
    story.greets(ONE, &[attempt("a", 1)], &[]);
    story.wait(20_000);
    story.beats(ONE, &[attempt("a", 1)]);
    let effects = story.wait(15_000);
    let stop = ToWorker::Cancel(attempt("a", 1), "replaced");
    assert_eq!(
        (published(&effects), sent(&effects, ONE)),
        (vec![], vec![stop])
    );
    story.written("a");
    let effects = story.stops(ONE, &attempt("a", 1));
    assert_eq!(reason(&wrote(&effects, "a").unwrap()), "Replaced");
    assert_eq!(published(&effects), vec![attempt("b", 1)]);
}

#[test]
fn a_replacing_one_that_runs_already_ends_those_that_it_replaced() {
    let mut story = Story::starts();
    story.lists(&[
        ("a", ATTACH, Some(queued())),
        ("b", REPLACE, Some(replacing())),
        ("c", REPLACE, Some(running_on("w1"))),
    ]);
    story.greets(ONE, &[attempt("c", 1)], &[]);
    story.wait(20_000);
    story.beats(ONE, &[attempt("c", 1)]);
    let effects = story.wait(15_000);
    for uid in ["a", "b"] {
        assert_eq!(reason(&wrote(&effects, uid).unwrap()), "Replaced");
    }
    assert!(story.state("c").contains("Running"), "{}", story.state("c"));
}

#[test]
fn one_that_was_cancelled_meanwhile_ends_and_holds_up_nobody() {
    let mut story = Story::starts();
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    let mut cancelled = story.keyed("a", ATTACH, Some(queued()));
    cancelled.spec.as_mut().unwrap().cancel = Some(true);
    story.shows(cancelled);
    let observation = story.keyed("b", ATTACH, Some(attached(None)));
    story.shows(observation);
    story.tell(Event::Listed(source()));
    let effects = story.wait(35_000);
    assert_eq!(reason(&wrote(&effects, "a").unwrap()), "Cancelled");
    let effects = story.greets(ONE, &[], &[]);
    assert_eq!(published(&effects), vec![attempt("b", 1)]);
}

#[test]
fn what_ends_during_the_take_over_is_shared_when_it_is_over() {
    let mut story = Story::starts();
    story.lists(&[
        ("a", ATTACH, Some(running_on("w1"))),
        ("b", ATTACH, Some(attached(Some("w1")))),
    ]);
    story.greets(ONE, &[attempt("a", 1)], &[]);
    let effects = story.succeeds(ONE, &attempt("a", 1));
    let all = story.all_written(effects);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(reads(&story.wait(35_000)), vec!["a"]);
}

#[test]
fn after_a_clean_hand_over_places_are_decided_at_once() {
    let mut story = Story::starts();
    story.tell(Event::HandedOver);
    story.greets(ONE, &[], &[]);
    let effects = story.lists(&[
        ("a", ATTACH, Some(queued())),
        ("b", ATTACH, Some(attached(None))),
    ]);
    assert_eq!(published(&effects), vec![attempt("a", 1)]);
    assert!(story.is_behind("b", "a"), "{}", story.state("b"));
}

#[test]
fn after_a_clean_hand_over_a_running_first_one_is_waited_for() {
    let mut story = Story::starts();
    story.tell(Event::HandedOver);
    story.lists(&[
        ("a", ATTACH, Some(running_on("w1"))),
        ("b", ATTACH, Some(attached(Some("w1")))),
    ]);
    assert!(story.is_behind("b", "a"), "{}", story.state("b"));
    assert!(
        story.state("a").contains("Recovering"),
        "{}",
        story.state("a")
    );
    story.greets(ONE, &[attempt("a", 1)], &[]);
    let effects = story.joins("c", REPLACE);
    let stop = ToWorker::Cancel(attempt("a", 1), "replaced");
    assert_eq!(
        (published(&effects), sent(&effects, ONE)),
        (vec![], vec![stop])
    );
    let effects = story.stops(ONE, &attempt("a", 1));
    assert_eq!(published(&effects), vec![attempt("c", 1)]);
    assert!(story.is_behind("b", "c"), "{}", story.state("b"));
}
