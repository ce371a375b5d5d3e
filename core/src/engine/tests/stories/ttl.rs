//! Ended requests whose time to live is over.

use super::*;
use crate::api::{Effective, Phase};

fn ttl(seconds: u32) -> impl FnOnce(&mut RequestSpec) {
    move |spec| spec.ttl_seconds_after_finished = Some(seconds)
}

fn deleted(effects: &[Effect]) -> Vec<String> {
    let delete = |effect: &Effect| match effect {
        Effect::Delete { uid, address } => {
            assert_eq!(*uid.0, *address.name, "the address of another one");
            Some(uid.to_string())
        }
        _ => None,
    };
    effects.iter().filter_map(delete).collect()
}

fn answered(story: &mut Story, uid: &str, result: DeleteResult) -> Vec<Effect> {
    story.tell(Event::Deleted(Uid::new(uid), result))
}

fn finished(story: &Story) -> usize {
    story.engine.snapshot().finished
}

/// A status that tells its end, so many seconds ago.
fn ended(story: &Story, seconds: i64, effective: Option<u32>) -> RequestStatus {
    let completed = at(story.now).wall - jiff::SignedDuration::from_secs(seconds);
    RequestStatus {
        phase: Some(Phase::Succeeded),
        completion_time: Some(completed),
        effective: effective.map(|ttl| Effective {
            ttl_seconds_after_finished: Some(ttl),
            ..Effective::default()
        }),
        ..RequestStatus::default()
    }
}

/// A request that is there since before this watcher, with what its spec says.
fn found(story: &mut Story, uid: &str, status: RequestStatus, spec_ttl: Option<u32>) {
    let mut observation = story.observation(uid, Some(status), false);
    observation
        .spec
        .as_mut()
        .unwrap()
        .ttl_seconds_after_finished = spec_ttl;
    story.tell(Event::Observed(Box::new(observation)));
}

#[test]
fn an_ended_request_is_deleted_that_long_after_its_end() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, ttl(60));
    story.succeeds(ONE, &id);
    assert_eq!(
        deleted(&story.wait(120_000)),
        [""; 0],
        "its end is not durable"
    );
    let effects = story.written("a");
    assert_eq!(deleted(&effects), ["a"], "120 s after its end");
    answered(&mut story, "a", DeleteResult::Gone);
    assert_eq!(finished(&story), 0);
    story.greets(TWO, &[], &[]);
    let id = story.asked_and_runs("bb", TWO, ttl(60));
    story.succeeds(TWO, &id);
    story.written("bb");
    assert_eq!(deleted(&story.wait(59_999)), [""; 0]);
    assert_eq!(
        story.engine.wake_at(story.now),
        Some(story.now + Duration::from_millis(1))
    );
    assert_eq!(deleted(&story.wait(1)), ["bb"]);
    assert_eq!(deleted(&story.wait(3_600_000)), [""; 0], "asked once");
}

#[test]
fn a_request_without_a_time_to_live_is_kept_and_wakes_nobody() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.succeeds(ONE, &id);
    story.written("a");
    story.wait(3_600_000);
    assert_eq!(
        (story.engine.wake_at(story.now), finished(&story)),
        (None, 1)
    );
}

#[test]
fn a_rejected_request_is_deleted_too() {
    let mut story = Story::settled();
    story.asked("a", |spec| {
        spec.service = "publish".into();
        ttl(60)(spec);
    });
    story.written("a");
    assert_eq!(deleted(&story.wait(60_000)), ["a"]);
}

#[test]
fn a_deletion_that_does_not_work_is_tried_again_later_each_time() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, ttl(0));
    story.succeeds(ONE, &id);
    assert_eq!(deleted(&story.written("a")), ["a"], "at once");
    for pause in [10, 20, 40, 80, 160, 300, 300] {
        answered(&mut story, "a", DeleteResult::Retry);
        assert_eq!(deleted(&story.wait(pause * 1000 - 1)), [""; 0], "{pause}");
        assert_eq!(deleted(&story.wait(1)), ["a"], "{pause}");
    }
    answered(&mut story, "a", DeleteResult::Gone);
    assert_eq!(deleted(&story.wait(3_600_000)), [""; 0]);
}

#[test]
fn what_ended_under_an_earlier_watcher_is_deleted_as_its_status_its_spec_or_the_service_says() {
    let mut story = Story::starts();
    story.service().ttl = Some(Duration::from_secs(100));
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    let (told, plain) = (ended(&story, 30, Some(50)), ended(&story, 30, None));
    found(&mut story, "told", told, Some(999));
    found(&mut story, "asked", plain.clone(), Some(70));
    found(&mut story, "default", plain, None);
    let mut kept = ended(&story, 30, Some(1));
    kept.effective.as_mut().unwrap().ttl_seconds_after_finished = None;
    found(&mut story, "kept", kept, None);
    story.tell(Event::Listed(source()));
    for (ms, uid) in [(20_000, "told"), (20_000, "asked"), (30_000, "default")] {
        assert_eq!(deleted(&story.wait(ms - 1)), [""; 0], "{uid}");
        assert_eq!(deleted(&story.wait(1)), [uid]);
    }
    assert_eq!(deleted(&story.wait(3_600_000)), [""; 0]);
}

#[test]
fn a_few_are_deleted_at_once_and_the_others_after_them() {
    let mut story = Story::starts();
    let status = ended(&story, 30, Some(10));
    story.tell(Event::Endpoints(vec![source()]));
    let mut asked = vec![];
    for n in 0..20 {
        let observation = story.observation(&format!("u{n}"), Some(status.clone()), false);
        asked.extend(deleted(&story.tell(Event::Observed(Box::new(observation)))));
    }
    assert_eq!(asked.len(), 8);
    assert_eq!(deleted(&story.wait(60_000)), [""; 0]);
    let first = asked.remove(0);
    let next = deleted(&answered(&mut story, &first, DeleteResult::Gone));
    assert_eq!(next.len(), 1);
}

#[test]
fn nothing_is_deleted_on_a_suspect_endpoint_while_draining_or_without_the_lead() {
    let ready = || {
        let mut story = Story::settled();
        let id = story.asked_and_runs("a", ONE, ttl(60));
        story.succeeds(ONE, &id);
        story.written("a");
        story
    };
    let mut suspect = ready();
    suspect.tell(Event::Endpoints(vec![]));
    assert_eq!(deleted(&suspect.wait(100_000)), [""; 0]);
    let status = ended(&suspect, 100, None);
    suspect.listed(&[("a", Some(status))]);
    assert_eq!(deleted(&suspect.wait(30_000)), ["a"], "listed again");
    let mut draining = ready();
    draining.tell(Event::Drain);
    assert_eq!(deleted(&draining.wait(100_000)), [""; 0]);
    let mut deposed = ready();
    deposed
        .engine
        .lead_until(Some(deposed.now + Duration::from_secs(50)));
    assert_eq!(deleted(&deposed.wait(100_000)), [""; 0]);
}

#[test]
fn what_is_gone_already_is_not_deleted() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, ttl(60));
    story.succeeds(ONE, &id);
    story.written("a");
    story.tell(gone(&Uid::new("a")));
    assert_eq!(deleted(&story.wait(100_000)), [""; 0]);
    assert_eq!((finished(&story), story.engine.expiry.len()), (0, 0));
}

#[test]
fn what_went_away_while_its_deletion_was_under_way_leaves_its_place() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, ttl(0));
    story.succeeds(ONE, &id);
    story.written("a");
    story.tell(gone(&Uid::new("a")));
    for result in [DeleteResult::Retry, DeleteResult::Gone] {
        answered(&mut story, "a", result);
    }
    assert_eq!((finished(&story), story.engine.expiry.len()), (0, 0));
    assert!(!story.engine.expiry.awaits(&Uid::new("a"), story.now));
}

#[test]
fn a_finished_request_takes_few_bytes() {
    assert!(size_of::<Entry>() <= 48, "{}", size_of::<Entry>());
    let text = |name: &Arc<str>| 16 + name.len().next_multiple_of(8);
    let address = Address {
        endpoint: URL.into(),
        kind: KIND.into(),
        cluster: "2h1q8x0zv5k3l9ad".into(),
        namespace: "team-a-tenant".into(),
        name: "release-2026-11-24-sign-x7k2p".into(),
    };
    let uid = text(&"3f8b6a52-7f0d-4c55-9a1e-0c8f5a3b7d10".into());
    let names = text(&address.cluster) + text(&address.namespace) + text(&address.name);
    let place = size_of::<(Uid, Entry)>() * 8 / 7 + size_of::<(Duration, Uid)>() * 3 / 2;
    let all = uid + names + place + finished::EXPIRES;
    assert!(all <= 400, "{all}");
}
