//! The schedule of faults, made of nothing but the seed: what breaks when, how, and for how long.

use std::{collections::VecDeque, fmt, ops::Range, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// What a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The watcher.
    Watcher,
    /// A worker.
    Worker(usize),
    /// RabbitMQ.
    Broker,
    /// The queues in it.
    Queues,
    /// kcp.
    Kcp,
    /// What is between the watcher and kcp.
    KcpLink,
    /// What is between RabbitMQ and the watcher.
    WatcherBrokerLink,
    /// What is between RabbitMQ and a worker.
    WorkerBrokerLink(usize),
    /// What is between the watcher and a worker.
    SessionLink(usize),
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Harm {
    /// SIGKILL, and a new start some time later.
    Kill,
    /// SIGTERM, and a new start after it has ended.
    Stop,
    /// SIGSTOP, and SIGCONT some time later.
    Freeze,
    /// SIGKILL to a worker's warden.
    KillWarden,
    /// All connections are closed.
    Cut,
    /// All connections are closed, and new ones too for some time.
    Refuse,
    /// Nothing is forwarded for some time.
    Swallow,
    /// All messages are removed from all queues.
    Purge,
    /// All queues are deleted.
    Delete,
    /// RabbitMQ takes no messages for some time: its memory alarm is set off.
    Alarm,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// So long after the one before.
    pub after: Duration,
    /// What.
    pub target: Target,
    /// How.
    pub harm: Harm,
    /// How long.
    pub lasts: Duration,
}

/// Which of a few: the servers, or one of the workers.
#[derive(Clone, Copy)]
enum Whom {
    One(Target),
    AWorker(fn(usize) -> Target),
}

use Harm::{Alarm, Cut, Delete, Freeze, Kill, KillWarden, Purge, Refuse, Stop, Swallow};
use Whom::{AWorker, One};

/// Of each that many in every deck, each for so many milliseconds. The lease of the suite is 6 seconds.
const DECK: [(Whom, Harm, usize, Range<u64>); 27] = [
    (One(Target::Watcher), Kill, 6, 0..3_000),
    (One(Target::Watcher), Stop, 5, 0..500),
    (One(Target::Watcher), Freeze, 3, 500..4_000),
    (One(Target::Watcher), Freeze, 2, 8_000..14_000),
    (AWorker(Target::Worker), Kill, 10, 0..4_000),
    (AWorker(Target::Worker), Stop, 6, 0..500),
    (AWorker(Target::Worker), Freeze, 4, 500..4_000),
    (AWorker(Target::Worker), Freeze, 5, 8_000..14_000),
    (AWorker(Target::Worker), KillWarden, 4, 0..1),
    (One(Target::Broker), Kill, 2, 0..4_000),
    (One(Target::Broker), Freeze, 2, 2_000..12_000),
    (One(Target::Broker), Alarm, 2, 3_000..10_000),
    (One(Target::Queues), Purge, 4, 0..1),
    (One(Target::Queues), Delete, 3, 0..1),
    (One(Target::Kcp), Kill, 1, 0..2_000),
    (One(Target::Kcp), Freeze, 2, 2_000..10_000),
    (One(Target::KcpLink), Cut, 2, 0..1),
    (One(Target::KcpLink), Refuse, 1, 2_000..10_000),
    (One(Target::KcpLink), Swallow, 2, 2_000..12_000),
    (One(Target::WatcherBrokerLink), Cut, 2, 0..1),
    (One(Target::WatcherBrokerLink), Swallow, 2, 2_000..12_000),
    (AWorker(Target::WorkerBrokerLink), Cut, 2, 0..1),
    (AWorker(Target::WorkerBrokerLink), Refuse, 1, 2_000..10_000),
    (AWorker(Target::WorkerBrokerLink), Swallow, 2, 2_000..12_000),
    (AWorker(Target::SessionLink), Cut, 4, 0..1),
    (AWorker(Target::SessionLink), Refuse, 2, 2_000..12_000),
    (AWorker(Target::SessionLink), Swallow, 5, 1_000..14_000),
];

/// Faults without an end: decks of all of them, each deck shuffled anew.
#[derive(Debug)]
pub struct Schedule {
    rng: StdRng,
    workers: usize,
    gap: Duration,
    /// Servers are not killed: their start takes longer than a short run has.
    mild: bool,
    deck: VecDeque<Fault>,
}

// === impl Schedule ===

impl Schedule {
    /// The schedule of a seed: a fault about every `gap`. A `mild` one lets the servers live.
    #[must_use]
    pub fn new(seed: u64, workers: usize, gap: Duration, mild: bool) -> Self {
        Self {
            // Not the numbers that the plan is made of.
            rng: StdRng::seed_from_u64(seed ^ 0x5eed_fa17),
            workers,
            gap,
            mild,
            deck: VecDeque::new(),
        }
    }

    fn shuffled(&mut self) -> VecDeque<Fault> {
        let mut deck = Vec::new();
        for (whom, harm, copies, lasts) in DECK {
            for _ in 0..copies {
                let target = match whom {
                    One(target) => target,
                    AWorker(target) => target(self.rng.random_range(0..self.workers)),
                };
                if self.mild && harm == Kill && matches!(target, Target::Broker | Target::Kcp) {
                    continue;
                }
                let gap = self.gap.mul_f64(self.rng.random_range(0.2..1.8));
                let lasts = Duration::from_millis(self.rng.random_range(lasts.clone()));
                deck.push(Fault {
                    after: gap,
                    target,
                    harm,
                    lasts,
                });
            }
        }
        deck.shuffle(&mut self.rng);
        deck.into()
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        if self.deck.is_empty() {
            self.deck = self.shuffled();
        }
        self.deck.pop_front()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watcher => f.write_str("watcher"),
            Self::Worker(n) => write!(f, "worker-{n}"),
            Self::Broker => f.write_str("rabbitmq"),
            Self::Queues => f.write_str("queues"),
            Self::Kcp => f.write_str("kcp"),
            Self::KcpLink => f.write_str("watcher<->kcp"),
            Self::WatcherBrokerLink => f.write_str("watcher<->rabbitmq"),
            Self::WorkerBrokerLink(n) => write!(f, "worker-{n}<->rabbitmq"),
            Self::SessionLink(n) => write!(f, "worker-{n}<->watcher"),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kill => "kill -9",
            Stop => "clean restart",
            Freeze => "freeze",
            KillWarden => "kill -9 of its warden",
            Cut => "cut",
            Refuse => "refuse",
            Swallow => "black hole",
            Purge => "purged",
            Delete => "deleted",
            Alarm => "memory alarm",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_schedule_and_a_deck_has_everything() {
        let deck: usize = DECK.iter().map(|(_, _, copies, _)| copies).sum();
        let take = |seed, mild| {
            Schedule::new(seed, 4, Duration::from_secs(4), mild)
                .take(deck)
                .collect::<Vec<_>>()
        };
        assert_eq!(take(1, false), take(1, false));
        assert_ne!(take(1, false), take(2, false));
        for (_, harm, _, _) in DECK {
            assert!(take(1, false).iter().any(|f| f.harm == harm), "{harm}");
        }
        let killed = |f: &&Fault| f.harm == Kill && f.target == Target::Kcp;
        assert_eq!(take(1, false).iter().filter(killed).count(), 1);
        assert_eq!(take(1, true).iter().filter(killed).count(), 0);
    }
}
