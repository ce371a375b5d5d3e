//! Handlers that are told to stop, or whose time runs out.

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::Progress,
};
use tokio::{sync::watch, time::Instant};

use super::*;
use crate::executor::{Control, Reports, Stop};

type Working = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A handler that never returns, and whether it was dropped.
fn endless() -> (
    impl Fn(Value, JobContext) -> Working + Send + Sync,
    Arc<AtomicBool>,
) {
    let gone = Arc::new(AtomicBool::new(false));
    let dropped = gone.clone();
    let handler = move |_: Value, job: JobContext| {
        let mine = Dropped(dropped.clone());
        let work = async move {
            job.progress(10, "begun").await;
            let _mine = mine;
            pending().await
        };
        Box::pin(work) as Working
    };
    (handler, gone)
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_listens_stops_in_its_own_way() {
    async fn listen(_: Value, job: JobContext) -> Result<(), Failure> {
        job.progress(10, "begun").await;
        assert!(!job.is_cancelled());
        job.cancelled().await;
        assert!(job.is_cancelled());
        job.progress(20, "undone").await;
        Err(Failure::stopped())
    }
    let began = Instant::now();
    let report = Trial::new(json!({})).cancel_at(10).run(listen).await;
    assert_eq!(report.ended, Ended::Stopped);
    assert_eq!(report.progress.last(), Some(&(20, "undone".into())));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn work_that_was_done_all_the_same_counts() {
    async fn finish(_: Value, job: JobContext) -> Result<Sum, Failure> {
        job.cancelled().await;
        Ok(Sum { sum: 1 })
    }
    let report = Trial::new(json!({})).cancel_at(0).run(finish).await;
    assert_eq!(report.ended, Ended::Succeeded(Sum { sum: 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_listen_is_dropped_after_its_grace() {
    let (handler, gone) = endless();
    let began = Instant::now();
    let trial = Trial::new(json!({})).cancel_at(10).grace_seconds(7);
    assert_eq!(trial.run(handler).await.ended, Ended::Stopped);
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert!(gone.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_time_is_over_is_told_and_then_dropped() {
    let (handler, gone) = endless();
    let began = Instant::now();
    let trial = Trial::new(json!({})).timeout(Duration::from_secs(30));
    let failure = trial.grace_seconds(2).run(handler).await.failure();
    assert_eq!(
        (failure.class, failure.reason),
        (FailureClass::TimedOut, "TimedOut")
    );
    assert_eq!(began.elapsed(), Duration::from_secs(32));
    assert!(gone.load(SeqCst));

    let late = |_: Value, job: JobContext| async move {
        job.cancelled().await;
        Ok(())
    };
    let mut trial = Trial::new(json!({}));
    trial.job.left = Some(Duration::from_secs(1));
    let failure = trial.run(late).await.failure();
    assert_eq!(failure.class, FailureClass::Deadline, "{failure}");
}

/// Runs an endless handler that is told to stop each time after that many seconds.
async fn urged(urges: &[(u64, Stop)]) -> (End, Duration) {
    let (handler, gone) = endless();
    let handlers = Handlers::new().on("a", handler);
    let executor = handlers.executor("a", &Handler { grace_seconds: 60 });
    let executor = executor.unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let (to, mut reports) = tokio::sync::mpsc::channel::<(AttemptId, Progress)>(1);
    let id = AttemptId {
        uid: Uid::new("u"),
        attempt: 1,
    };
    let control = Control {
        stop: stopped,
        reports: Reports::new(id, to),
    };
    let urge = async {
        reports.recv().await.unwrap();
        for (seconds, how) in urges {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            stop.send_replace(*how);
        }
    };
    let began = Instant::now();
    let job = Job::alone("a", String::new());
    let (end, ()) = tokio::join!(executor.run(job, control), urge);
    assert!(gone.load(SeqCst));
    (end, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn when_the_lease_ends_a_handler_is_dropped_at_once() {
    let second = Duration::from_secs(1);
    let at_once = urged(&[(1, Stop::Now)]).await;
    assert_eq!(at_once, (End::Stopped, second));
    let in_its_grace = urged(&[(0, Stop::Gently), (1, Stop::Now)]).await;
    assert_eq!(in_its_grace, (End::Stopped, second));
}

#[tokio::test]
async fn a_job_has_not_ended_before_its_blocking_work_has() {
    let (seen, is_cancelled) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let parts = Mutex::new(Some((seen, gate)));
    let handler = move |_: Value, job: JobContext| {
        let (seen, gate) = parts.lock().unwrap().take().unwrap();
        async move {
            let inside = job.clone();
            job.blocking(move || {
                while !inside.is_cancelled() {
                    std::thread::yield_now();
                }
                seen.send(()).unwrap();
                gate.recv().unwrap();
            })
            .await;
            Ok(())
        }
    };
    let trial = Trial::new(json!({})).cancel_at(0).grace_seconds(0);
    let mut running = tokio::spawn(trial.run(handler));
    let told =
        tokio::task::spawn_blocking(move || is_cancelled.recv_timeout(Duration::from_secs(10)));
    told.await.unwrap().unwrap();
    let soon = tokio::time::timeout(Duration::from_millis(200), &mut running).await;
    assert!(soon.is_err(), "the work still runs");
    open.send(()).unwrap();
    assert_eq!(running.await.unwrap().ended, Ended::Stopped);
}
