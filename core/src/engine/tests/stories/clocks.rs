//! The queue's clock, the deadline, and what is left of them after a restart.

use super::*;
use crate::{admit::ClockLimits, api::Phase};

fn queue(seconds: u32) -> impl FnOnce(&mut RequestSpec) {
    move |spec| spec.queue_timeout_seconds = Some(seconds)
}

fn deadline(seconds: u32) -> impl FnOnce(&mut RequestSpec) {
    move |spec| spec.deadline_seconds = Some(seconds)
}

#[test]
fn a_request_that_nobody_starts_in_time_fails_and_its_ticket_is_worth_nothing() {
    let mut story = Story::settled();
    story.asked("a", queue(20));
    assert_eq!(writes(&story.wait(1000)).len(), 1);
    story.written("a");
    assert_eq!(writes(&story.wait(18_999)), vec![]);
    assert_eq!(
        story.engine.wake_at(story.now),
        Some(story.now + Duration::from_millis(1))
    );
    let end = writes(&story.wait(1)).remove(0);
    assert_eq!(
        (end.phase, reason(&end)),
        (Some(Phase::Failed), "QueueTimeout")
    );
    let effects = story.tell(Event::Claim(ONE, attempt("a", 1)));
    assert_eq!(
        sent(&effects, ONE),
        vec![ToWorker::Refusal(attempt("a", 1), "done")]
    );
}

#[test]
fn the_queue_clock_is_over_once_the_request_has_started() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, |spec| {
        queue(20)(spec);
        spec.retries = Some(1);
    });
    for _ in 0..6 {
        story.beats(ONE, std::slice::from_ref(&id));
        story.wait(5000);
    }
    story.written("a");
    story.fails(ONE, &id);
    story.written("a");
    story.wait(120_000);
    story.greets(TWO, &[], &[]);
    assert!(story.state("a").contains("Offered"), "{}", story.state("a"));
}

#[test]
fn a_passed_deadline_stops_the_job_and_says_why() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, deadline(20));
    story.wait(1000);
    story.written("a");
    let effects = story.wait(19_000);
    let stop = ToWorker::Cancel(id.clone(), "deadline");
    assert_eq!(sent(&effects, ONE), vec![stop]);
    let status = writes(&story.wait(2000)).remove(0);
    assert_eq!(status.phase, Some(Phase::Cancelling));
    let message = &status.conditions[0].message;
    assert!(
        message.contains("w1") && message.contains("deadline"),
        "{message}"
    );
    story.written("a");
    let end = writes(&story.tell(Event::Outcome(ONE, id, Outcome::Cancelled))).remove(0);
    assert_eq!(
        (end.phase, reason(&end)),
        (Some(Phase::Failed), "DeadlineExceeded")
    );
}

#[test]
fn what_succeeds_although_its_deadline_has_passed_has_succeeded() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, deadline(20));
    story.wait(20_000);
    story.written("a");
    assert_eq!(reason(&writes(&story.succeeds(ONE, &id))[0]), "Succeeded");
}

#[test]
fn a_silent_worker_does_not_keep_a_request_beyond_deadline_and_lease() {
    let mut story = Story::settled();
    story.asked_and_runs("a", ONE, deadline(20));
    story.wait(20_000);
    story.written("a");
    let end = writes(&story.wait(15_000)).remove(0);
    assert_eq!((reason(&end), end.lost), ("DeadlineExceeded", 0));
}

#[test]
fn a_retry_does_not_start_after_the_deadline() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, |spec| {
        deadline(4)(spec);
        spec.retries = Some(5);
    });
    story.wait(3900);
    story.fails(ONE, &id);
    // The deadline passes while the counts are on their way.
    story.wait(200);
    let effects = story.written("a");
    assert_eq!(reason(&writes(&effects)[0]), "DeadlineExceeded");
    assert_eq!(sent(&effects, ONE), vec![], "the end is not durable yet");
    assert_eq!(sent(&story.written("a"), ONE), vec![ToWorker::Recorded(id)]);
}

#[test]
fn the_service_sets_and_limits_the_clocks_and_the_status_tells_them() {
    let mut story = Story::settled();
    let limits = |default: Option<u64>, max: u64| ClockLimits {
        default: default.map(Duration::from_secs),
        max: Some(Duration::from_secs(max)),
    };
    (story.service().queue, story.service().deadline) = (limits(Some(30), 60), limits(None, 600));
    story.asked("a", |_| ());
    story.asked("bb", |spec| {
        (spec.queue_timeout_seconds, spec.deadline_seconds) = (Some(3600), Some(90));
    });
    let told: Vec<_> = writes(&story.wait(750))
        .into_iter()
        .chain(writes(&story.written("a")))
        .map(|status| status.effective.unwrap())
        .map(|told| (told.queue_timeout_seconds, told.deadline_seconds))
        .collect();
    assert_eq!(told, [(Some(30), Some(600)), (Some(60), Some(90))]);
}

#[test]
fn a_worker_hears_how_much_time_is_left_and_the_callers_key() {
    let mut story = Story::starts();
    let status = queued_since(&story, 5, |status| {
        status.effective.as_mut().unwrap().deadline_seconds = Some(60);
    });
    let mut observation = story.observation("a", Some(status), false);
    observation.spec.as_mut().unwrap().idempotency_key = Some("release-7".into());
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    story.tell(Event::Observed(Box::new(observation)));
    story.tell(Event::Listed(source()));
    story.wait(35_000);
    story.greets(ONE, &[], &[]);
    let granted = story.tell(Event::Claim(ONE, attempt("a", 1)));
    let [ToWorker::Assignment(assignment)] = &sent(&granted, ONE)[..] else {
        panic!("{granted:?}");
    };
    assert_eq!(assignment.time_left, Some(Duration::from_secs(20)));
    assert_eq!(&*assignment.idempotency_key, "release-7");
}

/// The status of one that was accepted so long ago.
fn queued_since(
    story: &Story,
    seconds: i64,
    change: impl FnOnce(&mut RequestStatus),
) -> RequestStatus {
    let queued = at(story.now).wall - jiff::SignedDuration::from_secs(seconds);
    let mut status = RequestStatus {
        phase: Some(Phase::Queued),
        queued_time: Some(queued),
        effective: Some(crate::api::Effective {
            timeout_seconds: 60,
            ..Default::default()
        }),
        ..RequestStatus::default()
    };
    change(&mut status);
    status
}

#[test]
fn an_inherited_request_is_as_old_as_the_wall_clock_says() {
    let mut story = Story::starts_attended();
    let status = queued_since(&story, 100, |status| {
        status.effective.as_mut().unwrap().queue_timeout_seconds = Some(160);
    });
    story.listed(&[("a", Some(status))]);
    story.wait(35_000);
    story.wait(1000);
    story.written("a");
    story.wait(23_999);
    assert!(story.state("a").contains("Offered"), "{}", story.state("a"));
    assert_eq!(reason(&writes(&story.wait(1))[0]), "QueueTimeout");
}

#[test]
fn the_clocks_of_an_inherited_request_wait_for_the_end_of_the_take_over() {
    let late = |status: &mut RequestStatus| {
        status.effective.as_mut().unwrap().deadline_seconds = Some(5);
    };
    let mut story = Story::starts();
    let waiting = queued_since(&story, 100, late);
    let held = queued_since(&story, 100, |status| {
        late(status);
        (status.phase, status.worker) = (Some(Phase::Running), Some("w1".into()));
    });
    story.listed(&[
        ("a", Some(waiting)),
        ("bb", Some(held.clone())),
        ("ccc", Some(held)),
    ]);
    assert_eq!(writes(&story.wait(34_000)), vec![]);
    let effects = story.greets(ONE, &[attempt("bb", 1)], &[]);
    assert_eq!(sent(&effects, ONE).len(), 1, "welcome");
    // It is held, so its clock runs.
    let stop = ToWorker::Cancel(attempt("bb", 1), "deadline");
    assert_eq!(sent(&story.wait(1), ONE), vec![stop]);
    let mut ends = writes(&story.wait(1000));
    ends.retain(status::has_ended);
    let reasons: Vec<_> = ends.iter().map(reason).collect();
    assert_eq!(reasons, ["DeadlineExceeded"; 2], "what nobody has");
}

#[test]
fn why_a_request_is_being_stopped_survives_a_restart() {
    let mut story = Story::settled();
    story.asked_and_runs("a", ONE, deadline(20));
    story.wait(1000);
    story.written("a");
    story.wait(19_000);
    let stopping = writes(&story.wait(2000)).remove(0);
    let mut next = Story::starts();
    next.listed(&[("a", Some(stopping))]);
    let effects = next.greets(ONE, &[attempt("a", 1)], &[]);
    let stop = ToWorker::Cancel(attempt("a", 1), "deadline");
    assert!(sent(&effects, ONE).contains(&stop), "{effects:?}");
    let effects = next.tell(Event::Outcome(ONE, attempt("a", 1), Outcome::Interrupted));
    assert_eq!(reason(&writes(&effects)[0]), "DeadlineExceeded");
}

#[test]
fn a_clock_wakes_the_engine_once_and_not_before_its_time() {
    let mut story = Story::settled();
    story.asked("a", queue(3600));
    story.wait(1000);
    story.written("a");
    story.tell(Event::SessionClosed(ONE));
    story.wait(60_000);
    let due = story.engine.wake_at(story.now).unwrap();
    assert!(due >= story.now + Duration::from_secs(3500), "{due:?}");
}
