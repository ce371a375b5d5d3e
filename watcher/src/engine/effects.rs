//! Carrying out effects: hand them on, or start the call whose answer comes back as an event.

use std::time::SystemTime;

use isc_core::{
    engine::{Assignment, Effect, Event, ToWorker, Write, WriteResult},
    ids::{AttemptId, SessionId},
};
use isc_runtime::trace::Context;

use super::{EngineTask, Outputs};
use crate::{convert, kcp::News, spans, tickets::Offer};

// === impl EngineTask ===

impl EngineTask {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(id, message) => self.send(id, message),
            Effect::Close(id) => {
                self.sessions.remove(&id);
            }
            Effect::Publish {
                id,
                service,
                address,
                trace,
            } => {
                let trace = self.outputs.spans.context(&id.uid, trace.as_ref());
                self.publish(Offer {
                    id,
                    service,
                    address,
                    trace,
                });
            }
            Effect::ReadParams { id, address } => {
                let clients = self.outputs.clients.clone();
                self.calls
                    .spawn(async move { clients.read_params(id, &address).await });
            }
            Effect::ReadStatus { uid, address } => {
                let clients = self.outputs.clients.clone();
                self.calls
                    .spawn(async move { clients.read_status(uid, &address).await });
            }
            Effect::Delete { uid, address } => {
                let clients = self.outputs.clients.clone();
                self.calls
                    .spawn(async move { clients.delete(uid, &address).await });
            }
            Effect::Write(write) => {
                let outputs = self.outputs.clone();
                let queued = spans::time(write.queued, self.start.elapsed());
                self.calls
                    .spawn(async move { outputs.write(&write, queued).await });
            }
            Effect::StepDown => self.stepped_down = true,
            Effect::Measure(measure) => self.outputs.metrics.measure(&measure),
            Effect::Audit(audit) => self.outputs.audit.told(*audit),
        }
    }

    fn publish(&mut self, offer: Offer) {
        if let Err(refused) = self.outputs.offers.try_send(offer) {
            self.outputs.metrics.dropped("ticket_queue_full");
            let id = refused.into_inner().id;
            self.follow_ups.push_back(Event::Unplaced(id));
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
        let trace = match &message {
            ToWorker::Assignment(granted) => self.granted(granted),
            _ => None,
        };
        if sender
            .try_send(Ok(convert::to_wire(message, trace.as_ref())))
            .is_ok()
        {
            self.outputs.metrics.session_message("sent");
        } else {
            self.outputs.metrics.dropped("session_queue_full");
            self.sessions.remove(&id);
            self.follow_ups.push_back(Event::SessionClosed(id));
        }
    }

    /// The context of its request, whose waiting ends now.
    fn granted(&self, granted: &Assignment) -> Option<Context> {
        let spans = &self.outputs.spans;
        let trace = spans.context(&granted.id.uid, granted.trace.as_ref())?;
        spans.granted(granted, &trace, self.start.elapsed());
        Some(trace)
    }

    /// Parameters are limited far below the largest message; this is the backstop of that rule.
    fn give_up(&mut self, session: SessionId, id: &AttemptId) {
        tracing::error!(%id, "the assignment is larger than a message may be");
        self.outputs.metrics.dropped("assignment_too_large");
        self.sessions.remove(&session);
        self.follow_ups.push_back(Event::SessionClosed(session));
    }
}

// === impl Outputs ===

impl Outputs {
    /// Writes a status; what it tells anew is news once it is written.
    async fn write(&self, write: &Write, queued: SystemTime) -> Event {
        let began = SystemTime::now();
        let event = self.clients.write(write, &self.metrics).await;
        self.spans.written(write, queued, began, &event);
        if let Event::Written(_, WriteResult::Ok(_)) = event
            && let Some(news) = News::of(write)
            && self.news.try_send(news).is_err()
        {
            self.metrics.dropped("news_queue_full");
        }
        event
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
