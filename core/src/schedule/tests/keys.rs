//! Concurrency keys.

use super::*;

fn keyed(tenant: &str, key: &str) -> Ask {
    Ask {
        key: Some(key.into()),
        ..ask("sign", tenant)
    }
}

fn one_per_key() -> Schedule {
    with(Flow {
        per_key: Some(1),
        ..Flow::default()
    })
}

#[test]
fn who_waits_for_a_key_holds_up_nobody_behind_it() {
    let mut schedule = one_per_key();
    for n in 0..3 {
        schedule.push(&uid(format!("busy{n}")), &keyed("a", "repo"));
    }
    schedule.push(&uid("other"), &keyed("a", "other"));
    schedule.push(&uid("free"), &ask("sign", "a"));
    assert_eq!(schedule.all(), ["busy0", "other", "free"]);
    schedule.audit();
    schedule.remove(&uid("busy0"));
    assert_eq!(schedule.all(), ["busy1"]);
}

#[test]
fn a_key_is_one_for_all_tenants_of_a_service_and_they_take_turns() {
    let mut schedule = one_per_key();
    for n in 0..3 {
        schedule.push(&uid(format!("a{n}")), &keyed("a", "repo"));
    }
    schedule.push(&uid("b0"), &keyed("b", "repo"));
    let mut order = vec![];
    while let Some(uid) = schedule.pop("sign", Duration::ZERO) {
        schedule.audit();
        schedule.remove(&uid);
        order.push(uid.to_string());
    }
    assert_eq!(order, ["a0", "b0", "a1", "a2"]);
}

#[test]
fn the_same_key_of_another_service_is_another_key() {
    let mut schedule = one_per_key();
    let other = Ask {
        service: "copy".into(),
        ..keyed("a", "repo")
    };
    let flow = Flow {
        per_key: Some(1),
        ..Flow::default()
    };
    let flows = [("sign".into(), flow.clone()), ("copy".into(), flow)];
    schedule.configure(flows, Tenants::default(), Pause::default(), Duration::ZERO);
    schedule.push(&uid("sign"), &keyed("a", "repo"));
    schedule.push(&uid("copy"), &other);
    assert!(schedule.pop("sign", Duration::ZERO).is_some());
    assert!(schedule.pop("copy", Duration::ZERO).is_some());
}

#[test]
fn a_raised_limit_of_the_keys_counts_at_once() {
    let mut schedule = one_per_key();
    for n in 0..5 {
        schedule.push(&uid(n), &keyed("a", "repo"));
    }
    assert_eq!(schedule.all(), ["0"]);
    let flow = Flow {
        per_key: Some(3),
        ..Flow::default()
    };
    allow(&mut schedule, flow, Tenants::default(), Pause::default());
    assert_eq!(schedule.all(), ["1", "2"]);
    allow(
        &mut schedule,
        Flow::default(),
        Tenants::default(),
        Pause::default(),
    );
    assert_eq!(schedule.all(), ["3", "4"]);
}

#[test]
fn nobody_looks_again_at_those_that_wait_for_a_busy_key() {
    let mut schedule = one_per_key();
    for n in 0..50_000 {
        schedule.push(&uid(n), &keyed("a", "repo"));
    }
    for n in 0..100 {
        assert_eq!(schedule.pop("sign", Duration::ZERO), Some(uid(n)));
        let queue = schedule.requests[&uid(n)].queue as usize;
        let in_line = schedule.queues[queue].line(Priority::Normal).len();
        if n > 0 {
            assert_eq!(in_line, 0, "the others are parked");
        }
        assert_eq!(schedule.pop("sign", Duration::ZERO), None);
        schedule.remove(&uid(n));
        let in_line = schedule.queues[queue].line(Priority::Normal).len();
        assert_eq!(in_line, 1, "only the next one is looked at");
    }
    for n in 100..50_000 {
        schedule.remove(&uid(n));
    }
    assert!(schedule.queues.is_empty());
}
