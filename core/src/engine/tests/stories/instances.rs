//! Several instances on one API: whose a request is, and when it is started.

use super::*;
use crate::api::Phase;

/// An engine of an instance that selects.
fn selecting(name: &str, adopts: &[&str]) -> Config {
    Config {
        instance: name.into(),
        claims: true,
        adopts: adopts.iter().map(|name| (*name).into()).collect(),
        ..config()
    }
}

/// A watcher of such an instance that has just started.
fn starts(name: &str, adopts: &[&str]) -> Story {
    Story {
        engine: Engine::new(selecting(name, adopts), at(Duration::ZERO)),
        ..Story::starts()
    }
}

/// One whose take-over is over, with a worker.
fn settled_as(name: &str) -> Story {
    let mut story = starts(name, &[]);
    story.listed(&[]);
    story.wait(40_000);
    story.greets(ONE, &[], &[]);
    story
}

fn named(name: &str, status: RequestStatus) -> RequestStatus {
    RequestStatus {
        controller: Some(name.into()),
        ..status
    }
}

fn queued() -> RequestStatus {
    RequestStatus {
        phase: Some(Phase::Queued),
        ..RequestStatus::default()
    }
}

fn conflict(
    story: &mut Story,
    uid: &str,
    status: Option<RequestStatus>,
    selected: bool,
) -> Vec<Effect> {
    let mut found = story.observation(uid, status, false);
    found.selected = selected;
    let result = WriteResult::Conflict(Box::new(found));
    story.tell(Event::Written(Uid::new(uid), result))
}

#[test]
fn our_name_is_durable_before_the_first_ticket() {
    let mut story = settled_as("a");
    let effects = story.seen("x", None, false);
    assert_eq!(published(&effects), vec![]);
    let status = writes(&effects).remove(0);
    assert_eq!(status.controller.as_deref(), Some("a"));
    assert_eq!(status.phase, Some(Phase::Queued));
    let early = story.tell(Event::Claim(ONE, attempt("x", 1)));
    assert!(
        matches!(sent(&early, ONE)[..], [ToWorker::Refusal(..)]),
        "{early:?}"
    );
    assert_eq!(
        published(&story.wait(5000)),
        vec![],
        "the write is still on its way"
    );
    assert_eq!(published(&story.written("x")), vec![attempt("x", 1)]);
    let id = story.claims("x", ONE);
    let end = writes(&story.succeeds(ONE, &id)).remove(0);
    assert_eq!(end.controller.as_deref(), Some("a"), "and it stays there");
}

#[test]
fn an_instance_that_does_not_select_writes_no_name_and_leaves_named_ones_alone() {
    let mut story = Story::settled();
    let effects = story.seen("x", None, false);
    assert_eq!(published(&effects).len(), 1);
    let id = story.claims("x", ONE);
    let end = writes(&story.succeeds(ONE, &id)).remove(0);
    assert_eq!(end.controller, None);
    for status in [queued(), running_on("w1")] {
        assert!(story.seen("y", Some(named("b", status)), false).is_empty());
        assert_eq!(story.state("y"), "none");
    }
}

#[test]
fn what_is_not_selected_is_left_untouched_and_not_kept() {
    let mut story = settled_as("a");
    let mut other = story.observation("x", None, false);
    other.selected = false;
    let effects = story.tell(Event::Observed(Box::new(other)));
    assert!(effects.is_empty(), "{effects:?}");
    assert!(story.engine.entries.is_empty());
}

#[test]
fn who_comes_second_lets_go_without_a_trace() {
    let mut story = settled_as("a");
    story.seen("x", None, false);
    let effects = conflict(&mut story, "x", Some(named("b", queued())), true);
    assert_eq!((writes(&effects), published(&effects)), (vec![], vec![]));
    assert!(story.engine.entries.is_empty() && story.engine.is_clean());
    let later = story.wait(60_000);
    assert_eq!((writes(&later), published(&later)), (vec![], vec![]));
}

#[test]
fn a_rejection_of_who_comes_second_is_not_written_either() {
    let mut story = settled_as("a");
    let effects = story.asked("x", |spec| spec.service = "rocket".into());
    assert_eq!(reason(&writes(&effects)[0]), "UnknownService");
    let effects = conflict(&mut story, "x", Some(named("b", queued())), true);
    assert_eq!(writes(&effects), vec![]);
    assert!(story.engine.entries.is_empty());
}

#[test]
fn a_label_that_is_taken_off_before_our_name_is_there_frees_the_request() {
    let mut story = settled_as("a");
    story.seen("x", None, false);
    let effects = conflict(&mut story, "x", None, false);
    assert_eq!((writes(&effects), published(&effects)), (vec![], vec![]));
    assert!(story.engine.entries.is_empty());
}

#[test]
fn a_label_that_changes_later_changes_nothing() {
    let mut story = settled_as("a");
    let claimed = writes(&story.seen("x", None, false)).remove(0);
    story.written("x");
    let id = story.claims("x", ONE);
    for status in [Some(claimed), None] {
        let mut found = story.observation("x", status, false);
        found.selected = false;
        let effects = story.tell(Event::Observed(Box::new(found)));
        assert_eq!(sent(&effects, ONE), vec![]);
    }
    let end = story.succeeds(ONE, &id);
    assert_eq!(reason(&writes(&end)[0]), "Succeeded");
}

#[test]
fn a_new_watcher_of_the_instance_goes_on_with_what_bears_its_name() {
    let mut story = starts("a", &[]);
    story.listed(&[]);
    story.wait(40_000);
    story.greets(ONE, &[], &[]);
    let mut found = story.observation("x", Some(named("a", queued())), false);
    found.selected = false;
    let effects = story.tell(Event::Observed(Box::new(found)));
    assert_eq!(published(&effects), vec![attempt("x", 1)], "named already");
}

#[test]
fn a_run_whose_name_another_instance_replaced_is_stopped_and_not_written() {
    let mut story = settled_as("a");
    story.seen("x", None, false);
    story.written("x");
    let id = story.claims("x", ONE);
    let taken = named("b", running_on("w1"));
    let effects = story.seen("x", Some(taken.clone()), false);
    let told = sent(&effects, ONE);
    assert!(
        matches!(&told[..], [ToWorker::Cancel(of, _)] if *of == id),
        "{told:?}"
    );
    assert_eq!(writes(&story.wait(5000)), vec![]);
    let effects = story.tell(Event::Outcome(ONE, id.clone(), Outcome::Cancelled));
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Stale(id)]);
    assert_eq!(writes(&effects), vec![]);
    assert!(story.engine.entries.is_empty());
    story.seen("x", Some(taken), false);
    assert!(story.engine.entries.is_empty());
}

#[test]
fn an_older_view_takes_nothing_away() {
    let mut story = settled_as("a");
    let older = story.observation("x", Some(named("b", queued())), false);
    let claimed = story.seen("x", None, false);
    assert_eq!(writes(&claimed).len(), 1);
    story.tell(Event::Observed(Box::new(older)));
    assert_ne!(story.state("x"), "none");
    assert_eq!(published(&story.written("x")).len(), 1);
}

#[test]
fn what_an_instance_left_behind_is_taken_over_after_a_lease_by_name() {
    let mut story = starts("a", &["old"]);
    let left = [
        ("run", Some(named("old", running_on("w9")))),
        ("wait", Some(named("old", queued()))),
        ("other", Some(named("b", queued()))),
    ];
    story.tell(Event::HandedOver);
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    let mut effects = vec![];
    for (uid, status) in left {
        effects.extend(story.seen(uid, status, false));
    }
    effects.extend(story.tell(Event::Listed(source())));
    story.greets(BYSTANDER, &[], &[]);
    story.attended = true;
    assert_eq!(published(&effects), vec![], "its workers may live on");
    let names = writes(&effects);
    assert_eq!(names.len(), 2, "the old one is told at once: {names:?}");
    assert!(
        names
            .iter()
            .all(|status| status.controller.as_deref() == Some("a"))
    );
    for uid in ["run", "wait"] {
        story.written(uid);
    }
    assert_eq!(published(&story.wait(20_000)), vec![]);
    let effects = story.wait(20_000);
    let lost = writes(&effects).into_iter().find(|status| status.lost == 1);
    assert!(lost.is_some(), "{effects:?}");
    assert_eq!(published(&effects), vec![attempt("wait", 1)]);
    assert_eq!(published(&story.written("run")), vec![attempt("run", 2)]);
    assert_eq!(story.state("other"), "none");
}

#[test]
fn no_mark_is_left_while_what_was_taken_over_waits_for_its_workers() {
    for (left_by, mark) in [("old", false), ("a", true)] {
        let mut story = starts("a", &["old"]);
        story.tell(Event::HandedOver);
        story.listed(&[("wait", Some(named(left_by, queued())))]);
        story.written("wait");
        story.tell(Event::Drain);
        assert!(story.engine.is_clean());
        assert_eq!(
            story.engine.hands_over(story.now),
            mark,
            "left by {left_by}"
        );
    }
}

#[test]
fn an_instance_that_still_works_is_not_robbed() {
    let mut story = starts("a", &["old"]);
    story.listed(&[]);
    story.wait(40_000);
    let effects = story.seen("x", Some(named("old", running_on("w9"))), false);
    assert!(effects.is_empty() && story.engine.entries.is_empty());
}

#[test]
fn what_is_under_way_without_a_name_gets_ours_at_once() {
    let mut story = starts("a", &[]);
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    let mut effects = story.seen("run", Some(running_on("w1")), false);
    effects.extend(story.seen("wait", Some(queued()), false));
    let names = writes(&effects);
    assert_eq!(names.len(), 2, "{names:?}");
    let ours = |status: &RequestStatus| status.controller.as_deref() == Some("a");
    assert!(names.iter().all(ours), "{names:?}");
}

#[test]
fn a_name_that_is_there_stays_when_the_instance_does_not_select_any_more() {
    let mut story = Story::settled();
    story.seen("x", Some(named("isc", queued())), false);
    let id = story.claims("x", ONE);
    let end = writes(&story.succeeds(ONE, &id)).remove(0);
    assert_eq!(end.controller.as_deref(), Some("isc"));
}

#[test]
fn who_waits_for_a_service_is_anybodys_who_has_it() {
    let mut story = settled_as("a");
    story.engine.config.unknown_service = Duration::from_secs(60);
    let rocket = |story: &mut Story, status| {
        let mut found = story.observation("x", status, false);
        found.spec.as_mut().unwrap().service = "rocket".into();
        found.created = Some(at(story.now).wall);
        found.service_known = false;
        found
    };
    let found = rocket(&mut story, None);
    story.tell(Event::Observed(Box::new(found)));
    let waits = writes(&story.wait(1000)).remove(0);
    assert_eq!(reason(&waits), "ServiceMissing");
    assert_eq!(waits.controller, None, "it may be another's");
    story.written("x");
    let found = rocket(&mut story, Some(named("b", waits)));
    let effects = story.tell(Event::Observed(Box::new(found)));
    assert_eq!(
        (writes(&effects), story.state("x")),
        (vec![], "none".into())
    );
}

#[test]
fn a_request_whose_service_came_is_started_when_our_name_is_there() {
    let mut story = settled_as("a");
    let undecided = status::render(
        &Life::accepted(crate::life::Moment::at(at(story.now))),
        &status::About {
            waiting_for: Some(Reason::ServiceMissing),
            ..status::About::default()
        },
    );
    let effects = story.seen("x", Some(undecided), false);
    assert_eq!(published(&effects), vec![]);
    let status = writes(&effects).remove(0);
    assert_eq!(status.controller.as_deref(), Some("a"));
    assert!(status.effective.is_some(), "accepted");
    assert_eq!(published(&story.written("x")), vec![attempt("x", 1)]);
}
