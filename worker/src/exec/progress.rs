//! Progress lines: `{"percent": 40, "message": "..."}` on the job's FIFO.

use std::{io, path::Path, time::Duration};

use isc_core::worker_session::Progress;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt as _, net::unix::pipe, time::timeout};

use super::lines::{Line, Lines};
use crate::executor::{Job, Reports};

/// Comes behind everything that the job wrote: no progress, and nothing that a job would write.
const END: &str = "\u{4}";
/// A process that got away may write on for ever.
const FINISH_LIMIT: Duration = Duration::from_secs(1);

/// Reads the FIFO and hands on what is progress; junk is counted and said once.
#[derive(Debug)]
pub(super) struct ProgressReader {
    lines: Lines<pipe::Receiver>,
    last: u32,
    junk: u64,
}

#[derive(Deserialize)]
struct Wire {
    percent: Option<f64>,
    #[serde(default)]
    message: String,
}

// === impl ProgressReader ===

impl ProgressReader {
    /// Opens the FIFO for both directions: this end then never sees its end, however often the job
    /// opens and closes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let receiver = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(path)?;
        Ok(Self {
            lines: Lines::new(receiver),
            last: 0,
            junk: 0,
        })
    }

    /// Reads until it is dropped. Cancellation safe.
    pub(super) async fn run(&mut self, job: &Job, to: &Reports) {
        while let Ok(Some(line)) = self.lines.next().await {
            self.take(&line, job, to).await;
        }
        std::future::pending::<()>().await;
    }

    /// Reads what was written before the job's end: all that lies before a line of our own.
    pub(super) async fn finish(&mut self, path: &Path, job: &Job, to: &Reports) {
        // An error says that the job has removed its pipe.
        let Ok(mut sender) = pipe::OpenOptions::new().open_sender(path) else {
            return;
        };
        let rest = async {
            while let Ok(Some(line)) = self.lines.next().await {
                if line.text == END {
                    return;
                }
                self.take(&line, job, to).await;
            }
        };
        // With a newline in front, for the job may have left a line without one.
        let mark = format!("\n{END}\n");
        let all = futures::future::join(sender.write_all(mark.as_bytes()), rest);
        let _noisy = timeout(FINISH_LIMIT, all).await;
    }

    async fn take(&mut self, line: &Line, job: &Job, to: &Reports) {
        match parse(&line.text, self.last) {
            _ if line.text.is_empty() => {}
            Some(progress) if !line.cut => {
                self.last = progress.percent;
                to.send(progress).await;
            }
            _ => self.junk(job),
        }
    }

    fn junk(&mut self, job: &Job) {
        self.junk += 1;
        if self.junk == 1 {
            tracing::warn!(
                uid = job.uid,
                service = job.service,
                "the job wrote a line to ISC_PROGRESS that is not {{\"percent\": 0-100, \"message\": \"...\"}}; further ones are counted only"
            );
        }
    }

    /// How many lines were no progress.
    pub(super) fn junk_lines(&self) -> u64 {
        self.junk
    }
}

/// A line without a percentage keeps the last one.
fn parse(line: &str, last: u32) -> Option<Progress> {
    let wire: Wire = serde_json::from_str(line).ok()?;
    let percent = match wire.percent {
        None => last,
        Some(percent) => {
            let percent = percent.round().clamp(0.0, 100.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a whole number from 0 to 100"
            )]
            let percent = percent as u32;
            percent
        }
    };
    Some(Progress {
        percent,
        message: wire.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_and_kept_in_bounds() {
        let cases = [
            (r#"{"percent": 40, "message": "half"}"#, Some((40, "half"))),
            (r#"{"percent": 99.6}"#, Some((100, ""))),
            (r#"{"percent": -3}"#, Some((0, ""))),
            (r#"{"percent": 1e99}"#, Some((100, ""))),
            (r#"{"message": "still"}"#, Some((7, "still"))),
            ("40", None),
            ("{\"percent\": \"40\"}", None),
            ("", None),
        ];
        for (line, wanted) in cases {
            let found = parse(line, 7);
            let found = found.as_ref().map(|p| (p.percent, p.message.as_str()));
            assert_eq!(found, wanted, "{line}");
        }
    }
}
