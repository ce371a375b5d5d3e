//! The real engine and real worker sessions in a world full of faults, on a virtual clock.
//!
//! A failure tells its seed and what happened last; `ISC_SEED=7 cargo test -p isc-core sim` runs one
//! alone.

mod action;
mod api;
mod dice;
mod faults;
mod jobs;
mod streams;
mod watcher;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::{api::Phase, status};
use action::Action;
use world::World;

const FAULTS: Duration = Duration::from_secs(150);
const PATIENCE: Duration = Duration::from_secs(1500);
const REQUESTS: usize = 10;
const LOST_MAX: u32 = 1;

/// Returns how its requests ended.
fn simulate(seed: u64) -> Vec<String> {
    let mut world = World::new(seed, FAULTS);
    world.start_watcher();
    for worker in 0..world::WORKERS {
        world.later(1, 5000, |w| Action::Connect {
            worker,
            incarnation: w,
        });
    }
    for n in 0..REQUESTS {
        let uid = Uid::new(&"x".repeat(n + 1));
        let create = world.dice.between(0, 100_000);
        world.at(create, Action::Create(uid.clone()));
        let later = create + world.dice.between(0, 60_000);
        match world.dice.below(10) {
            0 | 1 => world.at(later, Action::Cancel(uid)),
            2 => world.at(later, Action::Delete(uid)),
            _ => {}
        }
    }
    world.at(Duration::from_secs(1), Action::Fault);
    let end = catch_unwind(AssertUnwindSafe(|| {
        world.run(PATIENCE, |world| world.now > FAULTS * 2 && is_over(world));
        check_ends(&world)
    }));
    end.unwrap_or_else(|panic| {
        for line in &world.log {
            eprintln!("{line}");
        }
        for (uid, entry) in world
            .watcher
            .iter()
            .flat_map(|watcher| &watcher.engine.entries)
        {
            eprintln!("{uid}: {entry:?}");
        }
        eprintln!("seed {seed} at {:?}", world.now);
        resume_unwind(panic)
    })
}

fn is_over(world: &World) -> bool {
    let ended = |uid: &Uid| world.api.status(uid).is_some_and(status::has_ended);
    world.api.objects.keys().all(ended)
        && world.running.is_empty()
        && world.workers.iter().all(|process| process.jobs.is_empty())
}

fn check_ends(world: &World) -> Vec<String> {
    let mut reasons = vec![];
    for (uid, object) in &world.api.objects {
        let status = object
            .status
            .as_ref()
            .unwrap_or_else(|| panic!("{uid} was never written"));
        assert!(status::has_ended(status), "{uid} did not end: {status:?}");
        let reason = status.conditions[0].reason.as_str();
        match status.phase {
            Some(Phase::Succeeded) => {
                assert!(
                    world.finished.contains(&(uid.clone(), "Succeeded")),
                    "{uid} did nothing"
                );
            }
            Some(Phase::Failed) if reason == "WorkerLost" => {
                assert_eq!(status.lost, LOST_MAX + 1, "{uid}");
            }
            Some(Phase::Failed) => {
                assert!(
                    world.finished.contains(&(uid.clone(), "Failed")),
                    "{uid} did not fail"
                );
            }
            Some(Phase::Cancelled) => assert!(object.cancel, "{uid} was not cancelled"),
            other => panic!("{uid} is {other:?}"),
        }
        reasons.push(reason.to_owned());
    }
    assert!(
        world.running.is_empty(),
        "still running: {:?}",
        world.running
    );
    let seconds = u32::try_from(world.now.as_secs()).unwrap();
    let wakes = world.watcher.as_ref().map_or(0, |watcher| watcher.wakes);
    assert!(wakes < seconds * 10, "{wakes} wake-ups in {seconds} s");
    reasons
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice_at_once_whatever_fails() {
    if let Ok(seed) = std::env::var("ISC_SEED") {
        simulate(seed.parse().unwrap());
        return;
    }
    let reasons: BTreeSet<String> = (0..600).flat_map(simulate).collect();
    let all = ["Cancelled", "JobFailed", "Succeeded", "WorkerLost"];
    assert!(reasons.iter().eq(all), "the world is too kind: {reasons:?}");
}
