//! The result of one that ended long ago is read when another one shares it.

use super::*;

fn succeeded(by: &str) -> RequestStatus {
    RequestStatus {
        phase: Some(Phase::Succeeded),
        result: serde_json::json!({"by": by}).as_object().cloned(),
        worker: Some("w7".into()),
        ..RequestStatus::default()
    }
}

/// `a` succeeded long ago.
fn one_succeeded() -> Story {
    let mut story = Story::settled();
    let id = story.leads("a");
    let effects = story.succeeds(ONE, &id);
    story.all_written(effects);
    story
}

fn answers(story: &mut Story, status: Option<RequestStatus>) -> Vec<Effect> {
    story.tell(Event::StatusRead(Uid::new("a"), status.map(Box::new)))
}

#[test]
fn late_ones_share_it_with_one_read() {
    let mut story = one_succeeded();
    assert_eq!(reads(&story.attaches("b")), vec!["a"]);
    assert_eq!(reads(&story.attaches("c")), Vec::<String>::new());
    let effects = answers(&mut story, Some(succeeded("a")));
    for uid in ["b", "c"] {
        let status = wrote(&effects, uid).unwrap();
        assert_eq!(
            (status.phase, &status.result),
            (Some(Phase::Succeeded), &succeeded("a").result)
        );
        assert_eq!(
            (status.attached_to.as_deref(), status.worker.as_deref()),
            (Some("a"), Some("w7"))
        );
    }
    assert!(story.engine.reads.is_empty());
    assert_eq!(
        writes(&answers(&mut story, Some(succeeded("x")))),
        vec![],
        "nobody asked"
    );
}

#[test]
fn a_read_that_did_not_work_is_tried_again_later_each_time() {
    let mut story = one_succeeded();
    story.attaches("b");
    for pause in [500, 1000, 2000] {
        assert_eq!(reads(&answers(&mut story, None)), Vec::<String>::new());
        assert_eq!(reads(&story.wait(pause - 1)), Vec::<String>::new());
        let effects = story.wait(1);
        assert_eq!(reads(&effects), vec!["a"]);
    }
    story.written("b");
    let effects = answers(&mut story, Some(succeeded("a")));
    assert!(wrote(&effects, "b").is_some());
}

#[test]
fn what_is_gone_takes_no_place_among_the_reads() {
    let mut story = one_succeeded();
    for nth in 0..20 {
        let gone = Uid::new(&format!("gone-{nth}"));
        story.engine.reads.want(&gone, at(story.now));
    }
    assert_eq!(reads(&story.wait(1)), Vec::<String>::new());
    assert_eq!(reads(&story.attaches("b")), vec!["a"]);
}

#[test]
fn few_are_read_at_once() {
    let mut story = Story::settled();
    let uids: Vec<String> = (0..20).map(|n| format!("a{n:02}")).collect();
    let mut started = vec![];
    for uid in &uids {
        for (uid, status) in [
            (uid.clone(), Some(succeeded("x"))),
            (uid.replace('a', "b"), None),
        ] {
            let mut observation = story.keyed(&uid, OnConflict::Attach, status);
            let key = uid[1..].to_owned();
            observation.spec.as_mut().unwrap().idempotency_key = Some(key);
            started.extend(reads(&story.shows(observation)));
        }
    }
    assert_eq!(started.len(), 8);
    while let Some(uid) = started.pop() {
        let status = Some(Box::new(succeeded("x")));
        let effects = story.tell(Event::StatusRead(Uid::new(&uid), status));
        started.extend(reads(&effects));
    }
    assert!(story.engine.reads.is_empty());
    assert!(
        uids.iter()
            .all(|uid| story.state(&uid.replace('a', "b")).contains("Done"))
    );
}

#[test]
fn one_that_is_deleted_before_its_result_was_read_is_not_waited_for() {
    let mut story = one_succeeded();
    story.attaches("b");
    assert_eq!(
        published(&story.tell(gone(&Uid::new("a")))),
        vec![attempt("b", 1)]
    );
    assert_eq!(writes(&answers(&mut story, Some(succeeded("a")))), vec![]);
    assert!(story.state("b").contains("Offered"), "{}", story.state("b"));
}

#[test]
fn one_that_someone_wrote_over_holds_no_key() {
    let mut story = one_succeeded();
    story.attaches("b");
    let status = RequestStatus {
        phase: Some(Phase::Failed),
        ..succeeded("a")
    };
    let effects = answers(&mut story, Some(status));
    assert_eq!(published(&effects), vec![attempt("b", 1)]);
}

#[test]
fn a_foreign_success_of_one_that_never_ran_is_read_too() {
    let mut story = Story::settled();
    story.attaches("a");
    story.attaches("b");
    let observation = story.keyed("a", OnConflict::Attach, Some(succeeded("x")));
    assert_eq!(reads(&story.shows(observation)), vec!["a"]);
    let effects = answers(&mut story, Some(succeeded("x")));
    assert_eq!(wrote(&effects, "b").unwrap().result, succeeded("x").result);
}

#[test]
fn one_that_another_watcher_ran_meanwhile_shares_the_result_once_its_count_is_durable() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    let elsewhere = RequestStatus {
        lost: 1,
        ..running_on("w9")
    };
    let observation = story.keyed("b", OnConflict::Attach, Some(elsewhere));
    let effects = story.shows(observation);
    assert_eq!(wrote(&effects, "b").unwrap().lost, 2);
    let effects = story.succeeds(ONE, &id);
    assert!(wrote(&effects, "a").is_some());
    story.written("a");
    let effects = story.written("b");
    assert_eq!(
        (published(&effects), reads(&effects)),
        (vec![], vec!["a".into()])
    );
    let effects = answers(&mut story, Some(succeeded("a")));
    assert_eq!(wrote(&effects, "b").unwrap().phase, Some(Phase::Succeeded));
}

#[test]
fn cancelled_while_the_result_is_read_it_stays_cancelled() {
    let mut story = one_succeeded();
    story.attaches("b");
    let effects = story.cancels("b");
    assert_eq!(reason(&wrote(&effects, "b").unwrap()), "Cancelled");
    assert_eq!(writes(&answers(&mut story, Some(succeeded("a")))), vec![]);
    assert!(story.engine.reads.is_empty());
}

#[test]
fn a_success_that_was_listed_holds_the_key_and_what_attached_to_it_does_not() {
    let mut story = Story::settled();
    let attached = RequestStatus {
        attached_to: Some("a".into()),
        ..succeeded("a")
    };
    let list = [
        ("a", OnConflict::Attach, Some(succeeded("a"))),
        ("b", OnConflict::Attach, Some(attached)),
    ];
    story.lists(&list);
    let effects = story.joins("c", OnConflict::Reject);
    assert_eq!(reason(&wrote(&effects, "c").unwrap()), "KeyInUse");
    assert_eq!(reads(&story.attaches("d")), vec!["a"]);
    story.tell(gone(&Uid::new("a")));
    assert!(story.state("d").contains("Offered"), "{}", story.state("d"));
}

#[test]
fn a_replacing_one_runs_after_a_success_and_late_ones_attach_to_it() {
    let mut story = one_succeeded();
    let effects = story.joins("b", OnConflict::Replace);
    assert_eq!(published(&effects), vec![attempt("b", 1)]);
    story.attaches("c");
    assert!(story.is_behind("c", "b"), "{}", story.state("c"));
}
