//! One job by itself: its executor, and nobody who could give it to another.

use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::Progress,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::executor::{Control, End, Executor, Job, Reports, Stop};

const REPORTS_MAX: usize = 16;

/// Runs the job to its end, hands on what it reports, and stops it gently with `stop`.
///
/// # Cancellation
/// Dropping the future kills the job at once.
pub(crate) async fn run(
    executor: &dyn Executor,
    job: Job,
    stop: &CancellationToken,
    mut seen: impl FnMut(Progress),
) -> End {
    let id = AttemptId {
        uid: Uid::new(&job.uid),
        attempt: job.attempt,
    };
    let (urge, stopped) = watch::channel(Stop::No);
    let (reports, mut progress) = mpsc::channel(REPORTS_MAX);
    let control = Control {
        stop: stopped,
        reports: Reports::new(id, reports),
    };
    let mut running = executor.run(job, control);
    loop {
        tokio::select! {
            biased;
            Some((_, progress)) = progress.recv() => seen(progress),
            end = &mut running => {
                while let Ok((_, progress)) = progress.try_recv() {
                    seen(progress);
                }
                return end;
            }
            () = stop.cancelled(), if *urge.borrow() == Stop::No => {
                urge.send_replace(Stop::Gently);
            }
        }
    }
}
