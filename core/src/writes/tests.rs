//! What is written when, and what never.

use super::*;

const PACE: Pace = Pace {
    first_delay: Duration::from_millis(750),
    min_interval: Duration::from_secs(2),
    parallel: 4,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn start(writes: &mut Writes, at: u64) -> Option<(Uid, Urgency)> {
    writes.start(ms(at), |_| false)
}

fn source(endpoint: &str) -> Source {
    Source {
        endpoint: endpoint.into(),
        kind: "requests.internal.services".into(),
    }
}

fn uid(n: u32) -> Uid {
    Uid::new(&n.to_string())
}

#[test]
fn a_request_that_ends_within_the_first_delay_costs_one_write() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    writes.want(&uid(1), &at, Urgency::Live, ms(0));
    assert_eq!(start(&mut writes, 700), None);
    assert_eq!(writes.wake_at(ms(700)), Some(ms(750)));
    writes.want(&uid(1), &at, Urgency::Now, ms(700));
    assert_eq!(start(&mut writes, 700), Some((uid(1), Urgency::Now)));
    writes.done(&uid(1), ms(710));
    assert_eq!((start(&mut writes, 99_000), writes.backlog()), (None, 0));
}

#[test]
fn live_states_of_one_request_keep_their_distance() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    writes.want(&uid(1), &at, Urgency::Live, ms(0));
    assert!(start(&mut writes, 750).is_some());
    writes.want(&uid(1), &at, Urgency::Live, ms(760));
    assert_eq!(
        start(&mut writes, 9000),
        None,
        "one write of a request at a time"
    );
    writes.done(&uid(1), ms(1000));
    assert_eq!(start(&mut writes, 2999), None);
    assert!(start(&mut writes, 3000).is_some());
}

#[test]
fn what_is_clean_is_kept_no_longer_than_the_interval() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    let mut write = |n: u32, at_ms: u64| {
        writes.want(&uid(n), &at, Urgency::Now, ms(at_ms));
        assert_eq!(start(&mut writes, at_ms), Some((uid(n), Urgency::Now)));
        writes.done(&uid(n), ms(at_ms));
        let mut kept: Vec<_> = writes.requests.keys().map(ToString::to_string).collect();
        kept.sort();
        kept.join(" ")
    };
    assert_eq!(write(1, 0), "1");
    assert_eq!(write(2, 1000), "1 2");
    assert_eq!(write(1, 1999), "1 2", "its newest write counts");
    assert_eq!(write(3, 3000), "1 3");
    assert_eq!(write(3, 9000), "3");
}

#[test]
fn ends_go_first_and_live_states_leave_them_slots() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    for n in 0..4 {
        writes.want(&uid(n), &at, Urgency::Live, ms(0));
    }
    writes.want(&uid(9), &at, Urgency::Now, ms(800));
    assert_eq!(start(&mut writes, 800), Some((uid(9), Urgency::Now)));
    assert_eq!(start(&mut writes, 800).unwrap().1, Urgency::Live);
    assert_eq!(
        start(&mut writes, 800),
        None,
        "a quarter of four slots is one"
    );
    for n in 10..14 {
        writes.want(&uid(n), &at, Urgency::Now, ms(800));
    }
    let started = std::iter::from_fn(|| start(&mut writes, 800)).count();
    assert_eq!(started, 1, "three quarters of four slots are three");
}

#[test]
fn what_workers_wait_for_overtakes_a_flood_of_others_and_leaves_them_a_slot() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    for n in 10..99 {
        let urgency = if n < 50 { Urgency::Now } else { Urgency::Live };
        writes.want(&uid(n), &at, urgency, ms(0));
    }
    let started = std::iter::from_fn(|| start(&mut writes, 800)).count();
    assert_eq!(started, 3, "one of four slots is left to those");
    for n in 1..9 {
        writes.want(&uid(n), &at, Urgency::Held, ms(801));
    }
    assert_eq!(writes.held(), 8);
    assert_eq!(start(&mut writes, 805), Some((uid(1), Urgency::Held)));
    assert_eq!(start(&mut writes, 805), None, "four slots in all");
    for n in [10, 11, 50] {
        writes.done(&uid(n), ms(806));
    }
    let started: Vec<_> = std::iter::from_fn(|| start(&mut writes, 806)).collect();
    let urgencies: Vec<_> = started.iter().map(|(_, urgency)| *urgency).collect();
    assert_eq!(urgencies, [Urgency::Held, Urgency::Held, Urgency::Now]);
    assert_eq!(writes.held(), 5);
}

#[test]
fn while_workers_wait_a_live_state_waits_for_its_end_but_not_for_ever() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    for n in 1..9 {
        writes.want(&uid(n), &at, Urgency::Held, ms(0));
    }
    for n in [10, 11] {
        writes.want(&uid(n), &at, Urgency::Live, ms(0));
    }
    let started = |writes: &mut Writes, now| -> Vec<Urgency> {
        std::iter::from_fn(|| start(writes, now).map(|(_, urgency)| urgency)).collect()
    };
    assert_eq!(started(&mut writes, 800), [Urgency::Held; 4]);
    for n in 1..4 {
        writes.done(&uid(n), ms(810));
    }
    assert_eq!(started(&mut writes, 810), [Urgency::Held; 3]);
    // Its end came before its turn did: one write in all.
    writes.want(&uid(10), &at, Urgency::Held, ms(820));
    writes.done(&uid(4), ms(4_749));
    assert_eq!(started(&mut writes, 4_749), [Urgency::Held]);
    writes.done(&uid(5), ms(4_750));
    assert_eq!(
        started(&mut writes, 4_750),
        [Urgency::Live],
        "its patience is over"
    );
}

#[test]
fn a_single_slot_serves_everybody() {
    let pace = Pace {
        parallel: 1,
        ..PACE
    };
    let (mut writes, at) = (Writes::new(pace), source("e"));
    writes.want(&uid(1), &at, Urgency::Live, ms(0));
    assert_eq!(start(&mut writes, 800), Some((uid(1), Urgency::Live)));
    writes.done(&uid(1), ms(801));
    writes.want(&uid(2), &at, Urgency::Held, ms(802));
    assert_eq!(start(&mut writes, 802), Some((uid(2), Urgency::Held)));
}

#[test]
fn what_is_wanted_again_while_its_forgotten_write_fails_is_written() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    writes.want(&uid(1), &at, Urgency::Now, ms(0));
    assert!(start(&mut writes, 0).is_some());
    writes.forget(&uid(1));
    writes.want(&uid(1), &at, Urgency::Now, ms(1));
    writes.failed(&uid(1), true, ms(2));
    assert_eq!(start(&mut writes, 2), Some((uid(1), Urgency::Now)));
}

#[test]
fn a_failed_write_is_tried_again_later_each_time_and_keeps_its_urgency() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    writes.want(&uid(1), &at, Urgency::Now, ms(0));
    let mut now = 0;
    for delay in [200, 400, 800] {
        assert_eq!(start(&mut writes, now), Some((uid(1), Urgency::Now)));
        writes.failed(&uid(1), false, ms(now));
        writes.want(&uid(1), &at, Urgency::Live, ms(now));
        assert_eq!(start(&mut writes, now + delay - 1), None);
        now += delay;
    }
    assert_eq!(start(&mut writes, now), Some((uid(1), Urgency::Now)));
    writes.failed(&uid(1), true, ms(now));
    assert!(
        start(&mut writes, now).is_some(),
        "after a conflict it is tried at once"
    );
}

#[test]
fn what_is_forgotten_is_not_written_and_its_slot_is_free_when_its_write_is_answered() {
    let (mut writes, at) = (
        Writes::new(Pace {
            parallel: 1,
            ..PACE
        }),
        source("e"),
    );
    writes.want(&uid(1), &at, Urgency::Now, ms(0));
    writes.want(&uid(2), &at, Urgency::Now, ms(1));
    assert!(start(&mut writes, 1).is_some());
    writes.forget(&uid(1));
    assert_eq!(start(&mut writes, 1), None, "the write is still on its way");
    writes.failed(&uid(1), true, ms(2));
    assert_eq!(start(&mut writes, 2), Some((uid(2), Urgency::Now)));
    writes.forget(&uid(2));
    writes.want(&uid(2), &at, Urgency::Now, ms(3));
    assert_eq!(
        start(&mut writes, 3),
        None,
        "it came back, but one write at a time"
    );
    writes.done(&uid(2), ms(4));
    assert_eq!(start(&mut writes, 4), Some((uid(2), Urgency::Now)));
    writes.done(&uid(2), ms(5));
    assert_eq!(writes.backlog(), 0);
}

#[test]
fn what_moves_away_from_a_stopped_endpoint_is_written_at_the_new_one() {
    let mut writes = Writes::new(PACE);
    writes.want(&uid(1), &source("away"), Urgency::Now, ms(0));
    writes.moved(&uid(1), &source("there"));
    assert_eq!(
        writes.start(ms(1), |source| &*source.endpoint == "away"),
        Some((uid(1), Urgency::Now))
    );
}

#[test]
fn a_stopped_endpoint_holds_up_no_other() {
    let mut writes = Writes::new(PACE);
    writes.want(&uid(1), &source("away"), Urgency::Now, ms(0));
    writes.want(&uid(2), &source("there"), Urgency::Now, ms(1));
    assert_eq!(
        writes.start(ms(1), |source| &*source.endpoint == "away"),
        Some((uid(2), Urgency::Now))
    );
    assert_eq!(
        writes.start(ms(1), |source| &*source.endpoint == "away"),
        None
    );
}

#[test]
fn a_hurry_leaves_no_delay() {
    let (mut writes, at) = (Writes::new(PACE), source("e"));
    writes.want(&uid(1), &at, Urgency::Live, ms(0));
    writes.want(&uid(2), &at, Urgency::Now, ms(0));
    assert!(start(&mut writes, 0).is_some());
    writes.want(&uid(2), &at, Urgency::Live, ms(1));
    writes.hurry(ms(1));
    assert_eq!(start(&mut writes, 1), Some((uid(1), Urgency::Live)));
    writes.done(&uid(1), ms(2));
    writes.done(&uid(2), ms(2));
    assert_eq!(start(&mut writes, 2), Some((uid(2), Urgency::Live)));
    writes.done(&uid(2), ms(3));
    writes.want(&uid(3), &at, Urgency::Live, ms(3));
    assert!(
        start(&mut writes, 3).is_some(),
        "what becomes dirty later does not wait either"
    );
}
