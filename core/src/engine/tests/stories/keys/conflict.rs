//! Replace and Reject.

use super::*;

#[test]
fn a_replacing_one_runs_only_when_the_first_one_has_stopped() {
    let mut story = Story::settled();
    let id = story.leads("a");
    let effects = story.joins("b", OnConflict::Replace);
    let stop = ToWorker::Cancel(id.clone(), "replaced");
    assert_eq!(
        (published(&effects), sent(&effects, ONE)),
        (vec![], vec![stop])
    );
    let effects = story.wait(1000);
    let all = story.all_written(effects);
    assert_eq!(reason(last(&all, "a")), "Cancelling");
    let status = last(&all, "b");
    assert_eq!(
        (status.phase, reason(status)),
        (Some(Phase::Queued), "Replacing")
    );
    assert_eq!(status.attached_to, None);
    let effects = story.stops(ONE, &id);
    assert_eq!(published(&effects), vec![attempt("b", 1)]);
    let all = story.all_written(effects);
    let status = last(&all, "a");
    assert_eq!(
        (status.phase, reason(status)),
        (Some(Phase::Cancelled), "Replaced")
    );
}

#[test]
fn a_first_one_that_succeeds_all_the_same_is_told_so_and_the_replacing_one_runs() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.joins("b", OnConflict::Replace);
    let effects = story.succeeds(ONE, &id);
    let all = story.all_written(effects);
    assert_eq!(last(&all, "a").phase, Some(Phase::Succeeded));
    story.claims("b", ONE);
}

#[test]
fn what_has_not_started_is_replaced_at_once() {
    let mut story = Story::settled();
    story.attaches("a");
    let effects = story.joins("b", OnConflict::Replace);
    assert_eq!(reason(&wrote(&effects, "a").unwrap()), "Replaced");
    assert_eq!(published(&effects), vec![attempt("b", 1)]);
    let refusal = ToWorker::Refusal(attempt("a", 1), "done");
    let effects = story.tell(Event::Claim(ONE, attempt("a", 1)));
    assert_eq!(sent(&effects, ONE), vec![refusal]);
}

#[test]
fn of_a_chain_the_newest_runs_and_the_middle_one_ends_at_once() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.joins("b", OnConflict::Replace);
    let effects = story.joins("c", OnConflict::Replace);
    assert_eq!(reason(&wrote(&effects, "b").unwrap()), "Replaced");
    assert_eq!(published(&effects), vec![]);
    assert_eq!(published(&story.stops(ONE, &id)), vec![attempt("c", 1)]);
}

#[test]
fn what_was_attached_follows_the_replacing_one() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    story.joins("c", OnConflict::Replace);
    let effects = story.stops(ONE, &id);
    assert_eq!(published(&effects), vec![attempt("c", 1)]);
    assert!(story.is_behind("b", "c"), "{}", story.state("b"));
    let id = story.claims("c", ONE);
    let effects = story.succeeds(ONE, &id);
    let all = story.all_written(effects);
    assert_eq!(last(&all, "b").phase, Some(Phase::Succeeded));
    assert_eq!(last(&all, "b").attached_to.as_deref(), Some("c"));
}

#[test]
fn a_replacing_one_that_is_cancelled_or_too_late_leaves_the_key_to_the_next() {
    let mut story = Story::settled();
    let id = story.leads("a");
    let mut observation = story.keyed("b", OnConflict::Replace, None);
    observation.spec.as_mut().unwrap().queue_timeout_seconds = Some(5);
    story.shows(observation);
    let effects = story.wait(5000);
    assert_eq!(reason(&wrote(&effects, "b").unwrap()), "QueueTimeout");
    assert_eq!(published(&story.attaches("c")), vec![]);
    assert_eq!(published(&story.stops(ONE, &id)), vec![attempt("c", 1)]);
}

#[test]
fn a_key_in_use_or_with_other_params_is_rejected_once_and_keeps_nothing() {
    let mut story = Story::settled();
    let id = story.leads("a");
    let effects = story.joins("b", OnConflict::Reject);
    let status = wrote(&effects, "b").unwrap();
    assert_eq!(
        (status.phase, reason(&status)),
        (Some(Phase::Rejected), "KeyInUse")
    );
    let mut other = story.keyed("c", OnConflict::Replace, None);
    other.digest = Some([8; 16]);
    let effects = story.shows(other);
    assert_eq!(reason(&wrote(&effects, "c").unwrap()), "KeyReused");
    assert_eq!(sent(&effects, ONE), vec![], "nothing is stopped for it");
    story.written("b");
    story.written("c");
    assert_eq!(writes(&story.wait(1000)).len(), 1, "that a runs");
    story.tell(gone(&Uid::new("a")));
    story.stops(ONE, &id);
    assert!(story.keeps_no_key());
}

#[test]
fn the_same_key_in_another_workspace_is_another_key() {
    let mut story = Story::settled();
    story.leads("a");
    assert_eq!(published(&story.attaches("bb")), vec![attempt("bb", 1)]);
}

#[test]
fn a_request_that_is_cancelled_when_it_appears_stands_in_nobodys_way() {
    let mut story = Story::settled();
    let id = story.leads("a");
    let mut observation = story.keyed("b", OnConflict::Replace, None);
    observation.spec.as_mut().unwrap().cancel = Some(true);
    let effects = story.shows(observation);
    assert_eq!(sent(&effects, ONE), vec![]);
    assert_eq!(reason(&wrote(&effects, "b").unwrap()), "Cancelled");
    assert!(story.engine.keyed.keys.contains(&id.uid));
}
