//! Carrying out the schedule of faults: breaking, healing, and starting again what was killed.

mod hands;

use std::{fmt, time::Duration};

use anyhow::Result;
use nix::sys::signal::Signal;
use serde::Serialize;

use super::{
    clock,
    faults::{Fault, Harm, Target},
    world::World,
};
use hands::{harm_it, limit_memory, link, process, serves, start_again};

/// How often healing and the health of the product are looked at.
const TICK: Duration = Duration::from_millis(100);
/// A process that was told to end must have ended by then.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// A killed process is gone by then.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A fault that happened, in seconds since the start of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Happened {
    /// When.
    pub at: f64,
    /// When all was well again; none is not yet.
    pub until: Option<f64>,
    /// What.
    pub target: String,
    /// How.
    pub harm: String,
    /// What else there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9.3} {}: {}", self.at, self.target, self.harm)?;
        match self.until {
            Some(until) => write!(f, ", well at {until:.3}")?,
            None => f.write_str(", not well again")?,
        }
        if self.note.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.note)
    }
}

/// A fault that is not over.
#[derive(Debug)]
struct Open {
    target: Target,
    harm: Harm,
    heal_at: Duration,
    give_up_at: Duration,
    restarted: bool,
    entry: usize,
}

/// Who breaks things, and keeps the record.
#[derive(Debug)]
pub struct Wrecker {
    /// The zero of all times.
    start: Duration,
    open: Vec<Open>,
    /// What happened so far.
    pub happened: Vec<Happened>,
    /// What must not happen: processes that ended by themselves or did not end when told to.
    pub crashes: Vec<String>,
}

// === impl Wrecker ===

impl Wrecker {
    /// Nothing has happened.
    #[must_use]
    pub fn new(start: Duration) -> Self {
        Self {
            start,
            open: Vec::new(),
            happened: Vec::new(),
            crashes: Vec::new(),
        }
    }

    /// Breaks things by the schedule until `done` says so, and heals everything that is broken then.
    ///
    /// # Errors
    /// When something cannot be started again.
    pub async fn run(
        &mut self,
        world: &mut World,
        schedule: impl Iterator<Item = Fault>,
        done: impl Fn() -> bool,
    ) -> Result<()> {
        let mut next = self.start;
        for fault in schedule {
            next += fault.after;
            while clock::now() < next && !done() {
                self.tick(world).await?;
                tokio::time::sleep(TICK).await;
            }
            if done() {
                break;
            }
            self.break_it(world, fault).await?;
        }
        self.heal_all(world).await
    }

    /// Waits until everything that was broken is well, and whole.
    ///
    /// # Errors
    /// When something cannot be started again.
    pub async fn heal_all(&mut self, world: &mut World) -> Result<()> {
        while !self.open.is_empty() {
            self.tick(world).await?;
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Heals what is due, and sees whether all live that should.
    ///
    /// # Errors
    /// When something cannot be started again.
    pub async fn tick(&mut self, world: &mut World) -> Result<()> {
        let now = clock::now();
        for mut open in std::mem::take(&mut self.open) {
            if now < open.heal_at || !self.heal(world, &mut open).await? {
                self.open.push(open);
                continue;
            }
            self.happened[open.entry].until = Some(self.seconds());
        }
        self.see_who_lives(world)
    }

    async fn break_it(&mut self, world: &mut World, fault: Fault) -> Result<()> {
        let Fault {
            target,
            harm,
            lasts,
            ..
        } = fault;
        let busy = self.open.iter().any(|open| open.target == target)
            || (target == Target::Queues && self.open.iter().any(|o| o.target == Target::Broker));
        let at = self.seconds();
        let note = if busy {
            "left out: it is broken already".to_owned()
        } else {
            match harm_it(world, target, harm).await {
                Ok(()) => String::new(),
                Err(error) => format!("left out: {error:#}"),
            }
        };
        let (heal_at, left_out) = (clock::now() + lasts, !note.is_empty());
        self.happened.push(Happened {
            at,
            until: left_out.then_some(at),
            target: target.to_string(),
            harm: format!("{harm}, {:.1} s", lasts.as_secs_f32()),
            note,
        });
        if !left_out {
            self.open.push(Open {
                target,
                harm,
                heal_at,
                give_up_at: heal_at + STOP_LIMIT,
                restarted: false,
                entry: self.happened.len() - 1,
            });
        }
        Ok(())
    }

    /// Whether all is well again.
    async fn heal(&mut self, world: &mut World, open: &mut Open) -> Result<bool> {
        match (open.harm, open.target) {
            (Harm::Kill | Harm::Stop, _) if !open.restarted => {
                if !self.ended(world, open).await? {
                    return Ok(false);
                }
                start_again(world, open.target)?;
                open.restarted = true;
            }
            (Harm::Freeze, _) => {
                let signalled = process(world, open.target)?.signal(Signal::SIGCONT);
                if signalled.is_err() {
                    let note = "it ended while it was frozen";
                    self.happened[open.entry].note = String::from(note);
                    start_again(world, open.target)?;
                }
                return Ok(true);
            }
            (Harm::Refuse | Harm::Swallow, _) => link(world, open.target)?.heal(),
            (Harm::Alarm, _) if !open.restarted => {
                limit_memory(world, 0.4).await?;
                open.restarted = true;
            }
            _ => {}
        }
        Ok(serves(world, open.target).await)
    }

    /// Whether a process that was told to end has; one that takes too long is killed.
    async fn ended(&mut self, world: &mut World, open: &Open) -> Result<bool> {
        let process = process(world, open.target)?;
        if let Some(status) = process.exited()? {
            if open.harm == Harm::Stop && !status.success() {
                self.happened[open.entry].note = format!("it ended with {status}");
            }
            return Ok(true);
        }
        if clock::now() < open.give_up_at {
            return Ok(false);
        }
        self.crashes.push(format!(
            "{} did not end within {} s of SIGTERM",
            open.target,
            STOP_LIMIT.as_secs()
        ));
        process.signal(Signal::SIGKILL)?;
        process.ended(KILL_LIMIT).await?;
        Ok(true)
    }

    fn see_who_lives(&mut self, world: &mut World) -> Result<()> {
        let workers = (0..world.workers.len()).map(Target::Worker);
        for target in workers.chain([Target::Watcher]) {
            if self.open.iter().any(|open| open.target == target) {
                continue;
            }
            if let Some(status) = process(world, target)?.exited()? {
                let (at, tail) = (self.seconds(), process(world, target)?.tail(20));
                self.crashes
                    .push(format!("{target} ended with {status} at {at:.1} s\n{tail}"));
                start_again(world, target)?;
            }
        }
        for server in [&mut world.kcp.process, &mut world.rabbitmq.process] {
            let dead = server.exited()?.is_some();
            let ours = [Target::Kcp, Target::Broker];
            let broken = self.open.iter().any(|open| ours.contains(&open.target));
            anyhow::ensure!(
                !dead || broken,
                "{} ended\n{}",
                server.name(),
                server.tail(20)
            );
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        clock::now().saturating_sub(self.start).as_secs_f64()
    }
}
