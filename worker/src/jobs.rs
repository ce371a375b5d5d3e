//! The jobs that run: one task each, stopped by a switch, never leaving anything behind.
//!
//! A panic in a task is a failed job, not a dead worker.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use isc_core::{ids::AttemptId, worker_session::Progress};
use isc_runtime::trace::Tracer;
use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinError, JoinSet},
};
use tracing::Instrument as _;

use crate::{
    executor::{Control, End, Executor, Job, Reports, Stop},
    spans::Begun,
    warden::Warden,
};

/// The executors of all services that this worker runs.
pub(crate) type Executors = BTreeMap<String, Arc<dyn Executor>>;

/// The running jobs.
pub(crate) struct Jobs {
    executors: Executors,
    warden: Warden,
    reports: mpsc::Sender<(AttemptId, Progress)>,
    tracer: Tracer,
    tasks: JoinSet<End>,
    running: HashMap<task::Id, Running>,
}

struct Running {
    id: AttemptId,
    service: String,
    stop: watch::Sender<Stop>,
    span: Option<Begun>,
}

/// A job that has ended.
pub(crate) struct Ended {
    pub(crate) id: AttemptId,
    pub(crate) service: String,
    pub(crate) end: End,
}

// === impl Jobs ===

impl Jobs {
    pub(crate) fn new(
        executors: Executors,
        warden: Warden,
        reports: mpsc::Sender<(AttemptId, Progress)>,
        tracer: Tracer,
    ) -> Self {
        Self {
            executors,
            warden,
            reports,
            tracer,
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    pub(crate) fn start(&mut self, id: AttemptId, mut job: Job) {
        let begun = Begun::attempt(&self.tracer, &mut job);
        let (stop, stopped) = watch::channel(Stop::No);
        let control = Control {
            stop: stopped,
            reports: Reports::new(id.clone(), self.reports.clone()),
        };
        let service = job.service.clone();
        let span = tracing::info_span!("job", uid = job.uid, attempt = job.attempt, service);
        let executor = self.executors.get(&job.service).cloned();
        let (warden, urge) = (self.warden.clone(), stop.clone());
        let run = async move {
            match executor {
                Some(executor) if executor.in_process() => {
                    run_inside(executor.as_ref(), job, control, &warden, &urge).await
                }
                Some(executor) => executor.run(job, control).await,
                None => unknown_service(&job.service),
            }
        };
        let handle = self.tasks.spawn(run.instrument(span));
        let running = Running {
            id,
            service,
            stop,
            span: begun,
        };
        self.running.insert(handle.id(), running);
    }

    /// Tells the warden when the lease ends; `None` when it has.
    pub(crate) fn lease(&self, end: Option<Duration>) {
        self.warden.lease(end);
    }

    /// Asks a job to end; one that has ended already is none to ask.
    pub(crate) fn stop(&self, id: &AttemptId, how: Stop) {
        for running in self.running.values().filter(|running| running.id == *id) {
            running.urge(how);
        }
    }

    pub(crate) fn stop_all(&self, how: Stop) {
        self.running.values().for_each(|running| running.urge(how));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// The next job that ends; pends for ever while none runs.
    pub(crate) async fn ended(&mut self) -> Ended {
        let Some(result) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (task, end) = match result {
            Ok((task, end)) => (task, end),
            Err(error) => (error.id(), crashed(error)),
        };
        let running = self.running.remove(&task);
        let running = running.expect("every task is entered when spawned");
        let Running {
            id, service, span, ..
        } = running;
        if let Some(span) = span {
            span.ended(&self.tracer, &service, &end);
        }
        Ended { id, service, end }
    }
}

// === impl Running ===

impl Running {
    fn urge(&self, how: Stop) {
        urge(&self.stop, how);
    }
}

fn urge(stop: &watch::Sender<Stop>, how: Stop) {
    stop.send_if_modified(|stop| {
        let more = how > *stop;
        *stop = how.max(*stop);
        more
    });
}

/// Runs a job in this process; the warden kills all of it when the job outlives the lease.
async fn run_inside(
    executor: &dyn Executor,
    job: Job,
    control: Control,
    warden: &Warden,
    stop: &watch::Sender<Stop>,
) -> End {
    let hold = match warden.hold().await {
        Ok(hold) => hold,
        Err(why) => {
            tracing::warn!("a job was not started: {why}");
            return End::Stopped;
        }
    };
    let mut running = executor.run(job, control);
    tokio::select! {
        biased;
        end = &mut running => return end,
        () = hold.lost() => urge(stop, Stop::Now),
    }
    running.await
}

fn unknown_service(service: &str) -> End {
    End::permanent(
        "UnknownService",
        format!("this worker does not have the service {service}"),
    )
}

/// What a panic said.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

fn crashed(error: JoinError) -> End {
    let what = match error.try_into_panic() {
        Ok(panic) => words_of(panic.as_ref()).to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::error!("the handling of a job panicked: {what}");
    End::permanent("JobFailed", "the worker failed while it handled the job")
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use isc_core::ids::Uid;

    use super::*;

    struct Panics;

    impl Executor for Panics {
        fn run<'a>(
            &'a self,
            _job: Job,
            _control: Control,
        ) -> Pin<Box<dyn Future<Output = End> + Send + 'a>> {
            Box::pin(async { panic!("boom") })
        }
    }

    async fn end_of(service: &str) -> End {
        let executors = Executors::from([("panics".into(), Arc::new(Panics) as _)]);
        let (reports, _kept) = mpsc::channel(1);
        let mut jobs = Jobs::new(executors, Warden::pretended(), reports, Tracer::default());
        let id = AttemptId {
            uid: Uid::new("a"),
            attempt: 1,
        };
        let job = Job {
            service: service.into(),
            ..Job::default()
        };
        jobs.start(id.clone(), job);
        let ended = jobs.ended().await;
        assert_eq!(ended.id, id);
        ended.end
    }

    #[tokio::test]
    async fn a_panic_is_a_failed_job_and_says_nothing_of_the_inside() {
        let End::Failed(failure) = end_of("panics").await else {
            panic!("a panic must be a failure");
        };
        assert_eq!(failure.reason, "JobFailed");
        assert!(!failure.message.contains("boom"));
    }

    #[tokio::test]
    async fn a_service_that_is_not_here_fails_by_name() {
        let End::Failed(failure) = end_of("sing").await else {
            panic!("it must fail");
        };
        assert_eq!(failure.reason, "UnknownService");
        assert!(failure.message.contains("sing"));
    }
}
