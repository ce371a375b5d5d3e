//! What other requests and other watchers bring about.

use super::*;

const UNHELD: [&str; 4] = ["Waiting", "Attached", "Replacing", "Recovering"];

#[test]
fn what_nobody_has_yet_can_wait_for_an_earlier_request() {
    for (attached, state) in [(true, "Attached"), (false, "Replacing")] {
        let earlier = Uid::new("earlier");
        let event = LifeEvent::Behind { earlier, attached };
        let answer = format!("{state}: Save");
        let stays = "-: Save";
        let mut rows: Vec<(&str, &str)> = UNHELD
            .iter()
            .map(|from| (*from, if *from == state { stays } else { &*answer }))
            .collect();
        rows.push(("Recovering failed", &answer));
        check(&event, &rows, "ignored: under_way");
    }
}

#[test]
fn it_waits_for_its_turn_again_when_the_earlier_one_is_out_of_the_way() {
    let free = "Waiting: Enqueue, Save";
    let rows = [("Attached", free), ("Replacing", free)];
    check(&LifeEvent::Free, &rows, "ignored: not_behind");
    let policy = Policy {
        taking_over: true,
        ..POLICY
    };
    let free = "Recovering: Save";
    let rows = [("Attached", free), ("Replacing", free)];
    check_under(policy, &LifeEvent::Free, &rows, "ignored: not_behind");
}

#[test]
fn only_an_attached_request_shares_an_end() {
    let end = End::Succeeded {
        result: None,
        artifacts: vec![],
    };
    let rows = [("Attached", "Succeeded: SaveNow")];
    check(&LifeEvent::Shared(end), &rows, "ignored: not_attached");
}

fn overtaken(failed: u32, lost: u32, worker: Option<&str>) -> LifeEvent {
    let mut found = Life::accepted(Moment::at(now()));
    (found.failed, found.lost) = (failed, lost);
    found.worker = worker.map(Into::into);
    LifeEvent::Overtaken(Box::new(found))
}

#[test]
fn smaller_and_equal_counts_of_another_watcher_change_nothing() {
    for (failed, lost) in [(0, 0), (0, 1), (1, 0)] {
        for life in lives() {
            if failed <= life.failed && lost <= life.lost {
                let answer = answer(POLICY, &overtaken(failed, lost, None), &life);
                assert_eq!(answer, "ignored: counted", "{}", name(&life));
            }
        }
    }
}

#[test]
fn larger_counts_of_another_watcher_are_the_new_base_and_decided_again() {
    let waits = "Waiting lost+8 failed+9: Enqueue, Save";
    let (waits_after_one, ran) = (
        "Waiting lost+9 failed+8: Enqueue, Save",
        "Waiting lost+8 failed+9: Stop w/2 foreign, Enqueue, Save",
    );
    let mut rows = vec![
        ("Recovering", waits),
        ("Recovering of w", waits),
        ("Recovering failed", waits_after_one),
        ("Waiting", "- lost+8 failed+9: Enqueue, Save"),
        ("Saving", waits),
        (
            "Saving for w",
            "Waiting lost+8 failed+9: Stale w/2, Enqueue, Save",
        ),
        (
            "Saving for w pausing",
            "Waiting lost+9 failed+8: Stale w/1, Enqueue, Save",
        ),
        ("Backoff", waits_after_one),
        ("Attached", waits),
        ("Replacing", waits),
        ("Offered", waits),
        (
            "Reserved w",
            "Waiting lost+8 failed+9: Refuse w/2 other_attempt, Enqueue, Save",
        ),
        ("Running w", ran),
        ("Stopping w", ran),
        ("Stopping w back", ran),
        ("Succeeded", "- lost+8 failed+9:"),
        ("Succeeded by w", "- lost+8 failed+9:"),
    ];
    let words = [
        ("cancelled", "Cancelled"),
        ("replaced", "Replaced"),
        ("late", "DeadlineExceeded"),
    ];
    let stopped: Vec<(String, String)> = words
        .iter()
        .flat_map(|(word, end)| {
            let ends = |acts: &str| format!("{end} lost+8 failed+9: {acts}SaveNow");
            [
                (format!("Recovering {word}"), ends("")),
                (format!("Recovering of w {word}"), ends("")),
                (format!("Running w {word}"), ends("Stop w/2 foreign, ")),
                (format!("Stopping w {word}"), ends("Stop w/2 foreign, ")),
                (
                    format!("Stopping w back {word}"),
                    ends("Stop w/2 foreign, "),
                ),
            ]
        })
        .collect();
    rows.extend(stopped.iter().map(|(state, row)| (&**state, &**row)));
    check(&overtaken(9, 9, None), &rows, "ignored: done");
}

#[test]
fn during_a_take_over_larger_counts_wait_for_the_worker_that_they_name() {
    let policy = Policy {
        taking_over: true,
        ..POLICY
    };
    let running = lives().into_iter().find(|life| name(life) == "Running w");
    let answer = answer(policy, &overtaken(9, 9, Some("v")), &running.unwrap());
    assert_eq!(answer, "Recovering of w lost+8 failed+9: Stop w/2 foreign");
}
