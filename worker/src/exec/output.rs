//! Where a job's stdout and stderr go.

use tokio::io::AsyncRead;

use super::lines::Lines;
use crate::executor::Job;

/// The sink for what jobs print.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// The worker's log, with uid, service and stream as fields.
    Log,
    /// The worker's stderr, as it is.
    Stderr,
}

// === impl Output ===

impl Output {
    /// Reads a stream of a job to its end.
    pub(super) async fn pump(
        self,
        job: &Job,
        stream: &'static str,
        reader: Option<impl AsyncRead + Unpin>,
    ) {
        let Some(reader) = reader else { return };
        let mut lines = Lines::new(reader);
        // A read error on a pipe ends it like its end does.
        while let Ok(Some(line)) = lines.next().await {
            let more = if line.cut { " ..." } else { "" };
            match self {
                Self::Log => tracing::info!(
                    uid = job.uid,
                    service = job.service,
                    stream,
                    "{}{more}",
                    line.text
                ),
                Self::Stderr => eprintln!("{}{more}", line.text),
            }
        }
    }
}
