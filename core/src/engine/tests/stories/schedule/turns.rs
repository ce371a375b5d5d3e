//! Who goes next.

use super::*;

#[test]
fn a_flood_of_one_tenant_does_not_hold_up_another() {
    let mut story = Story::settled();
    story.reconfigures(|config| config.tenants.waiting = 60_000);
    for n in 0..50_000 {
        let flood = story.of_tenant(&format!("loud{n}"), "loud", Priority::Normal);
        let now = at(story.now);
        story.engine.step(Event::Observed(Box::new(flood)), now);
    }
    let quiet = story.of_tenant("quiet", "quiet", Priority::Normal);
    let now = at(story.now);
    story.engine.step(Event::Observed(Box::new(quiet)), now);
    let snapshot = story.engine.snapshot();
    assert_eq!(snapshot.services["sign"].waiting, 50_001 - 3);
    assert_eq!(snapshot.tenants, 2);
    let next: Vec<String> = ["loud0", "loud1"]
        .into_iter()
        .flat_map(|uid| {
            let claim = Event::Claim(ONE, attempt(uid, 1));
            names(&story.engine.step(claim, now))
        })
        .collect();
    assert_eq!(next, ["loud3", "quiet"], "one turn each");
}

#[test]
fn a_high_request_of_another_tenant_starts_next_though_tickets_of_others_are_out() {
    let mut story = Story::settled();
    for n in 0..6 {
        story.asks(&format!("loud{n}"), "loud", Priority::Normal);
    }
    assert_eq!(
        story.out(),
        ["loud0", "loud1", "loud2"],
        "the window is full"
    );
    let effects = story.asks("quiet", "quiet", Priority::High);
    assert_eq!(names(&effects), ["quiet"], "beyond the window");
    assert_eq!(story.refusal("loud0"), Some("out_of_turn"));
    assert_eq!(story.refusal("loud1"), Some("out_of_turn"));
    assert_eq!(story.out(), ["loud2", "quiet"], "what was refused waits");
    let effects = story.bids("quiet");
    assert!(matches!(sent(&effects, ONE)[0], ToWorker::Assignment(_)));
    assert_eq!(names(&effects), ["loud0", "loud1"], "and is first again");
    assert_eq!(story.refusal("loud0"), None);
    assert_eq!(story.attempt_of("loud0"), 1, "nothing was counted");
}

#[test]
fn a_high_request_of_a_tenant_that_has_some_under_way_overtakes_only_its_own() {
    let mut story = Story::settled();
    for n in 0..6 {
        story.asks(&format!("loud{n}"), "loud", Priority::Normal);
    }
    assert_eq!(names(&story.asks("high", "loud", Priority::High)), [""; 0]);
    let effects = story.bids("loud0");
    assert_eq!(names(&effects), ["high"]);
}

#[test]
fn a_refused_claim_that_may_not_start_leads_to_no_loop() {
    let mut story = Story::settled();
    for n in 0..3 {
        story.asks(&format!("loud{n}"), "loud", Priority::Normal);
    }
    story.asks("quiet", "quiet", Priority::High);
    for uid in ["loud0", "loud1", "loud2"] {
        let effects = story.bids(uid);
        assert_eq!(
            names(&effects),
            [""; 0],
            "{uid} would only be refused again"
        );
    }
    story.wait(4_999);
    assert_eq!(story.out(), ["quiet"]);
    story.wait(1);
    assert_eq!(
        story.out().len(),
        3,
        "that ticket is lost, the others go on"
    );
}
