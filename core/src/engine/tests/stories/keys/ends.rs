//! The first one is cancelled, deleted or ended by others: those behind it wait until its run has
//! stopped.

use super::*;

/// What the attached `b` does once nothing of the first one runs.
fn runs_by_itself(story: &mut Story, effects: &[Effect]) {
    assert!(
        published(effects).contains(&attempt("b", 1)),
        "{effects:?} {}",
        story.state("b")
    );
    let id = story.claims("b", TWO);
    let effects = story.succeeds(TWO, &id);
    let all = story.all_written(effects);
    let status = last(&all, "b");
    assert_eq!(
        (status.phase, &status.attached_to),
        (Some(Phase::Succeeded), &None)
    );
    assert_eq!(status.worker.as_deref(), Some("w2"));
}

fn two() -> (Story, AttemptId) {
    let mut story = Story::settled();
    story.greets(TWO, &[], &[]);
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.wait(1000);
    story.all_written(effects);
    (story, id)
}

#[test]
fn after_a_cancelled_one_has_stopped_the_attached_one_runs() {
    let (mut story, id) = two();
    let stop = ToWorker::Cancel(id.clone(), "cancelled");
    assert_eq!(sent(&story.cancels("a"), ONE), vec![stop]);
    let effects = story.wait(5000);
    assert_eq!(published(&effects), vec![]);
    let all = story.all_written(effects);
    let status = last(&all, "b");
    assert_eq!(
        (status.phase, reason(status)),
        (Some(Phase::Queued), "Attached")
    );
    let effects = story.stops(ONE, &id);
    runs_by_itself(&mut story, &effects);
}

#[test]
fn a_cancelled_one_that_succeeds_all_the_same_is_shared() {
    let (mut story, id) = two();
    story.cancels("a");
    let effects = story.succeeds(ONE, &id);
    let all = story.all_written(effects);
    assert_eq!(last(&all, "b").phase, Some(Phase::Succeeded));
}

#[test]
fn after_a_deleted_one_has_stopped_the_attached_one_runs() {
    let (mut story, id) = two();
    let effects = story.tell(gone(&Uid::new("a")));
    assert_eq!(
        (published(&effects), sent(&effects, ONE)),
        (vec![], vec![ToWorker::Cancel(id.clone(), "gone")])
    );
    let effects = story.stops(ONE, &id);
    runs_by_itself(&mut story, &effects);
}

#[test]
fn the_end_of_a_lease_is_a_stop_too() {
    let (mut story, _) = two();
    story.tell(gone(&Uid::new("a")));
    for _ in 0..4 {
        assert_eq!(published(&story.wait(8000)), vec![]);
        story.beats(TWO, &[]);
    }
    let effects = story.wait(8000);
    runs_by_itself(&mut story, &effects);
}

#[test]
fn a_deleted_one_that_comes_back_while_it_stops_goes_first() {
    let (mut story, id) = two();
    story.tell(gone(&Uid::new("a")));
    let observation = story.keyed("a", OnConflict::Attach, Some(running_on("w1")));
    story.shows(observation);
    let effects = story.stops(ONE, &id);
    let all = story.all_written(effects);
    assert_eq!(
        all.iter().map(|(uid, _)| uid).collect::<Vec<_>>(),
        vec!["a"]
    );
    assert!(story.state("a").contains("Offered"), "{}", story.state("a"));
    assert!(story.is_behind("b", "a"), "{}", story.state("b"));
}

#[test]
fn a_deleted_one_that_comes_back_can_be_replaced() {
    let (mut story, id) = two();
    story.tell(gone(&Uid::new("a")));
    let observation = story.keyed("a", OnConflict::Attach, Some(running_on("w1")));
    story.shows(observation);
    assert_eq!(published(&story.joins("c", OnConflict::Replace)), vec![]);
    let effects = story.stops(ONE, &id);
    assert_eq!(reason(&wrote(&effects, "a").unwrap()), "Replaced");
    assert_eq!(published(&effects), vec![attempt("c", 1)]);
    assert!(story.is_behind("b", "c"), "{}", story.state("b"));
}

#[test]
fn one_with_the_same_name_that_was_created_anew_waits_for_the_run_of_the_old_one() {
    let (mut story, id) = two();
    story.cancels("b");
    story.tell(gone(&Uid::new("a")));
    // Nobody holds the key any more: even other parameters are fine.
    let mut anew = story.keyed("n", OnConflict::Reject, None);
    (anew.address.name, anew.digest) = ("a".into(), Some([8; 16]));
    assert_eq!(published(&story.shows(anew)), vec![]);
    assert!(story.is_behind("n", "a"), "{}", story.state("n"));
    assert_eq!(published(&story.stops(ONE, &id)), vec![attempt("n", 1)]);
}

#[test]
fn a_foreign_end_frees_the_key_when_the_run_has_stopped() {
    let (mut story, id) = two();
    let phase = Some(Phase::Failed);
    let status = RequestStatus {
        phase,
        ..running_on("x")
    };
    let observation = story.keyed("a", OnConflict::Attach, Some(status));
    let effects = story.shows(observation);
    assert_eq!(
        (published(&effects), sent(&effects, ONE)),
        (
            vec![],
            vec![ToWorker::Cancel(id.clone(), "ended_elsewhere")]
        )
    );
    let effects = story.stops(ONE, &id);
    runs_by_itself(&mut story, &effects);
}

#[test]
fn a_foreign_success_is_read_and_shared() {
    let (mut story, id) = two();
    let status = RequestStatus {
        phase: Some(Phase::Succeeded),
        result: serde_json::json!({"by": "x"}).as_object().cloned(),
        ..running_on("x")
    };
    let observation = story.keyed("a", OnConflict::Attach, Some(status.clone()));
    assert_eq!(reads(&story.shows(observation)), Vec::<String>::new());
    assert_eq!(reads(&story.stops(ONE, &id)), vec!["a"]);
    let effects = story.tell(Event::StatusRead(
        Uid::new("a"),
        Some(Box::new(status.clone())),
    ));
    let end = wrote(&effects, "b").unwrap();
    assert_eq!(
        (end.phase, end.result),
        (Some(Phase::Succeeded), status.result)
    );
}

#[test]
fn of_several_attached_ones_the_oldest_runs_and_the_others_attach_to_it() {
    let mut story = Story::settled();
    story.attaches("c");
    for uid in ["e", "b", "d"] {
        story.attaches(uid);
    }
    let effects = story.cancels("c");
    assert!(
        published(&effects).contains(&attempt("b", 1)),
        "{effects:?}"
    );
    let effects = story.wait(1000);
    let all = story.all_written(effects);
    for uid in ["d", "e"] {
        assert_eq!(last(&all, uid).attached_to.as_deref(), Some("b"));
    }
    assert_eq!(
        last(&all, "b").attached_to,
        None,
        "{:?}",
        last(&all, "b").conditions
    );
}
