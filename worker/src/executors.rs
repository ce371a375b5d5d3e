//! Which executor runs which service.

use std::{path::PathBuf, sync::Arc};

use isc_runtime::services::{Runs, Service};

use crate::{
    exec::{ExecExecutor, Output},
    executor::Executor,
    handler::{Handlers, NoHandler},
    warden::Warden,
};

/// What executors need of the worker.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// What runs the services that are code of this program.
    pub(crate) handlers: Handlers,
    /// Where the jobs' directories are made.
    pub(crate) work_dir: Option<PathBuf>,
    /// Where what jobs print goes.
    pub(crate) output: Output,
    pub(crate) warden: Warden,
}

// === impl Surroundings ===

impl Surroundings {
    /// What runs the jobs of a service.
    ///
    /// # Errors
    /// When that is a handler which this program does not have.
    pub(crate) fn executor(&self, service: &Service) -> Result<Arc<dyn Executor>, NoHandler> {
        Ok(match &service.runs {
            Runs::Exec(exec) => Arc::new(ExecExecutor::new(
                (exec.clone(), service.dir.clone()),
                self.work_dir.clone(),
                self.output,
                self.warden.clone(),
            )),
            Runs::Handler(file) => Arc::new(self.handlers.executor(&service.name, file)?),
        })
    }
}
