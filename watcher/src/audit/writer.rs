//! The task that writes lines. A file that cannot be written holds up nobody: what was told waits here until
//! it can, as far as there is room.

use std::{io, sync::Arc, time::Duration};

use isc_runtime::nag::Nag;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Entry, Fact, Lost, Sink};
use crate::{kcp::Paths, metrics::Metrics};

/// Lines that are written at once.
const BATCH: usize = 256;
/// The pause after a write that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what an auditor is told.
pub(crate) struct Writer {
    entries: mpsc::Receiver<Entry>,
    lost: Lost,
    pen: Pen,
    metrics: Arc<Metrics>,
    nag: Nag,
}

/// What goes to the blocking thread and back.
struct Pen {
    sink: Sink,
    instance: String,
    paths: Paths,
    /// Lines that are not written yet.
    lines: Vec<u8>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        (entries, lost): (mpsc::Receiver<Entry>, Lost),
        sink: Sink,
        (instance, paths): (String, Paths),
        metrics: Arc<Metrics>,
    ) -> Self {
        let pen = Pen {
            sink,
            instance,
            paths,
            lines: vec![],
        };
        Self {
            entries,
            lost,
            pen,
            metrics,
            nag: Nag::new("the audit's file"),
        }
    }

    /// Takes an entry and forgets it.
    #[cfg(test)]
    pub(super) fn takes_one(&mut self) {
        drop(self.entries.try_recv());
    }

    /// Runs until cancelled; then it writes what is left and ends.
    ///
    /// # Errors
    /// When a line cannot be made, which is a mistake in this program.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.entries.is_closed() => {
                    self.entries.close();
                    continue;
                }
                _none_at_the_end = self.entries.recv_many(&mut batch, BATCH) => {}
            }
            let lost = self.lost.take();
            if batch.is_empty() && lost.is_none() {
                break;
            }
            batch.extend(lost.map(Entry::of_lost));
            self.write(&mut batch, &stop).await?;
        }
        stop.cancelled().await;
        Ok(())
    }

    /// Writes until it is written; after the end only once more.
    async fn write(
        &mut self,
        batch: &mut Vec<Entry>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        loop {
            let last = stop.is_cancelled();
            match self.try_write(std::mem::take(batch)).await? {
                Ok(()) => {
                    self.metrics.audit_blocked.set(0);
                    self.nag.well();
                    return Ok(());
                }
                Err(error) => {
                    self.metrics.audit_blocked.set(1);
                    let name = self.pen.sink.name();
                    self.nag
                        .trouble(&format!("lines cannot be written to {name}: {error}"));
                }
            }
            if last {
                self.give_up();
                return Ok(());
            }
            let _stopped = tokio::time::timeout(PAUSE, stop.cancelled()).await;
        }
    }

    async fn try_write(&mut self, batch: Vec<Entry>) -> Result<io::Result<()>, String> {
        let mut pen = std::mem::replace(&mut self.pen, Pen::away());
        let writing = tokio::task::spawn_blocking(move || {
            pen.note(batch);
            let waiting = pen.count();
            let result = pen.sink.append(&mut pen.lines);
            let written = waiting - pen.count();
            (pen, written, result)
        });
        let (pen, written, result) = writing.await.map_err(|error| error.to_string())?;
        self.pen = pen;
        self.metrics.audit_lines("written", written);
        Ok(result)
    }

    fn give_up(&mut self) {
        let lines = self.pen.count();
        self.pen.lines.clear();
        self.metrics.audit_lines("failed", lines);
        tracing::error!("{lines} lines of the audit were not written: they are lost");
    }
}

// === impl Pen ===

impl Pen {
    /// Stands where the pen was while it is away.
    fn away() -> Self {
        Self {
            sink: Sink::new(&crate::config::AuditConfig::default()),
            instance: String::new(),
            paths: Paths::new(),
            lines: vec![],
        }
    }

    fn note(&mut self, batch: Vec<Entry>) {
        for Entry { at, fact, .. } in batch {
            let workspace = fact.cluster().and_then(|cluster| self.paths.path(cluster));
            let whose = (self.instance.as_str(), workspace.as_deref());
            fact.write(at, whose, &mut self.lines);
        }
    }

    fn count(&self) -> u64 {
        let ends = self.lines.iter().filter(|byte| **byte == b'\n');
        u64::try_from(ends.count()).unwrap_or(u64::MAX)
    }
}

// === impl Entry ===

impl Entry {
    fn of_lost((lines, since): (u64, Timestamp)) -> Self {
        Self {
            at: Timestamp::now(),
            fact: Fact::Lost { lines, since },
            _room: None,
        }
    }
}
