//! The agent: the one task that owns the worker's state. Everything reaches it as an event; it calls the
//! pure step and carries the effects out. It never awaits an effect.

#[cfg(test)]
mod tests;

use std::time::Duration;

use isc_core::{
    ids::AttemptId,
    worker_session::{Effect, End, Event, Progress, Step, Worker},
};
use isc_runtime::{admin::Part, clock};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    executor::{Job, Stop},
    intake::{FromIntake, Till},
    jobs::{Ended, Jobs},
    metrics::Metrics,
    session::{FromSession, Outbox},
    spans::Tickets,
    wire::{self, Identity, Report},
};

/// After the drain's end jobs have that long before they are killed,
const LAST_GRACE: Duration = Duration::from_secs(5);
/// and their outcomes that long to be recorded.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The worker's state and its hands.
pub(crate) struct Agent {
    pub(crate) worker: Worker<Report>,
    pub(crate) identity: Identity,
    pub(crate) jobs: Jobs,
    pub(crate) tickets: Tickets,
    pub(crate) till: Till,
    pub(crate) may_greet: watch::Sender<bool>,
    pub(crate) watcher: Part,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Duration,
}

/// What reaches the agent.
pub(crate) struct Inputs {
    pub(crate) session: mpsc::Receiver<FromSession>,
    pub(crate) intake: mpsc::Receiver<FromIntake>,
    pub(crate) progress: mpsc::Receiver<(AttemptId, Progress)>,
}

struct Run {
    agent: Agent,
    stream: Option<(Outbox, CancellationToken)>,
    leaving: bool,
    /// The next stage of the drain and when it begins.
    stage: Option<(Instant, Stage)>,
}

#[derive(Clone, Copy)]
enum Stage {
    Stop,
    Kill,
    Abandon,
}

// === impl Agent ===

impl Agent {
    /// Runs until all is drained after `shutdown`, or after the watcher asked for it.
    pub(crate) async fn run(self, mut inputs: Inputs, shutdown: CancellationToken) {
        let mut run = Run {
            agent: self,
            stream: None,
            leaving: false,
            stage: None,
        };
        run.step(Event::Tick);
        while !run.leaving {
            run.turn(&mut inputs, &shutdown).await;
        }
    }
}

// === impl Run ===

impl Run {
    /// Waits for one thing and takes it in. The order matters: the watcher's word before the clock, so
    /// that a renewal that is here counts; the clock before what jobs can produce without end.
    async fn turn(&mut self, inputs: &mut Inputs, shutdown: &CancellationToken) {
        let wake_up = self.agent.worker.wake_up();
        let pause = wake_up.map(|at| at.saturating_sub(clock::now()));
        let stage = self.stage;
        tokio::select! {
            biased;
            Some(input) = inputs.session.recv() => self.hear(input),
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => self.step(Event::Tick),
            Some(stage) = until(stage) => self.stage(stage),
            () = shutdown.cancelled(), if self.stage.is_none() => self.begin_drain(),
            ended = self.agent.jobs.ended() => self.job_ended(ended),
            Some(input) = inputs.intake.recv() => self.receive(input),
            Some((id, progress)) = inputs.progress.recv() => {
                self.step(Event::Progress { id, progress });
            }
        }
    }

    fn hear(&mut self, input: FromSession) {
        match input {
            FromSession::Opening { outbox, stream } => {
                self.stream = Some((outbox, stream));
                self.step(Event::Opening);
            }
            // What a stream said that was given up in the meantime does not count.
            FromSession::Message(_) if self.stream.is_none() => {
                self.agent.metrics.ignored("old_stream");
            }
            FromSession::Message(message) => {
                if let Ok(event) = wire::event(*message) {
                    self.step(event);
                } else {
                    self.agent.metrics.ignored("malformed");
                    tracing::warn!("the watcher sent a message that this version cannot read");
                }
            }
            FromSession::Closed => {
                self.stream = None;
                self.step(Event::Disconnected);
            }
        }
    }

    fn receive(&mut self, input: FromIntake) {
        match input {
            FromIntake::Ticket {
                ticket,
                id,
                service,
                trace,
            } => {
                self.agent.till.seen();
                let sent = (service.as_str(), trace.as_ref());
                self.agent.tickets.taken(ticket, &id, sent);
                self.step(Event::Ticket {
                    ticket,
                    id,
                    service,
                });
            }
            FromIntake::BrokerLost => {
                self.agent.tickets.lost();
                self.step(Event::BrokerLost);
            }
        }
    }

    fn job_ended(&mut self, ended: Ended) {
        let Ended { id, service, end } = ended;
        self.agent.metrics.job(&service, end.as_str());
        tracing::info!(uid = %id.uid, attempt = id.attempt, service, "job {}", end.as_str());
        let end = wire::end(end).map_or(End::Stopped, End::Done);
        self.step(Event::JobEnded { id, end });
    }

    fn begin_drain(&mut self) {
        let seconds = self.agent.drain.as_secs();
        tracing::info!("taking nothing new; jobs have {seconds} s to finish");
        self.stage = Some((Instant::now() + self.agent.drain, Stage::Stop));
        self.step(Event::Drain);
    }

    fn stage(&mut self, stage: Stage) {
        let now = Instant::now();
        match stage {
            // Nothing runs: what is left is to hear that the outcomes are recorded.
            Stage::Stop if self.agent.jobs.is_empty() => {
                self.stage = Some((now + LAST_WORDS, Stage::Abandon));
            }
            Stage::Stop => {
                self.stage = Some((now + LAST_GRACE, Stage::Kill));
                self.step(Event::DrainOver);
            }
            Stage::Kill => {
                self.stage = Some((now + LAST_WORDS, Stage::Abandon));
                self.agent.jobs.stop_all(Stop::Now);
            }
            Stage::Abandon => {
                tracing::warn!("leaving with outcomes that the watcher has not recorded");
                self.leaving = true;
            }
        }
    }

    fn step(&mut self, event: Event<Job, Report>) {
        let Step { effects, ignored } = self.agent.worker.step(event, clock::now());
        if let Some(reason) = ignored {
            self.agent.metrics.ignored(reason.as_str());
            tracing::debug!("ignored: {}", reason.as_str());
        }
        // Ahead of the jobs that depend on it.
        self.agent.jobs.lease(self.agent.worker.lease_end());
        for effect in effects {
            self.carry_out(effect);
        }
        self.agent.till.close_batch();
        self.show();
    }

    fn carry_out(&mut self, effect: Effect<Job, Report>) {
        match effect {
            Effect::Send(message) => {
                let message = wire::message(message, &self.agent.identity);
                let sent = self.stream.as_ref().map(|(outbox, _)| outbox.send(message));
                if matches!(sent, Some(Err(_))) {
                    self.close_stream();
                }
            }
            Effect::Progress { id, progress } => {
                if let Some((outbox, _)) = &self.stream {
                    outbox.progress(id, progress);
                }
            }
            Effect::Settle { ticket, how } => {
                self.agent.tickets.settled(ticket, how);
                self.agent.till.settle(ticket, how);
            }
            Effect::Intake { free } => self.agent.till.open(free),
            Effect::Start { id, assignment } => {
                tracing::info!(
                    uid = %id.uid,
                    attempt = id.attempt,
                    service = assignment.service,
                    request = format!("{}/{}/{}", assignment.cluster, assignment.namespace, assignment.name),
                    "job starts"
                );
                self.agent.jobs.start(id, assignment);
            }
            Effect::Stop { id } => self.agent.jobs.stop(&id, Stop::Gently),
            Effect::Kill { id } => {
                tracing::warn!(uid = %id.uid, attempt = id.attempt, "the lease has ended: the job is killed");
                self.agent.jobs.stop(&id, Stop::Now);
            }
            Effect::Disconnect => self.close_stream(),
            Effect::Leave => self.leaving = true,
        }
    }

    /// The session task says `Closed` once it has noticed.
    fn close_stream(&mut self) {
        if let Some((_, stream)) = self.stream.take() {
            stream.cancel();
        }
    }

    /// Makes the state visible outside.
    fn show(&self) {
        let Agent {
            worker,
            identity,
            may_greet,
            watcher,
            metrics,
            ..
        } = &self.agent;
        may_greet.send_if_modified(|may| {
            let changed = *may != worker.may_greet();
            *may = worker.may_greet();
            changed
        });
        metrics.busy.set(i64::from(identity.slots - worker.free()));
        let live = i64::from(worker.is_live());
        if metrics.session_connected.set(live) != live && live == 1 {
            watcher.ready();
            tracing::info!("the watcher has welcomed this worker");
        }
    }
}

async fn until(stage: Option<(Instant, Stage)>) -> Option<Stage> {
    let (at, stage) = stage?;
    sleep_until(at).await;
    Some(stage)
}
