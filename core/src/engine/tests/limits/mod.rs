//! Limits and pauses over random events: no more runs than may, and in the end everything has run.

mod shop;

use proptest::prelude::*;

use super::*;
use crate::{
    api::Priority,
    flow::{Flow, Rate},
};
use shop::Shop;

#[derive(Clone, Copy, Debug)]
enum Op {
    Ask {
        tenant: u8,
        priority: Priority,
        key: Option<u8>,
    },
    /// A ticket comes up, an old one maybe.
    Claim {
        pick: usize,
    },
    End {
        pick: usize,
        well: bool,
    },
    Gone {
        pick: usize,
    },
    /// The ticket was lost in the broker, or came back.
    Unplaced {
        pick: usize,
    },
    /// The worker falls silent for longer than its lease, and greets again.
    Silence,
    Wait {
        ms: u64,
    },
    Pause {
        service: bool,
        tenant: Option<u8>,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let priority = prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High)
    ];
    let pick = || any::<usize>();
    prop_oneof![
        8 => (0..3u8, priority, prop::option::of(0..2u8))
            .prop_map(|(tenant, priority, key)| Op::Ask { tenant, priority, key }),
        8 => pick().prop_map(|pick| Op::Claim { pick }),
        4 => (pick(), any::<bool>()).prop_map(|(pick, well)| Op::End { pick, well }),
        1 => pick().prop_map(|pick| Op::Gone { pick }),
        1 => pick().prop_map(|pick| Op::Unplaced { pick }),
        1 => Just(Op::Silence),
        3 => (1..4000u64).prop_map(|ms| Op::Wait { ms }),
        1 => (prop::bool::weighted(0.3), prop::option::of(0..3u8))
            .prop_map(|(service, tenant)| Op::Pause { service, tenant }),
    ]
}

fn flow() -> impl Strategy<Value = Flow> {
    let limit = |max: u32| prop::option::of(1..max);
    let rate = (100..3000u64, 1..3u32).prop_map(|(ms, burst)| Rate {
        every: Duration::from_millis(ms),
        burst,
    });
    (limit(4), limit(3), limit(2), prop::option::of(rate)).prop_map(
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
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_more_runs_than_may_and_in_the_end_everything_has(
        flow in flow(), in_flight in prop::option::of(1..3u32),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut shop = Shop::new(flow, in_flight);
        for op in ops {
            shop.run(op);
        }
        shop.finish();
    }
}
