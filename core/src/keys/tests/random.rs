//! Whatever joins, ends, vanishes and starts anew: what always holds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    world::{Object, Phase, World},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Op {
    Join(OnConflict, bool),
    Start(usize),
    End(usize, bool),
    Cancel(usize),
    Delete(usize),
    Forget(usize),
    Back(usize),
    Read(usize),
    Restart { lost: bool, unwritten: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let on_conflict = prop_oneof![
        4 => Just(OnConflict::Attach),
        3 => Just(OnConflict::Replace),
        1 => Just(OnConflict::Reject),
    ];
    let (nth, b) = (|| 0..8usize, any::<bool>);
    prop_oneof![
        6 => (on_conflict, prop::bool::weighted(0.1)).prop_map(|(how, other)| Op::Join(how, other)),
        4 => nth().prop_map(Op::Start),
        3 => (nth(), b()).prop_map(|(nth, well)| Op::End(nth, well)),
        2 => nth().prop_map(Op::Cancel),
        2 => nth().prop_map(Op::Delete),
        1 => nth().prop_map(Op::Forget),
        1 => nth().prop_map(Op::Back),
        1 => nth().prop_map(Op::Read),
        1 => (b(), b()).prop_map(|(lost, unwritten)| Op::Restart { lost, unwritten }),
    ]
}

fn run(world: &mut World, op: Op) {
    match op {
        Op::Join(on_conflict, other) => world.join(on_conflict, other),
        Op::Start(nth) => world.start(nth),
        Op::End(nth, well) => world.end(nth, well),
        Op::Cancel(nth) => world.cancel(nth),
        Op::Delete(nth) => world.delete(nth),
        Op::Forget(nth) => world.forget(nth),
        Op::Back(nth) => world.back(nth),
        Op::Read(nth) => world.read(nth),
        Op::Restart { lost, unwritten } => world.restart(lost, unwritten),
    }
    check(world);
}

fn may_run(object: &Object) -> bool {
    matches!(object.phase, Phase::Waiting | Phase::Running)
}

fn check(world: &World) {
    let primaries = world.objects.values().filter(|object| may_run(object));
    assert!(primaries.count() <= 1, "two may run: {world:?}");
    let mut members = BTreeSet::new();
    for (uid, object) in &world.objects {
        let waits_for = world.keys.waits_for(uid);
        match object.phase {
            Phase::Behind => {
                let (earlier, _) = waits_for.expect("it waits for someone");
                let earlier = world.objects.get(&earlier).expect("who is there");
                let good = may_run(earlier) || earlier.phase == Phase::Succeeded;
                assert!(good, "{uid} waits for ever: {world:?}");
            }
            phase => {
                assert_eq!(waits_for, None, "{uid}");
                assert_ne!(phase, Phase::Open, "{uid} is not decided: {world:?}");
            }
        }
        if object.phase != Phase::Ended {
            members.insert(uid.clone());
        }
    }
    let kept: BTreeSet<Uid> = world.keys.members.keys().cloned().collect();
    assert_eq!(kept, members, "exactly these matter: {world:?}");
    assert_eq!(world.keys.is_empty(), members.is_empty(), "{world:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn at_most_one_may_run_and_nobody_waits_for_ever(
        ops in prop::collection::vec(op(), 1..60), well in any::<bool>(),
    ) {
        let mut world = World::default();
        for op in ops {
            run(&mut world, op);
        }
        // Time alone brings everyone to an end.
        let over = |object: &Object| matches!(object.phase, Phase::Succeeded | Phase::Ended);
        for round in 0.. {
            if world.objects.values().all(over) {
                break;
            }
            prop_assert!(round < 100, "someone waits for ever: {world:?}");
            for op in [Op::Start(0), Op::End(0, well), Op::Read(0)] {
                run(&mut world, op);
            }
        }
        while !world.objects.is_empty() {
            run(&mut world, Op::Delete(0));
        }
        prop_assert!(world.keys.is_empty(), "{:?}", world.keys);
    }
}
