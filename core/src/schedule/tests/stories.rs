//! Single rules.

use super::*;

#[test]
fn a_service_without_work_gives_nothing_and_takes_no_memory() {
    let mut schedule = Schedule::default();
    assert_eq!(schedule.pop("sign", Duration::ZERO), None);
    schedule.add(1, "a", Priority::Normal);
    assert_eq!(schedule.all(), ["1"]);
    assert!(schedule.services().is_empty(), "nothing to pop");
    schedule.remove(&uid(1));
    assert!(schedule.services.is_empty() && schedule.tenants.is_empty());
    assert!(schedule.queues.is_empty() && schedule.requests.is_empty());
}

#[test]
fn a_request_that_waits_takes_little_memory() {
    assert!(
        size_of::<(Uid, Waiter)>() <= 48,
        "the entry that each request has"
    );
    assert!(size_of::<(i64, Uid)>() <= 24, "its place in a line");
}

#[test]
fn a_flood_of_one_tenant_does_not_hold_up_another() {
    let mut schedule = Schedule::default();
    for n in 0..50_000 {
        schedule.add(n, "loud", Priority::Normal);
    }
    schedule.add("quiet", "quiet", Priority::Normal);
    let first_two = [(); 2].map(|()| schedule.pop("sign", Duration::ZERO));
    assert!(first_two.contains(&Some(uid("quiet"))), "{first_two:?}");
    assert_eq!(schedule.all().len(), 49_999);
}

#[test]
fn the_lines_of_a_tenant_share_its_turns_and_a_lone_one_just_flows() {
    let mut schedule = Schedule::default();
    for n in 0..40 {
        schedule.add(format!("l{n}"), "a", Priority::Low);
        schedule.add(format!("n{n}"), "a", Priority::Normal);
        schedule.add(format!("h{n}"), "a", Priority::High);
    }
    let order = schedule.all();
    let first: String = order[..34].iter().map(|name| &name[..1]).collect();
    assert_eq!(first, "hhhhhhhhhhhhnnnnl".repeat(2));
    assert_eq!(order.len(), 120);
    let low = order.iter().filter(|name| name.starts_with('l'));
    let in_order: Vec<String> = (0..40).map(|n| format!("l{n}")).collect();
    assert!(low.eq(&in_order), "{order:?}");
}

#[test]
fn who_was_refused_uncounted_goes_first_and_its_tenant_too() {
    let mut schedule = Schedule::default();
    for n in 0..3 {
        schedule.add(format!("a{n}"), "a", Priority::Normal);
        schedule.add(format!("b{n}"), "b", Priority::Normal);
    }
    let first = schedule.pop("sign", Duration::ZERO).unwrap();
    assert_eq!(first, uid("a0"));
    schedule.push(&first, &ask("sign", "a"));
    assert_eq!(schedule.all(), ["a0", "b0", "a1", "b1", "a2", "b2"]);
}

#[test]
fn the_concurrency_counts_tickets_and_what_is_held() {
    let mut schedule = with(Flow {
        concurrency: Some(2),
        ..Flow::default()
    });
    for n in 0..4 {
        schedule.add(n, "a", Priority::Normal);
    }
    assert_eq!(schedule.all(), ["0", "1"]);
    schedule.hold(&uid(0), Duration::ZERO).unwrap();
    assert_eq!(schedule.all(), [""; 0]);
    assert_eq!(
        schedule.hold(&uid(3), Duration::ZERO),
        Err(NotNow::Full),
        "an old ticket"
    );
    schedule.remove(&uid(0));
    assert_eq!(schedule.all(), ["2"]);
}

#[test]
fn what_an_earlier_watcher_started_counts_although_it_exceeds_the_limit() {
    let mut schedule = with(Flow {
        per_tenant: Some(1),
        ..Flow::default()
    });
    for n in 0..2 {
        schedule.occupy(&uid(n), &ask("sign", "a"));
    }
    schedule.add("next", "a", Priority::Normal);
    schedule.remove(&uid(0));
    assert_eq!(schedule.all(), [""; 0], "one is still over");
    schedule.remove(&uid(1));
    assert_eq!(schedule.all(), ["next"]);
}

#[test]
fn a_tenant_at_its_limit_over_all_services_leaves_its_turns_to_the_others() {
    let mut schedule = Schedule::default();
    let tenants = Tenants {
        in_flight: Some(1),
        ..Tenants::default()
    };
    allow(&mut schedule, Flow::default(), tenants, Pause::default());
    schedule.push(&uid("copy"), &ask("copy", "a"));
    schedule.add("sign", "a", Priority::Normal);
    schedule.add("other", "b", Priority::Normal);
    assert_eq!(schedule.pop("copy", Duration::ZERO), Some(uid("copy")));
    assert_eq!(schedule.all(), ["other"]);
    schedule.remove(&uid("copy"));
    assert_eq!(schedule.all(), ["sign"]);
}

#[test]
fn a_rate_counts_starts_and_tells_when_the_next_may_go() {
    let rate = Rate {
        every: seconds(10),
        burst: 2,
    };
    let mut schedule = with(Flow {
        rate: Some(rate),
        ..Flow::default()
    });
    for n in 0..5 {
        schedule.add(n, "a", Priority::Normal);
    }
    assert_eq!(schedule.all(), ["0", "1"], "the burst, reserved");
    assert_eq!(
        schedule.pop("sign", seconds(99)),
        None,
        "nothing has started yet"
    );
    for n in 0..2 {
        schedule.hold(&uid(n), seconds(100)).unwrap();
    }
    assert_eq!(schedule.pop("sign", seconds(100)), None);
    assert_eq!(schedule.wake_at(seconds(100)), Some(seconds(110)));
    assert_eq!(schedule.pop("sign", seconds(110)), Some(uid(2)));
    assert_eq!(schedule.pop("sign", seconds(110)), None);
    assert_eq!(schedule.hold(&uid(3), seconds(110)), Err(NotNow::TooSoon));
}

#[test]
fn a_pause_keeps_back_a_service_a_tenant_or_everything_and_its_tickets_too() {
    let service = Pause {
        services: ["sign".into()].into(),
        ..Pause::default()
    };
    let tenant = Pause {
        tenants: ["a".into()].into(),
        ..Pause::default()
    };
    let all = Pause {
        all: true,
        ..Pause::default()
    };
    for pause in [service, tenant, all] {
        let mut schedule = Schedule::default();
        schedule.add(1, "a", Priority::High);
        schedule.add(2, "a", Priority::High);
        assert_eq!(schedule.pop("sign", Duration::ZERO), Some(uid(1)));
        allow(&mut schedule, Flow::default(), Tenants::default(), pause);
        assert!(schedule.is_paused("sign", "a"));
        assert_eq!(schedule.all(), [""; 0]);
        assert_eq!(schedule.express("sign", Duration::ZERO), None);
        assert_eq!(schedule.hold(&uid(1), Duration::ZERO), Err(NotNow::Paused));
        assert_eq!(schedule.hold(&uid(2), Duration::ZERO), Err(NotNow::Paused));
        allow(
            &mut schedule,
            Flow::default(),
            Tenants::default(),
            Pause::default(),
        );
        assert_eq!(schedule.all(), ["2"]);
        schedule.audit();
    }
}

#[test]
fn a_tenant_may_have_so_many_waiting_and_so_many_bytes() {
    let mut schedule = Schedule::default();
    let tenants = Tenants {
        waiting: 3,
        waiting_bytes: 25,
        ..Tenants::default()
    };
    allow(&mut schedule, Flow::default(), tenants, Pause::default());
    schedule.add(1, "a", Priority::Normal);
    schedule.set_aside(&uid(2), &ask("copy", "a"));
    assert!(schedule.may_wait("a", 5) && !schedule.may_wait("a", 6));
    schedule.push(
        &uid(3),
        &Ask {
            bytes: 0,
            ..ask("sign", "a")
        },
    );
    assert!(!schedule.may_wait("a", 0) && schedule.may_wait("b", 25));
    schedule.remove(&uid(2));
    assert!(schedule.may_wait("a", 15));
    assert_eq!(schedule.all().len(), 2);
    assert!(
        schedule.may_wait("a", 25),
        "what is under way waits no more"
    );
}
