//! The `exec` executor: a program per job, in a process group and a working directory of its own.
//!
//! Parameters reach the program as a file only, never as part of its command. Whatever way a job ends
//! (by itself, timeout, stop, drop of its future), the same guard kills what is left of its group; when
//! this process cannot, the warden does.

mod dir;
mod env;
mod leader;
mod lines;
mod outcome;
mod output;
mod progress;
mod run;
#[cfg(test)]
mod tests;

use std::{future::Future, path::PathBuf, pin::Pin};

use isc_runtime::services::Exec;

use crate::{
    executor::{Control, End, Executor, Job},
    warden::Warden,
};
pub(crate) use output::Output;

/// Runs the program of one service.
#[derive(Clone, Debug)]
pub(crate) struct ExecExecutor {
    exec: Exec,
    /// The folder of the service's file.
    home: PathBuf,
    work_dir: Option<PathBuf>,
    output: Output,
    warden: Warden,
}

// === impl ExecExecutor ===

impl ExecExecutor {
    /// `home` is the folder of the service's file, `work_dir` where the jobs' directories are made; `output`
    /// takes what they print.
    pub(crate) fn new(
        (exec, home): (Exec, PathBuf),
        work_dir: Option<PathBuf>,
        output: Output,
        warden: Warden,
    ) -> Self {
        Self {
            exec,
            home,
            work_dir,
            output,
            warden,
        }
    }
}

impl Executor for ExecExecutor {
    fn run<'a>(
        &'a self,
        job: Job,
        control: Control,
    ) -> Pin<Box<dyn Future<Output = End> + Send + 'a>> {
        Box::pin(async move {
            match self.run_job(&job, control).await {
                Ok(end) | Err(end) => end,
            }
        })
    }

    fn in_process(&self) -> bool {
        false
    }
}
