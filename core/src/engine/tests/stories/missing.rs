//! Requests for a service that is not there, or not there yet.

use super::*;
use crate::{admit::Rejection, api::Phase};

const PATIENCE: Duration = Duration::from_secs(60);

/// A watcher without the service `late`, for which it waits a minute.
fn patient() -> Story {
    let mut story = Story::settled();
    story.wait(600_000);
    story.engine.config.unknown_service = PATIENCE;
    story
}

/// A look at a request for it that was made so many seconds ago.
fn asks_late(story: &mut Story, uid: &str, ago: u64, status: Option<RequestStatus>) -> Observation {
    let mut found = story.observation(uid, status, false);
    found.spec.as_mut().unwrap().service = "late".into();
    found.created = Some(at(story.now.saturating_sub(Duration::from_secs(ago))).wall);
    found.service_known = story.engine.config.catalogue.contains_key("late");
    found
}

fn sees(story: &mut Story, found: Observation) -> Vec<Effect> {
    story.tell(Event::Observed(Box::new(found)))
}

fn service_comes(story: &mut Story) -> Vec<Effect> {
    let config = &story.engine.config;
    let mut catalogue = config.catalogue.clone();
    catalogue.insert("late".into(), ServiceLimits::default());
    let new = Reconfigure {
        catalogue,
        tenants: config.tenants,
        pause: config.pause.clone(),
    };
    let mut effects = story.tell(Event::Reconfigured(Box::new(new)));
    effects.extend(story.tell(Event::Hello(SessionId(5), late_worker())));
    effects
}

fn late_worker() -> Hello {
    Hello {
        services: vec!["late".into()],
        ..hello(&holder("w5", 1), 2, vec![], vec![])
    }
}

#[test]
fn it_waits_says_so_and_is_rejected_when_it_is_old_enough() {
    let mut story = patient();
    let found = asks_late(&mut story, "a", 20, None);
    assert_eq!(published(&sees(&mut story, found)), vec![]);
    let status = writes(&story.wait(1000)).remove(0);
    assert_eq!(
        (status.phase, reason(&status)),
        (Some(Phase::Queued), "ServiceMissing")
    );
    assert_eq!(status.effective, None, "nothing is decided");
    story.written("a");
    assert_eq!(
        writes(&story.wait(38_000)),
        vec![],
        "40 s are left of the 60"
    );
    let status = writes(&story.wait(1000)).remove(0);
    assert_eq!(status.phase, Some(Phase::Rejected));
    assert_eq!(reason(&status), "UnknownService");
    assert!(
        status.conditions[0].message.contains("`late`"),
        "{status:?}"
    );
}

#[test]
fn one_that_is_rejected_is_deleted_when_its_time_to_live_is_over() {
    let mut story = patient();
    let mut found = asks_late(&mut story, "a", 50, None);
    found.spec.as_mut().unwrap().ttl_seconds_after_finished = Some(5);
    sees(&mut story, found);
    story.wait(1000);
    story.written("a");
    assert_eq!(reason(&writes(&story.wait(9000))[0]), "UnknownService");
    story.written("a");
    let is_delete = |effect: &Effect| matches!(effect, Effect::Delete { .. });
    assert!(!story.wait(4000).iter().any(is_delete), "5 s are not over");
    assert!(story.wait(2000).iter().any(is_delete));
}

#[test]
fn its_clock_survives_a_restart() {
    let mut story = patient();
    let waits = {
        let found = asks_late(&mut story, "a", 0, None);
        sees(&mut story, found);
        writes(&story.wait(1000)).remove(0)
    };
    let mut next = patient();
    let found = asks_late(&mut next, "a", 59, Some(waits.clone()));
    assert_eq!(
        writes(&sees(&mut next, found)),
        vec![],
        "it is said already"
    );
    assert_eq!(reason(&writes(&next.wait(1000))[0]), "UnknownService");
    let mut late = patient();
    let found = asks_late(&mut late, "a", 61, Some(waits));
    assert_eq!(
        reason(&writes(&sees(&mut late, found))[0]),
        "UnknownService"
    );
}

#[test]
fn it_is_accepted_by_a_fresh_look_when_the_service_comes() {
    let mut story = patient();
    let found = asks_late(&mut story, "a", 0, None);
    sees(&mut story, found);
    let waits = writes(&story.wait(1000)).remove(0);
    story.written("a");
    let mut stale = asks_late(&mut story, "a", 1, Some(waits.clone()));
    let effects = service_comes(&mut story);
    assert_eq!(
        published(&effects),
        vec![],
        "nobody has checked its parameters"
    );
    stale.service_known = false;
    assert_eq!(published(&sees(&mut story, stale)), vec![]);
    let mut found = asks_late(&mut story, "a", 1, Some(waits));
    found.spec.as_mut().unwrap().timeout_seconds = Some(7);
    let effects = sees(&mut story, found);
    assert_eq!(published(&effects), vec![attempt("a", 1)]);
    let status = writes(&story.wait(2000)).remove(0);
    assert_eq!(reason(&status), "Queued", "accepted");
    assert!(status.effective.is_some());
}

#[test]
fn it_is_rejected_for_what_the_service_says_when_that_comes() {
    let mut story = patient();
    let found = asks_late(&mut story, "a", 0, None);
    sees(&mut story, found);
    service_comes(&mut story);
    let mut found = asks_late(&mut story, "a", 1, None);
    found.refusal = Some(Rejection {
        reason: Reason::InvalidParams,
        message: "spec.params: /digest is missing".into(),
    });
    let status = writes(&sees(&mut story, found)).remove(0);
    assert_eq!(reason(&status), "InvalidParams");
}

#[test]
fn a_refused_one_does_not_wait_and_so_learns_nothing_of_services() {
    let mut story = patient();
    let mut found = asks_late(&mut story, "a", 0, None);
    found.refusal = Some(Rejection {
        reason: Reason::InvalidRequest,
        message: "no".into(),
    });
    assert_eq!(
        reason(&writes(&sees(&mut story, found))[0]),
        "InvalidRequest"
    );
}

#[test]
fn it_can_be_cancelled_and_deleted_while_it_waits() {
    let mut story = patient();
    let found = asks_late(&mut story, "a", 0, None);
    sees(&mut story, found);
    let mut found = asks_late(&mut story, "a", 0, None);
    found.spec.as_mut().unwrap().cancel = Some(true);
    assert_eq!(reason(&writes(&sees(&mut story, found))[0]), "Cancelled");
    let found = asks_late(&mut story, "b", 0, None);
    sees(&mut story, found);
    story.tell(gone(&Uid::new("b")));
    assert_eq!(story.state("b"), "none");
}

#[test]
fn those_that_wait_count_as_waiting_but_make_no_service() {
    let mut story = patient();
    story.engine.config.tenants.waiting = 1;
    let config = &story.engine.config;
    let same = Reconfigure {
        catalogue: config.catalogue.clone(),
        tenants: config.tenants,
        pause: config.pause.clone(),
    };
    story.tell(Event::Reconfigured(Box::new(same)));
    let found = asks_late(&mut story, "a", 0, None);
    sees(&mut story, found);
    let found = asks_late(&mut story, "c", 0, None);
    assert_eq!(
        reason(&writes(&sees(&mut story, found))[0]),
        "TooManyWaiting"
    );
    let services: Vec<_> = story.engine.snapshot().services.into_keys().collect();
    assert!(
        !services
            .iter()
            .any(|name| &**name == "late" || name.is_empty()),
        "{services:?}"
    );
}

#[test]
fn one_with_a_key_takes_its_place_when_its_service_comes() {
    let mut story = patient();
    let keyed = |story: &mut Story, uid: &str| {
        let mut found = asks_late(story, uid, 0, None);
        found.spec.as_mut().unwrap().idempotency_key = Some("k".into());
        sees(story, found)
    };
    keyed(&mut story, "a");
    keyed(&mut story, "c");
    service_comes(&mut story);
    assert_eq!(published(&keyed(&mut story, "a")), vec![attempt("a", 1)]);
    assert_eq!(published(&keyed(&mut story, "c")), vec![]);
    assert!(
        story.state("c").starts_with("Behind"),
        "{}",
        story.state("c")
    );
}

#[test]
fn a_service_that_vanished_after_it_was_accepted_ends_nothing() {
    let mut story = patient();
    let accepted = RequestStatus {
        phase: Some(Phase::Queued),
        effective: Some(crate::api::Effective {
            timeout_seconds: 60,
            ..crate::api::Effective::default()
        }),
        ..RequestStatus::default()
    };
    let found = asks_late(&mut story, "a", 600, Some(accepted));
    sees(&mut story, found);
    assert_eq!(reason(&writes(&story.wait(1000))[0]), "ServiceMissing");
    story.written("a");
    assert_eq!(writes(&story.wait(600_000)), vec![]);
}

#[test]
fn it_is_not_rejected_for_a_service_that_is_there_but_was_not_seen_by_who_looked() {
    let mut story = patient();
    let found = asks_late(&mut story, "a", 0, None);
    sees(&mut story, found);
    story.wait(59_000);
    story.written("a");
    service_comes(&mut story);
    assert_eq!(writes(&story.wait(5000)), vec![], "it is looked at soon");
    let found = asks_late(&mut story, "a", 64, None);
    story.tell(Event::Hello(SessionId(5), late_worker()));
    assert_eq!(published(&sees(&mut story, found)), vec![attempt("a", 1)]);
}

#[test]
fn nothing_that_it_said_before_its_service_came_is_decided() {
    let mut story = patient();
    let found = asks_late(&mut story, "a", 0, None);
    sees(&mut story, found);
    story.greets(ONE, &[], &[]);
    let other = story.observation("a", None, false);
    assert_eq!(published(&sees(&mut story, other)), vec![attempt("a", 1)]);
    let id = attempt("a", 1);
    let effects = story.tell(Event::Claim(ONE, id));
    let told = sent(&effects, ONE);
    assert!(
        matches!(&told[..], [ToWorker::Assignment(given)] if &*given.service == "sign"),
        "{told:?}"
    );
}
