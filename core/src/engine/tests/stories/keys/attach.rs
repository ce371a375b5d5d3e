//! An attached request shows what the first one does and ends as it does.

use super::*;

#[test]
fn it_never_runs_and_shows_the_phase_the_worker_and_the_progress_of_the_first_one() {
    let mut story = Story::settled();
    let id = story.leads("a");
    assert_eq!(published(&story.attaches("b")), vec![]);
    let claim = story.tell(Event::Claim(ONE, attempt("b", 1)));
    let refused = ToWorker::Refusal(attempt("b", 1), "behind");
    assert_eq!(sent(&claim, ONE), vec![refused]);
    let progress = Progress {
        percent: 40,
        message: "half".into(),
    };
    story.tell(Event::Progress(ONE, id, progress.clone()));
    let effects = story.wait(1000);
    let all = story.all_written(effects);
    let (first, second) = (last(&all, "a"), last(&all, "b"));
    assert_eq!(second.phase, Some(Phase::Running));
    assert_eq!(reason(second), "Running");
    assert_eq!(second.attached_to.as_deref(), Some("a"));
    assert_eq!(second.worker.as_deref(), Some("w1"));
    assert_eq!(second.progress, Some(progress));
    assert_eq!(
        (second.start_time, second.attempt),
        (first.start_time, None)
    );
}

#[test]
fn its_writes_are_coalesced_as_progress_comes() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.wait(1000);
    story.all_written(effects);
    for percent in 1..50 {
        let message = String::new();
        story.now += Duration::from_millis(20);
        let progress = Progress { percent, message };
        let effects = story.tell(Event::Progress(ONE, id.clone(), progress));
        assert_eq!(writes(&effects), vec![]);
    }
    let effects = story.wait(2000);
    let all = story.all_written(effects);
    assert_eq!(all.len(), 2, "one of each: {all:?}");
    assert_eq!(last(&all, "b").progress.as_ref().unwrap().percent, 49);
}

#[test]
fn it_says_queued_and_attached_while_the_first_one_waits_or_pauses() {
    let mut story = Story::settled();
    story.service().retries = 1;
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.wait(1000);
    story.all_written(effects);
    let effects = story.fails(ONE, &id);
    story.all_written(effects);
    let effects = story.wait(2000);
    let all = story.all_written(effects);
    let status = last(&all, "b");
    assert_eq!(
        (status.phase, reason(status)),
        (Some(Phase::Queued), "Attached")
    );
    assert_eq!(
        (&status.worker, status.start_time, status.failed),
        (&None, None, 0)
    );
}

#[test]
fn it_ends_with_the_same_result_once_the_first_end_is_durable() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.wait(1000);
    story.all_written(effects);
    let effects = story.tell(Event::Outcome(ONE, id, with_result()));
    assert!(wrote(&effects, "b").is_none(), "{effects:?}");
    let all = story.all_written(effects);
    let (first, second) = (last(&all, "a"), last(&all, "b"));
    assert_eq!(
        (first.phase, second.phase),
        (Some(Phase::Succeeded), Some(Phase::Succeeded))
    );
    assert!(first.result.is_some() && !first.artifacts.is_empty());
    assert_eq!(
        (&second.result, &second.artifacts),
        (&first.result, &first.artifacts)
    );
    assert_eq!(
        (&second.worker, second.start_time),
        (&first.worker, first.start_time)
    );
    assert_eq!(second.attached_to.as_deref(), Some("a"));
    assert_eq!(writes(&story.wait(60_000)), vec![], "and that is all");
    story.tell(gone(&Uid::new("a")));
    assert!(
        story.keeps_no_key(),
        "what shared an end does not hold the key"
    );
}

#[test]
fn it_goes_on_showing_the_run_until_the_end_of_the_first_one_is_durable() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.succeeds(ONE, &id);
    assert_eq!(wrote(&effects, "a").unwrap().phase, Some(Phase::Succeeded));
    story.tell(Event::Written(Uid::new("a"), WriteResult::Retry));
    let effects = story.wait(1000);
    assert!(wrote(&effects, "a").is_some(), "tried again");
    let status = wrote(&effects, "b").unwrap();
    assert_ne!(status.phase, Some(Phase::Succeeded));
    assert_eq!(status.attached_to.as_deref(), Some("a"));
}

#[test]
fn a_run_that_was_shown_is_shown_until_the_end_is_durable() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.wait(1000);
    story.all_written(effects);
    let progress = Progress {
        percent: 99,
        message: String::new(),
    };
    story.tell(Event::Progress(ONE, id.clone(), progress));
    story.succeeds(ONE, &id);
    let effects = story.wait(2000);
    assert_eq!(writes(&effects), vec![], "what it shows is still right");
}

#[test]
fn it_fails_with_the_first_one_and_nothing_is_kept() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    let effects = story.fails(ONE, &id);
    let all = story.all_written(effects);
    let (first, second) = (last(&all, "a"), last(&all, "b"));
    assert_eq!((first.phase, reason(first)), (second.phase, reason(second)));
    assert_eq!(reason(second), "JobFailed");
    assert_eq!(second.conditions[0].message, first.conditions[0].message);
    assert!(story.keeps_no_key());
    assert_eq!(published(&story.attaches("c")), vec![attempt("c", 1)]);
}

#[test]
fn cancelling_or_deleting_it_ends_only_itself() {
    let mut story = Story::settled();
    let id = story.leads("a");
    story.attaches("b");
    story.attaches("c");
    let effects = story.wait(1000);
    let all = story.all_written(effects);
    assert_eq!(last(&all, "b").worker.as_deref(), Some("w1"));
    let effects = story.cancels("b");
    assert_eq!(sent(&effects, ONE), vec![]);
    let all = story.all_written(effects);
    let status = last(&all, "b");
    assert_eq!(
        (status.phase, reason(status)),
        (Some(Phase::Cancelled), "Cancelled")
    );
    assert_eq!(
        (&status.worker, status.start_time),
        (&None, None),
        "it never ran"
    );
    assert_eq!(sent(&story.tell(gone(&Uid::new("c"))), ONE), vec![]);
    let effects = story.succeeds(ONE, &id);
    let all = story.all_written(effects);
    assert_eq!(all.len(), 1, "{all:?}");
}

#[test]
fn only_its_deadline_counts_while_it_waits() {
    let mut story = Story::settled();
    let id = story.leads("a");
    let mut observation = story.keyed("b", OnConflict::Attach, None);
    let spec = observation.spec.as_mut().unwrap();
    (spec.queue_timeout_seconds, spec.deadline_seconds) = (Some(5), Some(20));
    story.shows(observation);
    story.wait(10_000);
    assert!(story.is_behind("b", "a"), "{}", story.state("b"));
    let effects = story.wait(10_000);
    assert_eq!(reason(&wrote(&effects, "b").unwrap()), "DeadlineExceeded");
    assert_eq!(
        sent(&story.beats(ONE, &[id]), ONE),
        vec![ToWorker::HeartbeatAck(1)]
    );
}

#[test]
fn the_job_hears_the_key() {
    let mut story = Story::settled();
    story.attaches("a");
    let effects = story.tell(Event::Claim(ONE, attempt("a", 1)));
    let keys: Vec<_> = sent(&effects, ONE)
        .into_iter()
        .map(|message| match message {
            ToWorker::Assignment(assignment) => assignment.idempotency_key,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, vec!["release-1".into()]);
}
