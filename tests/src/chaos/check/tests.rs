//! Planted violations: each is found, and nothing else.

mod story;

use serde_json::json;

use super::*;
use crate::chaos::{ledger::Event, plan::Expect, plan::Fate};
use story::{Story, end, failed, fails, fate, fault, line, status, succeeds, success};

#[test]
fn a_good_run_is_good() {
    assert_eq!(Story::one(succeeds()).found(), []);
}

#[test]
fn two_jobs_at_once_are_found() {
    let mut story = Story::one(succeeds());
    let overlap = Event::Overlap {
        lock: "uid".into(),
        other: "worker-2".into(),
    };
    story.ledger.push(line("ua", 1, 0, overlap));
    assert_eq!(story.found(), [Rule::Overlap]);
}

#[test]
fn a_request_that_has_not_ended_is_stuck() {
    for expect in [succeeds(), fate(Fate::Expires)] {
        let mut story = Story::one(expect);
        story.ends("ua", json!({"phase": "Running"}));
        assert_eq!(story.found(), [Rule::Stuck]);
    }
}

#[test]
fn a_wrong_end_is_found_and_so_is_a_right_one_with_a_wrong_count() {
    let mut story = Story::one(fails(1));
    story.runs("ua", 2);
    story.ends("ua", failed(2, 0));
    assert_eq!(story.found(), []);
    story.ends("ua", failed(1, 0));
    assert!(story.found().contains(&Rule::WrongEnd));
    story.ends("ua", success("ua"));
    assert!(story.found().contains(&Rule::WrongEnd));
}

#[test]
fn lost_workers_are_an_end_only_when_their_budget_is_used_up() {
    for (lost, wanted) in [(4, vec![]), (3, vec![Rule::WrongEnd])] {
        let mut story = Story::one(succeeds());
        story.ends("ua", status("Failed", "WorkerLost", &json!({"lost": lost})));
        assert_eq!(story.found(), wanted, "{lost} lost");
    }
}

#[test]
fn counts_over_their_budget_are_found() {
    for (failures, lost) in [(3, 0), (2, 5)] {
        let mut expect = fails(1);
        expect.ends[0].failed = None;
        let mut story = Story::one(expect);
        story.ends("ua", failed(failures, lost));
        assert_eq!(
            story.found(),
            [Rule::Budget],
            "{failures} failed, {lost} lost"
        );
    }
}

#[test]
fn a_run_that_no_count_and_no_fault_explains_is_found() {
    let mut story = Story::one(succeeds());
    story.runs("ua", 1);
    assert_eq!(story.found(), [Rule::Budget]);
    story.faults = vec![fault("rabbitmq", 2.0), fault("worker-1", 300.0)];
    assert_eq!(story.found(), [Rule::Budget]);
    story.faults = vec![fault("worker-1", 2.0)];
    assert_eq!(story.found(), []);
    story.runs("ua", 6);
    story.faults.push(fault("watcher", 2.0));
    assert_eq!(story.found(), [Rule::Budget], "attempt 6");
}

#[test]
fn a_second_end_is_found() {
    let mut story = Story::one(succeeds());
    let sight = story.seen.get_mut("ua").unwrap();
    sight.other_ends.push(json!({"phase": "Failed"}));
    assert_eq!(story.found(), [Rule::SecondEnd]);
}

#[test]
fn what_should_be_there_is_and_what_should_be_gone_is_gone() {
    let cases = [
        (Fate::Stays, true, vec![]),
        (Fate::Stays, false, vec![Rule::Lost]),
        (Fate::Deleted, true, vec![Rule::Lost]),
        (Fate::Deleted, false, vec![]),
        (Fate::Expires, true, vec![Rule::Lost]),
        (Fate::Expires, false, vec![]),
    ];
    for (planned, there, wanted) in cases {
        let mut story = Story::one(fate(planned));
        if !there {
            story.gone("ua");
        }
        assert_eq!(story.found(), wanted, "{planned:?}, there: {there}");
    }
}

#[test]
fn a_request_that_expired_before_it_ran_is_lost() {
    let mut story = Story::one(fate(Fate::Expires));
    story.ends("ua", json!({"phase": "Queued"}));
    story.gone("ua");
    assert_eq!(story.found(), []);
    story.ledger.clear();
    assert_eq!(story.found(), [Rule::Lost]);
}

#[test]
fn a_request_that_nobody_made_and_a_job_of_nobody_are_found() {
    let mut story = Story::one(succeeds());
    story.made.clear();
    story.ledger.clear();
    assert_eq!(story.found(), [Rule::Lost]);
    let mut story = Story::one(succeeds());
    story.runs("stranger", 1);
    assert_eq!(story.found(), [Rule::RanForNothing]);
}

#[test]
fn what_must_not_run_must_not_run() {
    let mut story = Story::one(Expect {
        idle: true,
        ..succeeds()
    });
    assert_eq!(story.found(), [Rule::RanForNothing]);
    story.ledger.clear();
    assert_eq!(story.found(), []);
}

#[test]
fn a_result_of_another_run_is_found() {
    let mut story = Story::one(succeeds());
    story.ends("ua", success("ub"));
    assert_eq!(story.found(), [Rule::WrongResult]);
    let late = json!({"result": {"uid": "ua", "attempt": 2}});
    story.ends("ua", status("Succeeded", "Succeeded", &late));
    assert_eq!(story.found(), [Rule::WrongResult]);
}

#[test]
fn an_attached_request_has_the_result_of_the_other_and_no_counts_of_its_own() {
    let mut story = Story::new(Kind::Attach, &[succeeds(), succeeds()]);
    let attached = |uid: &str, to: &str| {
        let more = json!({"attachedTo": to, "result": {"uid": uid, "attempt": 1}});
        status("Succeeded", "Succeeded", &more)
    };
    story.ledger.truncate(2);
    story.ends("ub", attached("ua", "a"));
    assert_eq!(story.found(), []);
    story.ends("ub", attached("ub", "a"));
    assert_eq!(story.found(), [Rule::WrongResult]);
    story.ends("ub", attached("ua", "z"));
    assert_eq!(story.found(), [Rule::WrongResult]);
}

#[test]
fn a_key_is_free_when_its_holder_ran_out_of_workers() {
    let rejected = Expect {
        ends: vec![end("Rejected", "KeyInUse", None)],
        idle: true,
        ..Expect::default()
    };
    let mut story = Story::new(Kind::Reject, &[succeeds(), rejected]);
    assert_eq!(story.found(), [Rule::WrongEnd, Rule::RanForNothing]);
    story.ends("ua", status("Failed", "WorkerLost", &json!({"lost": 4})));
    assert_eq!(story.found(), []);
}

#[test]
fn what_is_left_behind_is_found() {
    let mut story = Story::one(succeeds());
    story.queues.push(("isc.dead".into(), 2));
    story.leaks.push("12 isc-chaos-job".into());
    story.crashes.push("worker-1 ended with signal 6".into());
    assert_eq!(story.found(), [Rule::Queue, Rule::Leak, Rule::Crash]);
}
