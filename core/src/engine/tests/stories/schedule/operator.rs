//! What an operator pauses, and what is not let in.

use super::*;
use crate::flow::Pause;

#[test]
fn a_pause_lets_running_jobs_finish_and_the_waiting_say_so_until_it_ends() {
    let mut story = Story::settled();
    for n in 0..5 {
        story.asks(&format!("a{n}"), "one", Priority::Normal);
    }
    let runs = story.claims("a0", ONE);
    story.beats(ONE, std::slice::from_ref(&runs));
    let reasons = story.reasons();
    assert_eq!((&*reasons["a0"], &*reasons["a4"]), ("Running", "Queued"));
    story.reconfigures(|config| config.pause.services = ["sign".into()].into());
    assert_eq!(story.out(), [""; 0], "no ticket counts any more");
    assert_eq!(
        story.refusal("a1"),
        Some("paused"),
        "nor one that is still in the broker"
    );
    story.beats(ONE, std::slice::from_ref(&runs));
    let reasons = story.reasons();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(
        reasons.values().all(|reason| reason == "Paused"),
        "{reasons:?}"
    );
    let effects = story.succeeds(ONE, &runs);
    assert_eq!(writes(&effects)[0].conditions[0].reason, "Succeeded");
    let effects = story.reconfigures(|config| config.pause = Pause::default());
    assert_eq!(names(&effects), ["a1", "a2", "a3"], "in their old order");
    story.beats(ONE, &[]);
    let reasons = story.reasons();
    assert_eq!(reasons["a4"], "Queued");
}

#[test]
fn after_a_pause_the_tenants_go_on_in_their_old_order() {
    let mut story = Story::settled();
    for uid in ["a", "b", "c", "d"] {
        story.asks(uid, uid, Priority::Normal);
        story.wait(1);
    }
    assert_eq!(story.out(), ["a", "b", "c"]);
    story.reconfigures(|config| config.pause.all = true);
    assert_eq!(story.out(), [""; 0]);
    let effects = story.reconfigures(|config| config.pause.all = false);
    assert_eq!(names(&effects), ["a", "b", "c"]);
}

#[test]
fn a_paused_tenant_holds_up_nobody_and_a_service_file_can_pause_too() {
    let mut story = Story::settled();
    story.reconfigures(|config| config.pause.tenants = ["one".into()].into());
    story.asks("a", "one", Priority::Normal);
    story.asks("b", "two", Priority::Low);
    assert_eq!(story.out(), ["b"]);
    story.reconfigures(|config| {
        config.pause = Pause::default();
        config.catalogue.get_mut("sign").unwrap().flow.paused = true;
    });
    assert_eq!(story.out(), [""; 0]);
    story.reconfigures(|config| {
        config.catalogue.get_mut("sign").unwrap().flow.paused = false;
    });
    assert_eq!(story.out(), ["a", "b"]);
}

#[test]
fn too_many_that_wait_are_rejected_and_what_was_accepted_stays() {
    let mut story = Story::limited(concurrency(1));
    story.reconfigures(|config| config.tenants.waiting = 2);
    for n in 0..3 {
        story.asks(&format!("a{n}"), "one", Priority::Normal);
    }
    let effects = story.asks("a3", "one", Priority::Normal);
    let first = writes(&effects)[0].conditions[0].clone();
    assert_eq!(first.reason, "TooManyWaiting");
    assert!(
        first.message.contains("at most 2 requests"),
        "{}",
        first.message
    );
    story.asks("b", "two", Priority::Normal);
    story.tell(gone(&Uid::new("a1")));
    story.asks("a4", "one", Priority::Normal);
    for uid in ["b", "a2", "a4"] {
        assert_eq!(story.state(uid), "Waiting", "{uid}");
    }
    let queued = RequestStatus {
        phase: Some(crate::api::Phase::Queued),
        ..RequestStatus::default()
    };
    let mut old = story.of_tenant("a5", "one", Priority::Normal);
    old.status = Some(queued);
    story.tell(Event::Observed(Box::new(old)));
    assert_eq!(
        story.state("a5"),
        "Waiting",
        "an earlier watcher accepted it"
    );
}

#[test]
fn so_many_bytes_may_wait() {
    let mut story = Story::limited(concurrency(1));
    story.reconfigures(|config| config.tenants.waiting_bytes = 15_000);
    let mut reasons = vec![];
    for n in 0..3 {
        let mut large = story.of_tenant(&format!("a{n}"), "one", Priority::Normal);
        large.params = Params::Large(10_000);
        let effects = story.tell(Event::Observed(Box::new(large)));
        let ends = writes(&effects).into_iter();
        reasons.extend(ends.map(|status| status.conditions[0].reason.clone()));
    }
    assert_eq!(reasons, ["TooManyWaiting"], "one is under way, one waits");
}

#[test]
fn parameters_without_the_services_key_are_rejected_with_the_reason() {
    let mut story = Story::settled();
    let effects = story.asks_for_key("a", Err("no such key: repo".into()));
    let status = &writes(&effects)[0];
    let first = &status.conditions[0];
    assert_eq!(first.reason, "InvalidParams");
    assert!(
        first.message.contains("no such key: repo"),
        "{}",
        first.message
    );
}
