//! Several kinds at an endpoint: each is listed on its own, and a missing one holds up no other.

use super::*;

const OTHER: &str = "signings.example.com";

/// Another kind at the endpoint where all requests live.
fn other() -> Source {
    Source {
        kind: OTHER.into(),
        ..source()
    }
}

/// The API server says for so long that it does not serve the other kind; the worker of session one lives.
fn unserved(story: &mut Story, seconds: u64, held: &[AttemptId]) -> Vec<Effect> {
    let mut effects = vec![];
    for _ in 0..seconds / 5 {
        effects.extend(story.wait(5000));
        effects.extend(story.beats(ONE, held));
        effects.extend(story.tell(Event::Unserved(other())));
    }
    effects
}

fn of_other(story: &mut Story, uid: &str, status: Option<RequestStatus>) -> Observation {
    let mut observation = story.observation(uid, status, false);
    observation.address.kind = OTHER.into();
    observation
}

/// Both kinds are there; the list of the other one does not come.
fn one_is_listed() -> Story {
    let mut story = Story::starts();
    story.tell(Event::Endpoints(vec![source(), other()]));
    story.tell(Event::ListStarted(source()));
    story.tell(Event::ListStarted(other()));
    story.tell(Event::Listed(source()));
    story
}

#[test]
fn a_kind_that_is_not_served_holds_up_no_request_of_another() {
    let mut story = one_is_listed();
    assert!(!story.engine.snapshot().listed);
    story.greets(ONE, &[], &[]);
    story.tell(Event::Unserved(other()));
    assert!(story.engine.snapshot().listed, "all that is served");
    let id = story.runs("a", ONE);
    let effects = story.succeeds(ONE, &id);
    assert!(status::has_ended(&writes(&effects)[0]), "{effects:?}");
    let effects = story.written("a");
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Recorded(id)]);
}

#[test]
fn what_no_list_shows_is_judged_when_a_kind_was_unserved_for_long() {
    let (run, end) = (attempt("a", 1), attempt("bb", 1));
    let mut story = one_is_listed();
    let both = [run.clone(), end.clone()];
    story.greets(ONE, std::slice::from_ref(&run), std::slice::from_ref(&end));
    story.succeeds(ONE, &end);
    let early = unserved(&mut story, 300, &both);
    let said = |effects: &[Effect]| -> Vec<ToWorker> {
        let mut said = sent(effects, ONE);
        said.retain(|message| !matches!(message, ToWorker::HeartbeatAck(_)));
        said
    };
    assert_eq!(said(&early), vec![], "the list may still show them");
    let late = said(&unserved(&mut story, 5, &both));
    let judged = [ToWorker::Cancel(run, "unknown"), ToWorker::Stale(end)];
    assert_eq!(late, judged);
}

#[test]
fn a_word_that_was_last_heard_long_ago_does_not_count() {
    let run = attempt("a", 1);
    let held = std::slice::from_ref(&run);
    let mut story = one_is_listed();
    story.greets(ONE, held, &[]);
    unserved(&mut story, 10, held);
    // The API server is away.
    for _ in 0..40 {
        story.wait(10_000);
        story.beats(ONE, held);
    }
    let effects = unserved(&mut story, 290, held);
    let stop = ToWorker::Cancel(run.clone(), "unknown");
    assert!(!sent(&effects, ONE).contains(&stop), "{effects:?}");
    assert!(sent(&unserved(&mut story, 15, held), ONE).contains(&stop));
}

#[test]
fn a_run_that_was_judged_too_early_never_has_another_one_beside_it() {
    let run = attempt("a", 1);
    let held = std::slice::from_ref(&run);
    let mut story = one_is_listed();
    story.greets(ONE, held, &[]);
    unserved(&mut story, 400, held);
    // The kind comes, with the request that the worker was told to stop and still runs.
    story.greets(TWO, &[], &[]);
    story.tell(Event::ListStarted(other()));
    let found = of_other(&mut story, "a", Some(running_on("w1")));
    story.tell(Event::Observed(Box::new(found)));
    story.tell(Event::Listed(other()));
    let offered = published(&story.written("a"));
    assert_eq!(offered, vec![attempt("a", 2)]);
    story.beats(ONE, held);
    let effects = story.tell(Event::Claim(TWO, attempt("a", 2)));
    let refused = ToWorker::Refusal(attempt("a", 2), "still_stopping");
    assert_eq!(sent(&effects, TWO), vec![refused]);
    story.beats(ONE, &[]);
    assert_eq!(published(&story.wait(1000)), vec![attempt("a", 2)]);
    story.claims("a", TWO);
}

#[test]
fn a_kind_that_goes_away_starts_and_cancels_nothing_until_it_is_given_up() {
    let mut story = Story::settled();
    story.tell(Event::Endpoints(vec![source(), other()]));
    story.tell(Event::ListStarted(other()));
    story.tell(Event::Listed(other()));
    let new = of_other(&mut story, "a", None);
    story.tell(Event::Observed(Box::new(new)));
    let run = story.claims("a", ONE);
    let held = std::slice::from_ref(&run);
    story.tell(Event::Unserved(other()));
    let waits = of_other(&mut story, "bb", None);
    let effects = story.tell(Event::Observed(Box::new(waits)));
    assert_eq!(published(&effects), vec![]);
    let stop = ToWorker::Cancel(run.clone(), "gone");
    let early = unserved(&mut story, 295, held);
    assert!(!sent(&early, ONE).contains(&stop), "{early:?}");
    // Those of the first kind go on meanwhile.
    assert_eq!(
        published(&story.seen("ccc", None, false)),
        vec![attempt("ccc", 1)]
    );
    assert!(sent(&unserved(&mut story, 10, held), ONE).contains(&stop));
    assert_eq!(story.state("bb"), "none");
    assert!(story.state("ccc").contains("Offered"));
}

#[test]
fn a_kind_that_comes_back_in_time_goes_on() {
    let mut story = Story::settled();
    story.tell(Event::Endpoints(vec![source(), other()]));
    story.tell(Event::ListStarted(other()));
    story.tell(Event::Listed(other()));
    story.tell(Event::Unserved(other()));
    let new = of_other(&mut story, "a", None);
    let effects = story.tell(Event::Observed(Box::new(new.clone())));
    assert_eq!(published(&effects), vec![]);
    story.tell(Event::ListStarted(other()));
    story.tell(Event::Observed(Box::new(new)));
    let effects = story.tell(Event::Listed(other()));
    assert_eq!(published(&effects), vec![attempt("a", 1)]);
}
