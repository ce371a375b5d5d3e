//! What kind of trouble a seed brings: how much of everything, and what of it most.

use std::time::Duration;

use super::super::Config;
use super::dice::Dice;
use crate::{
    api::{OnConflict, Priority, RequestSpec},
    flow::{Flow, Rate},
};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    BreakStream,
    /// One direction of a stream stands still for a while.
    StallStream,
    CrashWorker,
    FreezeWorker,
    DrainWorker,
    CrashWatcher,
    FreezeWatcher,
    /// Only the engine's task stands still; what reads the streams goes on.
    StallEngine,
    /// The engine's task stands still and the Lease object is out of reach.
    Deafen,
    /// A clean end.
    StopWatcher,
    /// A watcher does not reach the Lease object.
    CutLease,
    /// A watcher does not reach the API server.
    CutApi,
    LoseWatch,
    LoseBroker,
    LoseEndpoint,
    /// A workspace is unbound for a while.
    HideObject,
    /// The operator pauses everything for a while.
    Pause,
}

/// What a seed makes of the world.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    /// One watcher needs no election.
    pub(super) watchers: usize,
    pub(super) workers: usize,
    pub(super) requests: usize,
    pub(super) faults: &'static [(Fault, u32)],
    /// Between two faults, milliseconds.
    pub(super) gap: (u64, u64),
    /// Until when something goes wrong.
    pub(super) faults_until: Duration,
    /// Writes that take long, percent.
    pub(super) slow_writes: u64,
    /// Writes that land and whose answer is lost, percent.
    pub(super) lost_answers: u64,
    /// Tickets that do not arrive once, percent.
    pub(super) bad_tickets: u64,
    /// New streams whose greeting takes long, percent.
    pub(super) slow_greetings: u64,
    /// How long a stream stands still, milliseconds.
    pub(super) stall: (u64, u64),
    /// How long a workspace is unbound, milliseconds.
    pub(super) hidden: (u64, u64),
    /// Steps in whose middle a process freezes, per ten thousand.
    pub(super) mid_step: usize,
    /// Requests with an idempotency key, percent.
    pub(super) keyed: u64,
    /// Jobs that take long, percent, and how long at most, milliseconds.
    pub(super) long_jobs: u64,
    pub(super) longest_job: u64,
}

use Fault::{
    BreakStream, CrashWatcher, CrashWorker, CutApi, CutLease, Deafen, DrainWorker, FreezeWatcher,
    FreezeWorker, HideObject, LoseBroker, LoseEndpoint, LoseWatch, Pause, StallEngine, StallStream,
    StopWatcher,
};

const EVERYTHING: &[(Fault, u32)] = &[
    (BreakStream, 4),
    (StallStream, 2),
    (CrashWorker, 3),
    (FreezeWorker, 3),
    (DrainWorker, 1),
    (CrashWatcher, 2),
    (FreezeWatcher, 2),
    (StallEngine, 1),
    (StopWatcher, 1),
    (CutLease, 1),
    (CutApi, 1),
    (LoseWatch, 2),
    (LoseBroker, 1),
    (LoseEndpoint, 1),
    (HideObject, 2),
    (Pause, 1),
];
const LEADERS: &[(Fault, u32)] = &[
    (FreezeWatcher, 3),
    (CutLease, 4),
    (StallEngine, 2),
    (Deafen, 3),
    (CrashWatcher, 1),
    (BreakStream, 2),
    (CutApi, 1),
];
const STREAMS: &[(Fault, u32)] = &[
    (StallStream, 6),
    (BreakStream, 4),
    (FreezeWorker, 1),
    (CrashWatcher, 1),
];
const API: &[(Fault, u32)] = &[
    (CutApi, 3),
    (LoseWatch, 2),
    (CrashWatcher, 2),
    (StopWatcher, 3),
    (CutLease, 1),
    (CrashWorker, 3),
    (FreezeWorker, 2),
];
const WORKERS: &[(Fault, u32)] = &[
    (FreezeWorker, 5),
    (CrashWorker, 3),
    (DrainWorker, 2),
    (BreakStream, 2),
];
const OBJECTS: &[(Fault, u32)] = &[
    (HideObject, 8),
    (LoseEndpoint, 2),
    (LoseWatch, 1),
    (CrashWatcher, 2),
    (StopWatcher, 1),
    (FreezeWorker, 1),
];
const BROKER: &[(Fault, u32)] = &[
    (LoseBroker, 5),
    (DrainWorker, 2),
    (StopWatcher, 2),
    (Pause, 1),
    (BreakStream, 1),
];

// === impl Plan ===

impl Plan {
    /// The plan of a seed: its last digit tells what goes wrong most.
    pub(super) fn of(seed: u64, dice: &mut Dice) -> Self {
        let mut plan = Self {
            name: "everything",
            watchers: if dice.chance(20) { 1 } else { 2 },
            workers: 2 + dice.below(2),
            requests: 6 + dice.below(5),
            faults: EVERYTHING,
            gap: (500, 8000),
            faults_until: Duration::from_secs(120),
            slow_writes: 5,
            lost_answers: 5,
            bad_tickets: 10,
            slow_greetings: 2,
            hidden: (50, 10_000),
            stall: (500, 45_000),
            mid_step: 5,
            keyed: if dice.chance(30) { 60 } else { 0 },
            long_jobs: 50,
            longest_job: 60_000,
        };
        (plan.name, plan.faults) = match seed % 8 {
            1 => ("leaders", LEADERS),
            2 => ("streams", STREAMS),
            3 => ("api", API),
            4 => ("workers", WORKERS),
            5 => ("objects", OBJECTS),
            6 => ("broker", BROKER),
            _ => ("everything", EVERYTHING),
        };
        match plan.name {
            "leaders" => {
                (plan.watchers, plan.mid_step) = (2, 20);
                (plan.long_jobs, plan.longest_job) = (80, 150_000);
                plan.requests += 3;
                plan.workers += 1;
            }
            "streams" => {
                (plan.gap, plan.stall) = ((500, 4000), (2_000, 28_000));
                plan.slow_greetings = 20;
            }
            "api" => (plan.slow_writes, plan.lost_answers) = (30, 20),
            "workers" => plan.mid_step = 100,
            "objects" => {
                plan.watchers = 1 + dice.below(2);
                plan.hidden = (50, 25_000);
            }
            "broker" => plan.bad_tickets = 40,
            _ if seed % 8 == 7 => plan.gap = (5000, 40_000),
            _ => {}
        }
        plan
    }

    /// What somebody asks for.
    pub(super) fn spec(&self, dice: &mut Dice) -> RequestSpec {
        let mut some = |percent, from, to| {
            let seconds = dice.between(from, to).as_millis();
            dice.chance(percent)
                .then(|| u32::try_from(seconds).unwrap())
        };
        let word = some(self.keyed, 0, 1).map(|word| format!("key-{word}"));
        let on_conflict = match some(60, 0, 2) {
            Some(0) => Some(OnConflict::Reject),
            Some(_) if word.is_some() => Some(OnConflict::Replace),
            _ => None,
        };
        RequestSpec {
            service: "sign".into(),
            on_conflict: on_conflict.filter(|_| word.is_some()),
            idempotency_key: word,
            priority: match some(40, 0, 2) {
                Some(0) => Some(Priority::Low),
                Some(1) => Some(Priority::High),
                _ => None,
            },
            retries: some(50, 1, 2),
            queue_timeout_seconds: some(15, 20, 200),
            deadline_seconds: some(15, 30, 300),
            ttl_seconds_after_finished: some(20, 1, 60),
            ..RequestSpec::default()
        }
    }

    /// What the operator allows.
    pub(super) fn limit(config: &mut Config, dice: &mut Dice) {
        let mut some = |percent| dice.chance(percent).then(|| 1 + u32::from(dice.chance(50)));
        let flow = Flow {
            concurrency: some(20),
            per_tenant: some(20),
            rate: some(20).map(|burst| Rate {
                every: Duration::from_secs(2),
                burst,
            }),
            ..Flow::default()
        };
        config.tenants.in_flight = some(10);
        for service in config.catalogue.values_mut() {
            service.flow = flow.clone();
        }
    }

    /// What goes wrong next.
    pub(super) fn fault(&self, dice: &mut Dice) -> Fault {
        let all: u32 = self.faults.iter().map(|(_, weight)| weight).sum();
        let mut rest = u32::try_from(dice.below(all as usize)).unwrap();
        for (fault, weight) in self.faults {
            if rest < *weight {
                return *fault;
            }
            rest -= weight;
        }
        unreachable!("the weights add up")
    }
}
