//! The engine task: feeds the pure engine and carries out its effects. It never waits for one.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use isc_core::{
    engine::{Effect, Engine, Event, Hello, ToWorker},
    ids::{AttemptId, Now, SessionId},
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{convert, grpc::Outgoing, kcp::Clients, metrics::Metrics, tickets::Offer};

/// How often the gauges are set while anything happens.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// What reaches the engine task.
#[derive(Debug)]
pub(crate) enum Input {
    /// An event of the engine.
    Event(Event),
    /// A worker greeted; its messages go there.
    Open(SessionId, Hello, mpsc::Sender<Outgoing>),
}

/// What the engine task works with.
pub(crate) struct EngineTask {
    engine: Engine,
    start: Instant,
    clients: Clients,
    offers: mpsc::Sender<Offer>,
    metrics: Arc<Metrics>,
    sessions: HashMap<SessionId, mpsc::Sender<Outgoing>>,
    /// Events that effects led to at once.
    follow_ups: VecDeque<Event>,
    calls: JoinSet<Event>,
    shown: Option<Instant>,
}

/// How events arrive.
pub(crate) struct Inputs {
    /// Heartbeats: drained before any expiry is judged.
    pub(crate) beats: mpsc::Receiver<Event>,
    /// Everything else.
    pub(crate) inputs: mpsc::Receiver<Input>,
}

// === impl EngineTask ===

impl EngineTask {
    /// A task around an engine that was made at `start`.
    #[must_use]
    pub(crate) fn new(
        engine: Engine,
        start: Instant,
        clients: Clients,
        offers: mpsc::Sender<Offer>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            engine,
            start,
            clients,
            offers,
            metrics,
            sessions: HashMap::new(),
            follow_ups: VecDeque::new(),
            calls: JoinSet::new(),
            shown: None,
        }
    }

    /// Runs until it was told to stop and every status is written, or `drain` has passed since.
    ///
    /// # Errors
    /// When a call's task panicked.
    pub(crate) async fn run(
        mut self,
        mut from: Inputs,
        stop: CancellationToken,
        drain: Duration,
    ) -> Result<(), JoinError> {
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        let mut drained_by: Option<Instant> = None;
        loop {
            if let Some(by) = drained_by
                && (self.engine.is_clean() || Instant::now() >= by)
            {
                if !self.engine.is_clean() {
                    tracing::warn!(
                        "some statuses could not be written in time; the next watcher finds the requests"
                    );
                }
                return Ok(());
            }
            self.set_timer(timer.as_mut(), drained_by);
            tokio::select! {
                biased;
                () = stop.cancelled(), if drained_by.is_none() => {
                    drained_by = Some(Instant::now() + drain);
                    self.step(Event::Drain);
                }
                Some(event) = from.beats.recv() => self.step(event),
                Some(event) = self.calls.join_next() => self.step(event?),
                () = timer.as_mut() => self.wake(&mut from),
                Some(input) = from.inputs.recv() => {
                    self.hear_beats(&mut from);
                    self.input(input);
                }
                else => return Ok(()),
            }
        }
    }

    fn set_timer(&self, timer: Pin<&mut Sleep>, drained_by: Option<Instant>) {
        let now = self.start.elapsed();
        let wake = self.engine.wake_at(now).map(|at| self.start + at);
        let show = self.shown.map(|shown| shown + SHOW_EVERY);
        let far = Instant::now() + Duration::from_secs(3600);
        let at = [wake, show, drained_by]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far);
        if timer.deadline() != at {
            timer.reset(at);
        }
    }

    /// Time passed; who sent a heartbeat in time is heard before its lease is judged.
    fn wake(&mut self, from: &mut Inputs) {
        self.hear_beats(from);
        self.step(Event::Wake);
        if self
            .shown
            .is_some_and(|shown| shown + SHOW_EVERY <= Instant::now())
        {
            self.metrics.show(self.engine.snapshot());
            self.shown = None;
        }
    }

    /// What waits in the heartbeats' lane was sent before what comes next: a claim that overtakes the
    /// heartbeat before it would seem to be missing from it.
    fn hear_beats(&mut self, from: &mut Inputs) {
        while let Ok(beat) = from.beats.try_recv() {
            self.step(beat);
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.step(event),
            Input::Open(id, hello, sender) => {
                self.sessions.insert(id, sender);
                self.step(Event::Hello(id, hello));
            }
        }
    }

    fn step(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next {
            if let Event::SessionClosed(id) = event {
                self.sessions.remove(&id);
            }
            let now = Now {
                mono: self.start.elapsed(),
                wall: jiff::Timestamp::now(),
            };
            for effect in self.engine.step(event, now) {
                self.carry_out(effect);
            }
            next = self.follow_ups.pop_front();
        }
        self.shown.get_or_insert_with(Instant::now);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(id, message) => self.send(id, message),
            Effect::Close(id) => {
                self.sessions.remove(&id);
            }
            Effect::Publish {
                id,
                service,
                address,
            } => {
                if self
                    .offers
                    .try_send(Offer {
                        id: id.clone(),
                        service,
                        address,
                    })
                    .is_err()
                {
                    self.metrics.dropped("ticket_queue_full");
                    self.follow_ups.push_back(Event::Unplaced(id));
                }
            }
            Effect::ReadParams { id, address } => {
                let clients = self.clients.clone();
                self.calls
                    .spawn(async move { clients.read_params(id, &address).await });
            }
            Effect::Write(write) => {
                let (clients, metrics) = (self.clients.clone(), self.metrics.clone());
                self.calls
                    .spawn(async move { clients.write(*write, &metrics).await });
            }
            Effect::Delete { .. } | Effect::ReadStatus { .. } | Effect::StepDown => {}
            Effect::Measure(measure) => self.metrics.measure(&measure),
        }
    }

    /// A session whose queue is full is closed: its worker greets again.
    fn send(&mut self, id: SessionId, message: ToWorker) {
        let Some(sender) = self.sessions.get(&id) else {
            return;
        };
        if let Some(unsendable) = too_large(&message) {
            return self.give_up(id, &unsendable);
        }
        if sender.try_send(Ok(convert::to_wire(message))).is_err() {
            self.metrics.dropped("session_queue_full");
            self.sessions.remove(&id);
            self.follow_ups.push_back(Event::SessionClosed(id));
        }
    }

    /// Parameters are limited far below the largest message; this is the backstop of that rule.
    fn give_up(&mut self, session: SessionId, id: &AttemptId) {
        tracing::error!(%id, "the assignment is larger than a message may be");
        self.metrics.dropped("assignment_too_large");
        self.sessions.remove(&session);
        self.follow_ups.push_back(Event::SessionClosed(session));
    }
}

fn too_large(message: &ToWorker) -> Option<AttemptId> {
    match message {
        ToWorker::Assignment(assignment) => (assignment.params.len()
            > isc_proto::MESSAGE_MAX_BYTES - 16 * 1024)
            .then(|| assignment.id.clone()),
        _ => None,
    }
}
