//! How many steps the pure core takes in a second, on one core: to be at least 500,000.
//!
//! A step of `decide` is one event of one request; a step of the scheduler is one request that gets in line, is
//! offered, held or let go, with 10,000 others of 100 tenants in line for 10 services.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use isc_core::{
    api::{Priority, Progress},
    decide::{Backoff, Policy, decide},
    ids::{Holder, Now, Uid},
    life::{Dues, Life, LifeEvent, Moment, Outcome},
    schedule::{Ask, Schedule},
};
use jiff::Timestamp;

const WAITING: u64 = 10_000;
const TENANTS: u64 = 100;
const SERVICES: u64 = 10;
/// Of one life: offered, claimed, progressed, ended, written.
const EVENTS: u64 = 5;
/// Of one turn: in line, offered, held, let go.
const TURN: u64 = 4;

const NOW: Now = Now {
    mono: Duration::ZERO,
    wall: Timestamp::UNIX_EPOCH,
};

fn policy() -> Policy {
    Policy {
        lost_max: 2,
        retries: 0,
        backoff: Backoff {
            base: Duration::ZERO,
            max: Duration::ZERO,
            seed: 0,
        },
        dues: Dues::default(),
        taking_over: false,
        unclaimed: false,
    }
}

fn life() -> Life {
    Life::accepted(Moment {
        mono: Some(NOW.mono),
        wall: NOW.wall,
    })
}

fn events() -> Vec<LifeEvent> {
    let by = Holder {
        worker: "worker".into(),
        incarnation: "1".into(),
    };
    let progress = Progress {
        percent: 50,
        message: "half way".into(),
    };
    let outcome = Outcome::Succeeded {
        result: None,
        artifacts: Vec::new(),
    };
    vec![
        LifeEvent::Offer,
        LifeEvent::Claimed {
            by: by.clone(),
            attempt: 1,
            inline: true,
        },
        LifeEvent::Progressed {
            by: by.clone(),
            attempt: 1,
            progress,
        },
        LifeEvent::Ended {
            by,
            attempt: 1,
            outcome,
        },
        LifeEvent::Written,
    ]
}

fn lives(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("a short life", |b| {
        b.iter_batched(
            || (life(), events()),
            |(mut life, events)| {
                for event in events {
                    let acts = decide(&mut life, event, policy(), NOW);
                    black_box(acts.expect("every event of a short life means something"));
                }
                life
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn ask(number: u64) -> (Uid, Ask) {
    let ask = Ask {
        service: format!("service-{}", number % SERVICES).into(),
        tenant: format!("tenant-{}", number % TENANTS).into(),
        priority: Priority::Normal,
        key: None,
        bytes: 1_000,
    };
    (
        Uid::new(&format!("00000000-0000-0000-0000-{number:012}")),
        ask,
    )
}

fn turns(c: &mut Criterion) {
    let mut schedule = Schedule::default();
    for number in 0..WAITING {
        let (uid, ask) = ask(number);
        schedule.push(&uid, &ask);
    }
    let services: Vec<Arc<str>> = (0..SERVICES)
        .map(|n| format!("service-{n}").into())
        .collect();
    let mut number = WAITING;
    let mut group = c.benchmark_group("schedule");
    group.throughput(Throughput::Elements(TURN));
    group.bench_function("a turn", |b| {
        b.iter_batched(
            || {
                number += 1;
                (number, ask(number))
            },
            |(number, (uid, ask))| {
                let service = &services[usize::try_from(number % SERVICES).unwrap_or(0)];
                schedule.push(&uid, &ask);
                let next = schedule.pop(service, NOW.mono).expect("many are in line");
                schedule.hold(&next, NOW.mono).expect("nothing is limited");
                schedule.remove(&next);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, lives, turns);
criterion_main!(benches);
