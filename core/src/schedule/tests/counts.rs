//! What could start is what does start once there is room.

use proptest::prelude::*;

use super::*;

fn startable(schedule: &Schedule) -> u32 {
    let mut all = schedule.counts();
    let (_, counts) = all.find(|(name, _)| &***name == "sign").unwrap();
    counts.startable
}

fn keyed(schedule: &mut Schedule, name: u32, key: &str) {
    let key = Some(key.into());
    schedule.push(
        &uid(name),
        &Ask {
            key,
            ..ask("sign", "a")
        },
    );
}

proptest! {
    #[test]
    fn exactly_what_could_start_does(
        concurrency in prop::option::of(1..9u32), per_tenant in prop::option::of(1..4u32),
        in_flight in prop::option::of(1..4u32), paused in prop::option::of(0..4u8),
        tenants in prop::collection::vec(0..4u8, 0..40), before in 0..5usize, held in 0..5usize,
    ) {
        let mut schedule = Schedule::default();
        let flow = Flow { concurrency, per_tenant, ..Flow::default() };
        let limits = Tenants { in_flight, ..Tenants::default() };
        allow(&mut schedule, flow, limits, Pause::default());
        for (nth, tenant) in tenants.iter().enumerate() {
            schedule.push(&uid(nth), &ask("sign", &tenant.to_string()));
        }
        let next = |schedule: &mut Schedule| schedule.pop("sign", Duration::ZERO);
        let offered: Vec<Uid> = (0..before).map_while(|_| next(&mut schedule)).collect();
        let started = offered.iter().take(held);
        let started = started.filter(|uid| schedule.hold(uid, Duration::ZERO).is_ok()).count();
        let tenants = paused.iter().map(|no| no.to_string().into()).collect();
        let flow = Flow { concurrency, per_tenant, ..Flow::default() };
        allow(&mut schedule, flow, limits, Pause { tenants, ..Pause::default() });
        let told = startable(&schedule) as usize;
        prop_assert_eq!(told, offered.len() - started + schedule.all().len());
    }
}

#[test]
fn who_waits_for_a_busy_key_or_a_pause_could_not_start() {
    let flow = Flow {
        per_key: Some(1),
        ..Flow::default()
    };
    let mut schedule = with(flow);
    keyed(&mut schedule, 0, "x");
    assert_eq!(startable(&schedule), 1);
    assert_eq!(schedule.all().len(), 1);
    (1..10).for_each(|name| keyed(&mut schedule, name, "x"));
    assert_eq!(startable(&schedule), 1, "the ticket that is out");
    keyed(&mut schedule, 10, "y");
    assert_eq!(startable(&schedule), 2);
    let pause = Pause {
        all: true,
        ..Pause::default()
    };
    allow(&mut schedule, Flow::default(), Tenants::default(), pause);
    assert_eq!(startable(&schedule), 0);
}

#[test]
fn of_what_waits_for_a_rate_one_burst_could_start() {
    let rate = Some(Rate {
        every: seconds(60),
        burst: 3,
    });
    let mut schedule = with(Flow {
        rate,
        ..Flow::default()
    });
    (0..100).for_each(|name| schedule.push(&uid(name), &ask("sign", "a")));
    assert_eq!(startable(&schedule), 3);
    assert_eq!(schedule.all().len(), 3);
    assert_eq!(startable(&schedule), 3, "the tickets that are out");
}
