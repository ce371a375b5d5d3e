//! Properties, by random traces against the naive model.

use proptest::prelude::*;

use super::{
    pair::{Op, Pair, SERVICES},
    *,
};

fn an_ask() -> impl Strategy<Value = Ask> {
    let priority = prop_oneof![
        1 => Just(Priority::Low),
        3 => Just(Priority::Normal),
        2 => Just(Priority::High),
    ];
    let key = prop::option::of((0..2u8).prop_map(|n| n.to_string().into()));
    (0..2usize, 0..4u8, priority, key, 0..100u32).prop_map(
        |(service, tenant, priority, key, bytes)| Ask {
            service: SERVICES[service].into(),
            tenant: tenant.to_string().into(),
            priority,
            key,
            bytes,
        },
    )
}

fn an_op() -> impl Strategy<Value = Op> {
    let pick = || any::<usize>();
    let pause = (
        prop::bool::weighted(0.1),
        prop::collection::btree_set(0..2usize, 0..2),
        prop::collection::btree_set(0..4u8, 0..2),
    );
    let pause = pause.prop_map(|(all, services, tenants)| Pause {
        all,
        services: services.iter().map(|no| SERVICES[*no].into()).collect(),
        tenants: tenants.iter().map(|no| no.to_string().into()).collect(),
    });
    prop_oneof![
        8 => an_ask().prop_map(Op::Push),
        1 => an_ask().prop_map(Op::Occupy),
        2 => pick().prop_map(|pick| Op::Again { pick }),
        1 => pick().prop_map(|pick| Op::Aside { pick }),
        6 => (0..2usize).prop_map(Op::Pop),
        3 => (0..2usize).prop_map(Op::Express),
        6 => pick().prop_map(|pick| Op::Hold { pick }),
        3 => pick().prop_map(|pick| Op::Remove { pick }),
        3 => (1..3000u64).prop_map(|ms| Op::Wait { ms }),
        1 => pause.prop_map(|pause| Op::Configure { pause }),
    ]
}

fn a_flow() -> impl Strategy<Value = Flow> {
    let limit = |max: u32| prop::option::of(1..max);
    let rate = (1..2000u64, 1..4u32).prop_map(|(ms, burst)| Rate {
        every: Duration::from_millis(ms),
        burst,
    });
    (limit(5), limit(3), limit(3), prop::option::of(rate)).prop_map(
        |(concurrency, per_tenant, per_key, rate)| Flow {
            concurrency,
            per_tenant,
            per_key,
            rate,
            paused: false,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn limits_hold_nothing_is_lost_and_what_may_start_does(
        flow in a_flow(), tenants in prop::option::of(1..4u32),
        ops in prop::collection::vec(an_op(), 1..150),
    ) {
        let mut pair = Pair::new(flow, tenants);
        for op in ops {
            pair.run(op);
            pair.check();
        }
        pair.model.check_rate();
        pair.drain();
    }

    /// Between two turns of a tenant that has work, every other tenant with work has one.
    #[test]
    fn no_tenant_with_work_waits_more_than_one_round(
        arrivals in prop::collection::vec((0..6u8, 0..3usize, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let mut schedule = Schedule::default();
        let mut waiting: HashMap<u8, u32> = HashMap::new();
        // Whom each tenant saw have a turn since its own last one.
        let mut seen: HashMap<u8, BTreeSet<u8>> = HashMap::new();
        for (n, (tenant, line, pop, release)) in arrivals.into_iter().enumerate() {
            let name = uid(format!("{n} {tenant}"));
            let priority = queue::PRIORITIES[line];
            schedule.push(&name, &Ask { priority, ..ask("sign", &tenant.to_string()) });
            *waiting.entry(tenant).or_default() += 1;
            if pop {
                let popped = schedule.pop("sign", Duration::ZERO).unwrap();
                let served: u8 = popped.0.rsplit(' ').next().unwrap().parse().unwrap();
                if release {
                    schedule.remove(&popped);
                }
                *waiting.get_mut(&served).unwrap() -= 1;
                seen.remove(&served);
                for (other, _) in waiting.iter().filter(|(other, n)| **other != served && **n > 0) {
                    let first = seen.entry(*other).or_default().insert(served);
                    prop_assert!(first, "{served} had two turns while {other} waited");
                }
            }
        }
    }

    /// Whatever else arrives, Low gets one of 33 picks at the least, and the share of High is kept.
    #[test]
    fn no_line_of_a_tenant_is_starved(arrivals in prop::collection::vec((1..3u8, 1..3u8), 1..300)) {
        let mut schedule = Schedule::default();
        let mut n = 0;
        let mut add = |schedule: &mut Schedule, priority| {
            n += 1;
            schedule.add(format!("{priority:?}{n}"), "a", priority);
        };
        let mut since: HashMap<Priority, u32> = HashMap::new();
        add(&mut schedule, Priority::Low);
        for (high, normal) in arrivals {
            // Always work in all three, in any mixture.
            for _ in 0..high {
                add(&mut schedule, Priority::High);
            }
            for _ in 0..normal {
                add(&mut schedule, Priority::Normal);
            }
            let popped = schedule.pop("sign", Duration::ZERO).unwrap();
            for (priority, most) in [(Priority::Low, 32), (Priority::Normal, 26), (Priority::High, 10)] {
                let skipped = since.entry(priority).or_default();
                *skipped += 1;
                if popped.0.starts_with(&format!("{priority:?}")) {
                    *skipped = 0;
                }
                prop_assert!(*skipped <= most, "{priority:?} was passed over {skipped} times");
            }
            if popped.0.starts_with("Low") {
                add(&mut schedule, Priority::Low);
            }
        }
    }
}
