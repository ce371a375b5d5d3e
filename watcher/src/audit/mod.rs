//! An audit apart from the logs: one JSON line for each decision on a request and each change of the
//! configuration. Never what was asked or answered, only digests of it.
//!
//! Whoever decides tells the [`Auditor`] and goes on at once; the [`Writer`] writes. What finds no room in
//! between is counted, and told by a line of its own. docs/audit.md says what the lines mean.

pub(crate) mod digest;
mod fact;
mod line;
mod sink;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use isc_core::audit::Audit;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{config::AuditConfig, kcp::Paths, metrics::Metrics};
use digest::Sha256;
use fact::Fact;
pub use sink::AuditError;
use sink::Sink;
pub(crate) use sink::check;
pub(crate) use writer::Writer;

/// Lines that wait to be written.
const LINES: usize = 4096;
/// Bytes of parameters that wait with them, for their digest.
const BYTES: usize = 16 * 1024 * 1024;

/// Where decisions are told. Cheap to clone; one without an audit forgets everything.
#[derive(Clone, Default)]
pub(crate) struct Auditor(Option<Arc<Desk>>);

struct Desk {
    entries: mpsc::Sender<Entry>,
    room: Arc<Semaphore>,
    lost: Lost,
    stopped: AtomicBool,
    metrics: Arc<Metrics>,
}

/// A fact that waits to be written.
struct Entry {
    at: Timestamp,
    fact: Fact,
    /// Given back when it is written.
    _room: Option<OwnedSemaphorePermit>,
}

/// Lines that found no room, and since when; until that is told.
#[derive(Clone, Default)]
struct Lost(Arc<Mutex<Option<(u64, Timestamp)>>>);

/// An auditor and what writes what it is told.
pub(crate) fn start(
    config: &AuditConfig,
    instance: &str,
    paths: Paths,
    metrics: Arc<Metrics>,
) -> (Auditor, Writer) {
    with_room((LINES, BYTES), config, instance, (paths, metrics))
}

fn with_room(
    (lines, bytes): (usize, usize),
    config: &AuditConfig,
    instance: &str,
    (paths, metrics): (Paths, Arc<Metrics>),
) -> (Auditor, Writer) {
    let (entries, from) = mpsc::channel(lines);
    let lost = Lost::default();
    let desk = Desk {
        entries,
        room: Arc::new(Semaphore::new(bytes)),
        lost: lost.clone(),
        stopped: AtomicBool::new(false),
        metrics: metrics.clone(),
    };
    let sink = Sink::new(config);
    let writer = Writer::new((from, lost), sink, (instance.to_owned(), paths), metrics);
    (Auditor(Some(Arc::new(desk))), writer)
}

// === impl Auditor ===

impl Auditor {
    /// Something was decided on a request.
    pub(crate) fn told(&self, audit: Audit) {
        if self.is_on() {
            self.tell(Fact::of(audit));
        }
    }

    /// This watcher decides from now on.
    pub(crate) fn serving(&self) {
        self.tell(Fact::Serving);
    }

    /// This watcher decides no more; only the first word on that counts.
    pub(crate) fn stopped(&self, clean: bool) {
        let desk = self.0.as_ref();
        if desk.is_some_and(|desk| !desk.stopped.swap(true, Ordering::Relaxed)) {
            self.tell(Fact::Stopped { clean });
        }
    }

    /// A file of the configuration is another one: its digest, none where it is gone, and whether it is in
    /// force.
    pub(crate) fn configuration(&self, file: &Path, digest: Option<Sha256>, in_force: bool) {
        let file = file.display().to_string();
        self.tell(Fact::Configuration {
            file,
            digest,
            in_force,
        });
    }

    /// Whether anybody listens.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn tell(&self, fact: Fact) {
        let Some(desk) = &self.0 else {
            return;
        };
        let at = Timestamp::now();
        let weight = u32::try_from(fact.weight()).unwrap_or(u32::MAX);
        let room = (weight > 0).then(|| desk.room.clone().try_acquire_many_owned(weight));
        let sent = room.transpose().is_ok_and(|room| {
            let entry = Entry {
                at,
                fact,
                _room: room,
            };
            desk.entries.try_send(entry).is_ok()
        });
        if !sent {
            desk.metrics.audit_lines("dropped", 1);
            desk.lost.add(at);
        }
    }
}

// === impl Lost ===

impl Lost {
    fn add(&self, at: Timestamp) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert((0, at)).0 += 1;
    }

    fn take(&self) -> Option<(u64, Timestamp)> {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.take()
    }
}

#[cfg(test)]
mod tests;
