//! Requests that overtake the tickets of others.

use super::*;

/// Tickets of `loud` are out and the service is at its limit: only claims count now.
fn busy(concurrency: u32) -> Schedule {
    let mut schedule = with(Flow {
        concurrency: Some(concurrency),
        ..Flow::default()
    });
    for n in 0..9 {
        schedule.add(n, "loud", Priority::Normal);
    }
    assert_eq!(schedule.all().len(), concurrency as usize);
    schedule
}

#[test]
fn a_high_request_of_a_tenant_with_nothing_under_way_starts_next() {
    let mut schedule = busy(2);
    schedule.add("quiet", "quiet", Priority::High);
    assert_eq!(schedule.express("sign", Duration::ZERO), Some(uid("quiet")));
    assert_eq!(schedule.express("sign", Duration::ZERO), None);
    let turned = schedule.hold(&uid(0), Duration::ZERO);
    assert_eq!(turned, Err(NotNow::OutOfTurn));
    schedule.push(&uid(0), &ask("sign", "loud"));
    assert_eq!(
        schedule.all(),
        [""; 0],
        "nothing is offered to be refused again"
    );
    schedule.hold(&uid("quiet"), Duration::ZERO).unwrap();
    schedule.hold(&uid(1), Duration::ZERO).unwrap();
    schedule.remove(&uid("quiet"));
    assert_eq!(schedule.all(), ["0"], "and nobody lost its place");
    schedule.audit();
}

#[test]
fn an_express_ticket_never_takes_a_place_that_is_held() {
    let mut schedule = busy(2);
    schedule.add("quiet", "quiet", Priority::High);
    schedule.hold(&uid(0), Duration::ZERO).unwrap();
    schedule.hold(&uid(1), Duration::ZERO).unwrap();
    assert_eq!(schedule.express("sign", Duration::ZERO), None);
    schedule.remove(&uid(0));
    assert_eq!(schedule.express("sign", Duration::ZERO), Some(uid("quiet")));
    schedule.hold(&uid("quiet"), Duration::ZERO).unwrap();
    assert_eq!(schedule.hold(&uid(2), Duration::ZERO), Err(NotNow::Full));
}

#[test]
fn a_lost_express_ticket_is_not_waited_for_for_ever() {
    let mut schedule = busy(3);
    schedule.add("quiet", "quiet", Priority::High);
    schedule.express("sign", Duration::ZERO).unwrap();
    assert_eq!(schedule.hold(&uid(0), seconds(1)), Err(NotNow::OutOfTurn));
    assert_eq!(schedule.hold(&uid(1), seconds(2)), Err(NotNow::OutOfTurn));
    assert_eq!(schedule.wake_at(seconds(2)), Some(seconds(6)));
    schedule.hold(&uid(2), seconds(6)).unwrap();
}

#[test]
fn nothing_else_is_offered_while_an_express_ticket_is_out() {
    let mut schedule = Schedule::default();
    schedule.add("quiet", "quiet", Priority::High);
    schedule.add("other", "other", Priority::Normal);
    assert_eq!(schedule.express("sign", Duration::ZERO), Some(uid("quiet")));
    assert_eq!(schedule.pop("sign", Duration::ZERO), None);
    schedule.hold(&uid("quiet"), Duration::ZERO).unwrap();
    assert_eq!(schedule.all(), ["other"]);
}

#[test]
fn a_request_makes_way_only_once() {
    let mut schedule = busy(1);
    for n in ["x", "y"] {
        schedule.add(n, n, Priority::High);
        assert_eq!(schedule.express("sign", Duration::ZERO), Some(uid(n)));
        let first = schedule.hold(&uid(0), Duration::ZERO);
        if n == "y" {
            return first.unwrap();
        }
        assert_eq!(first, Err(NotNow::OutOfTurn));
        schedule.push(&uid(0), &ask("sign", "loud"));
        schedule.hold(&uid(n), Duration::ZERO).unwrap();
        schedule.remove(&uid(n));
        assert_eq!(schedule.all(), ["0"]);
    }
}

#[test]
fn a_stream_of_high_requests_overtakes_the_others_only_so_often() {
    let mut schedule = Schedule::default();
    schedule.add("patient", "patient", Priority::Normal);
    let mut overtaken = 0;
    for n in 0..100 {
        let (name, tenant) = (format!("high{n}"), format!("tenant{}", n % 10));
        schedule.add(&name, &tenant, Priority::High);
        let Some(uid) = schedule.express("sign", Duration::ZERO) else {
            break;
        };
        schedule.hold(&uid, Duration::ZERO).unwrap();
        schedule.remove(&uid);
        overtaken += 1;
    }
    assert_eq!(overtaken, turns::EXPRESS_MAX);
    assert_eq!(schedule.all()[0], "patient");
}
