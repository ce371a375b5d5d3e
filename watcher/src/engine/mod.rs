//! The engine task: feeds the pure engine and carries out its effects. It never waits for one.

mod effects;

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use isc_core::{
    engine::{Engine, Event, Hello},
    ids::{Now, SessionId},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Auditor,
    grpc::Outgoing,
    kcp::{Clients, News},
    metrics::Metrics,
    scaler::Demand,
    spans::Spans,
    tickets::Offer,
};

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

/// Why the engine task ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// A call's task panicked.
    #[error("a call failed inside: {0}")]
    Call(#[from] JoinError),
    /// Another watcher may lead by now.
    #[error(
        "its time as the leader is over, and its Lease was not renewed: this watcher ends, and starts anew from a \
         list of all requests"
    )]
    SteppedDown,
}

/// How the engine task ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    /// Every status is written and nothing more was granted.
    pub(crate) clean: bool,
    /// The time for its end is over then.
    pub(crate) by: Instant,
}

/// Where effects go.
#[derive(Clone)]
pub(crate) struct Outputs {
    /// To kcp.
    pub(crate) clients: Clients,
    /// To the broker.
    pub(crate) offers: mpsc::Sender<Offer>,
    /// To the people.
    pub(crate) news: mpsc::Sender<News>,
    /// To the scaler.
    pub(crate) demands: watch::Sender<Option<Demand>>,
    /// To whoever checks later.
    pub(crate) audit: Auditor,
    /// For counting.
    pub(crate) metrics: Arc<Metrics>,
    /// For tracing.
    pub(crate) spans: Spans,
}

/// What the engine task works with.
pub(crate) struct EngineTask {
    engine: Engine,
    start: Instant,
    outputs: Outputs,
    stepped_down: bool,
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
    pub(crate) fn new(engine: Engine, start: Instant, outputs: Outputs) -> Self {
        Self {
            engine,
            start,
            outputs,
            stepped_down: false,
            sessions: HashMap::new(),
            follow_ups: VecDeque::new(),
            calls: JoinSet::new(),
            shown: None,
        }
    }

    /// Runs until it was told to stop and every status is written, or `drain` has passed since.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub(crate) async fn run(
        mut self,
        mut from: Inputs,
        stop: CancellationToken,
        drain: Duration,
    ) -> Result<Drained, EngineError> {
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        let mut drained_by: Option<Instant> = None;
        loop {
            if self.stepped_down {
                return Err(EngineError::SteppedDown);
            }
            if let Some(drained) = drained_by.and_then(|by| self.drained(by)) {
                return Ok(drained);
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
            }
        }
    }

    /// Whether a draining task may end.
    fn drained(&self, by: Instant) -> Option<Drained> {
        let clean = self.engine.is_clean();
        if !clean && Instant::now() < by {
            return None;
        }
        if !clean {
            tracing::warn!(
                "some statuses could not be written in time; the next watcher finds the requests"
            );
        }
        let clean = self.engine.hands_over(self.start.elapsed());
        Some(Drained { clean, by })
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
            self.show();
        }
    }

    fn show(&mut self) {
        let snapshot = self.engine.snapshot();
        if !self.outputs.demands.is_closed() {
            let demand = Demand::of(&snapshot);
            self.outputs.demands.send_if_modified(|shown| {
                let changed = *shown != demand;
                *shown = demand;
                changed
            });
        }
        self.outputs.metrics.show(snapshot);
        self.shown = None;
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
            let left = self.outputs.clients.lead().left();
            self.engine.lead_until(left.map(|left| now.mono + left));
            for effect in self.engine.step(event, now) {
                self.carry_out(effect);
            }
            next = self.follow_ups.pop_front();
        }
        self.shown.get_or_insert_with(Instant::now);
    }
}
