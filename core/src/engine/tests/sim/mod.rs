//! Real engines of two watchers and real sessions of several workers in a world full of faults, on a
//! virtual clock.
//!
//! A seed decides everything. `ISC_SEED=7 cargo test -p isc-core sim` runs one alone; `ISC_SEEDS=100000`
//! runs so many instead of a few, from 0 or from `ISC_FROM`. What goes wrong is told as a time-line, of
//! the request that it concerns or, with `ISC_TALE=all`, of everything. `ISC_OFF=LongerLease` switches a
//! rule off.
//!
//! `world` has the clock and the agenda, `act` the happenings; `watcher`, `watch`, `election` are one
//! side, `worker`, `duty`, `jobs` the other; `streams`, `broker`, `api` are between them. `plan` tells
//! what `faults` there are, `ledger` what must hold.

mod act;
mod action;
mod api;
mod broker;
mod dice;
mod duty;
mod election;
mod faults;
mod jobs;
mod ledger;
mod plan;
mod rules;
mod streams;
mod tale;
mod watch;
mod watcher;
mod worker;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;
use crate::rules::Rule;
use tale::Tale;
use world::World;

const LOST_MAX: u32 = 1;
/// So many seeds are run when nobody says how many.
const SEEDS: u64 = 4000;

/// How a seed went wrong.
#[derive(Debug)]
struct Wrong {
    seed: u64,
    about: Option<Uid>,
    what: String,
}

/// Runs a seed, with a rule switched off or without. Returns how its requests ended.
fn simulate(seed: u64, off: Option<Rule>) -> Result<BTreeSet<String>, Wrong> {
    let mut world = World::new(seed, off, Tale::default());
    let run = catch_unwind(AssertUnwindSafe(|| world.run()));
    let (about, what) = match (run, world.failure.take()) {
        (Ok(()), None) => return Ok(world.ends),
        (_, Some(failure)) => failure,
        (Err(panic), None) => (None, panic_text(&*panic)),
    };
    Err(Wrong { seed, about, what })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    format!("a panic: {}", text.unwrap_or_default())
}

/// Runs a seed again and tells what happens in it.
fn tell(seed: u64, off: Option<Rule>, about: Option<&Uid>) -> String {
    let mut world = World::new(seed, off, Tale::told());
    let _ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let (plan, tale) = (world.plan.name, world.tale.text(about));
    let mut text = format!("seed {seed}, plan {plan}\n{tale}");
    for engine in world.watchers.iter().filter_map(|w| w.engine.as_ref()) {
        let known = about.and_then(|uid| engine.entries.get(uid));
        text += &known.map_or_else(String::new, |entry| format!("a leader has {entry:?}\n"));
    }
    text
}

/// Tells the whole story of what went wrong, and how to see it again.
fn report(wrong: &Wrong, off: Option<Rule>) -> ! {
    let all = std::env::var("ISC_TALE").is_ok_and(|tale| tale == "all");
    let about = wrong.about.as_ref().filter(|_| !all);
    let (seed, what, tale) = (wrong.seed, &wrong.what, tell(wrong.seed, off, about));
    let off = off.map_or_else(String::new, |rule| format!("ISC_OFF={rule:?} "));
    panic!(
        "{tale}\nseed {seed}: {what}\nagain: {off}ISC_SEED={seed} cargo test -p isc-core sim\n\
         everything that happens: add ISC_TALE=all"
    );
}

/// Runs seeds on all cores until one goes wrong.
fn sweep(from: u64, to: u64, off: Option<Rule>) -> Result<BTreeSet<String>, Wrong> {
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    let stop = AtomicBool::new(false);
    let one = |core: u64| {
        let mut ends = BTreeSet::new();
        for seed in (from..to).filter(|seed| seed % cores == core) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match simulate(seed, off) {
                Ok(ended) => ends.extend(ended),
                Err(wrong) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(wrong);
                }
            }
        }
        Ok(ends)
    };
    thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || one(core)))
            .collect();
        let results = threads
            .into_iter()
            .map(|t| t.join().expect("panics are caught"));
        let mut ends = BTreeSet::new();
        for result in results {
            ends.extend(result?);
        }
        Ok(ends)
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
    )
}

#[test]
fn nothing_is_lost_and_nothing_runs_twice_at_once_whatever_fails() {
    let (from, to) = if let Some(seed) = number("ISC_SEED") {
        (seed, seed + 1)
    } else {
        let from = number("ISC_FROM").unwrap_or(0);
        (from, from + number("ISC_SEEDS").unwrap_or(SEEDS))
    };
    let off = std::env::var("ISC_OFF").ok();
    let off = off.map(|name| rules::named(&name).unwrap_or_else(|| panic!("no rule is {name}")));
    let ends = sweep(from, to, off).unwrap_or_else(|wrong| report(&wrong, off));
    if to - from >= SEEDS {
        let all = [
            "Cancelled",
            "DeadlineExceeded",
            "JobFailed",
            "KeyInUse",
            "KeyReused",
            "QueueTimeout",
            "Replaced",
            "Succeeded",
            "WorkerLost",
        ];
        assert!(ends.iter().eq(all), "the world is too kind: {ends:?}");
    }
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..16 {
        let [one, two] = [tell(seed, None, None), tell(seed, None, None)];
        assert!(one == two, "seed {seed} is not repeatable");
        assert!(
            one.lines().count() > 100,
            "seed {seed} tells nothing:\n{one}"
        );
    }
}
