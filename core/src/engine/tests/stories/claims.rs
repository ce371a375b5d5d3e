//! Tickets, claims and the window.

use super::*;

#[test]
fn no_more_tickets_are_out_than_the_window_or_the_slots_allow() {
    let mut story = Story::settled();
    let uids: Vec<String> = (1..9).map(|n| "x".repeat(n)).collect();
    let offered: Vec<AttemptId> = uids
        .iter()
        .flat_map(|uid| published(&story.seen(uid, None, false)))
        .collect();
    assert_eq!(offered.len(), 3, "the window");
    let effects = story.greets(TWO, &[], &[]);
    assert_eq!(published(&effects).len(), 1, "two workers of two slots");
    let effects = story.tell(gone(&offered[0].uid));
    assert_eq!(
        published(&effects).len(),
        1,
        "what is gone leaves its place"
    );
    let effects = story.tell(Event::Claim(ONE, offered[1].clone()));
    assert_eq!(published(&effects).len(), 1, "and so does what is claimed");
}

#[test]
fn a_ticket_that_nobody_claims_is_published_again_only_to_an_idle_worker() {
    let mut story = Story::settled();
    story.seen("bb", None, false);
    let busy = |story: &mut Story, free| {
        story.tell(Event::Heartbeat {
            session: ONE,
            seq: 1,
            held: vec![],
            free,
            draining: false,
        });
    };
    busy(&mut story, 0);
    assert_eq!(published(&story.wait(31_000)), vec![]);
    busy(&mut story, 1);
    assert!(story.engine.wake_at(story.now).unwrap() <= story.now + Duration::from_secs(1));
    assert_eq!(published(&story.wait(1000)), vec![attempt("bb", 1)]);
    assert_eq!(published(&story.wait(1000)), vec![], "not all the time");
    assert_eq!(
        published(&story.tell(Event::BrokerUp)),
        vec![attempt("bb", 1)]
    );
}

#[test]
fn a_spent_ticket_is_followed_by_one_other_a_second_later() {
    let mut story = Story::settled();
    story.seen("bb", None, false);
    for _ in 0..3 {
        assert_eq!(
            published(&story.tell(Event::Unplaced(attempt("bb", 1)))),
            vec![]
        );
    }
    assert_eq!(published(&story.wait(999)), vec![]);
    assert_eq!(published(&story.wait(1)), vec![attempt("bb", 1)]);
    assert_eq!(published(&story.wait(5000)), vec![]);
}

#[test]
fn parameters_that_nobody_waits_for_are_not_kept() {
    let mut story = Story::settled();
    story.seen("a", None, false);
    // The books are checked after each event.
    let effects = story.tell(Event::ParamsRead(attempt("a", 1), Some("{}".into())));
    assert_eq!(sent(&effects, ONE), vec![]);
    let effects = story.tell(Event::ParamsRead(attempt("a", 1), None));
    assert_eq!((published(&effects), sent(&effects, ONE)), (vec![], vec![]));
    assert!(story.state("a").contains("Offered"), "{}", story.state("a"));
}

#[test]
fn a_claim_whose_parameters_cannot_be_read_is_refused_and_offered_again() {
    let mut story = Story::settled();
    story.seen("bbbccc", None, false);
    let id = attempt("bbbccc", 1);
    assert!(reads_params(&story.tell(Event::Claim(ONE, id.clone()))));
    let effects = story.tell(Event::ParamsRead(id.clone(), None));
    let refused = ToWorker::Refusal(id.clone(), "params_unreadable");
    assert_eq!(sent(&effects, ONE), vec![refused]);
    assert_eq!(published(&story.wait(1000)), vec![id]);
}

#[test]
fn a_claim_counts_only_on_the_stream_that_it_came_on() {
    let mut story = Story::settled();
    story.seen("bbbccc", None, false);
    let id = attempt("bbbccc", 1);
    story.tell(Event::Claim(ONE, id.clone()));
    story.greets(TWO, &[], &[]);
    let effects = story.tell(Event::SessionClosed(ONE));
    assert_eq!(published(&effects), vec![id.clone()]);
    story.greets(SessionId(11), &[], &[]);
    let effects = story.tell(Event::ParamsRead(id, Some("{}".into())));
    assert_eq!(sent(&effects, SessionId(11)), vec![]);
}

#[test]
fn nothing_is_granted_while_too_many_ends_wait_for_their_write() {
    let mut story = Story::settled();
    story.engine.config.backlog_max = 0;
    story.engine.config.pace.parallel = 1;
    story.engine.writes = Writes::new(story.engine.config.pace);
    let ids: Vec<AttemptId> = ["a", "bb"].map(|uid| story.runs(uid, ONE)).into();
    story.seen("ccc", None, false);
    for id in &ids {
        story.succeeds(ONE, id);
    }
    let effects = story.tell(Event::Claim(ONE, attempt("ccc", 1)));
    assert_eq!(
        sent(&effects, ONE),
        vec![ToWorker::Refusal(attempt("ccc", 1), "backlog")]
    );
    story.written("a");
    story.claims("ccc", ONE);
}

#[test]
fn a_flood_of_rejected_requests_holds_up_no_worker() {
    let mut story = Story::settled();
    story.engine.config.backlog_max = 10;
    let id = story.runs("a", ONE);
    story.seen("bb", None, false);
    for n in 0..50 {
        let unknown = |spec: &mut RequestSpec| spec.service = "nobody".into();
        story.asked(&format!("flood-{n}"), unknown);
    }
    let effects = story.succeeds(ONE, &id);
    let written: Vec<_> = writes(&effects).into_iter().map(|w| w.phase).collect();
    assert_eq!(written, vec![Some(crate::api::Phase::Succeeded)]);
    story.claims("bb", ONE);
}

#[test]
fn a_draining_watcher_grants_nothing_and_is_clean_when_everything_is_written() {
    let mut story = Story::settled();
    story.runs("a", ONE);
    story.seen("bb", None, false);
    assert!(!story.engine.is_clean());
    let effects = story.tell(Event::Drain);
    assert_eq!(writes(&effects).len(), 1, "one live write of four slots");
    let effects = story.tell(Event::Claim(ONE, attempt("bb", 1)));
    assert_eq!(
        sent(&effects, ONE),
        vec![ToWorker::Refusal(attempt("bb", 1), "shutting_down")]
    );
    story.written("a");
    story.written("bb");
    assert!(story.engine.is_clean());
}
