//! What runs a job: the one section of a service file that says so.

use serde::Deserialize;

use super::{Exec, ServiceFile, exec::default_grace};

/// What runs a job of a service. One section of the file for each.
#[derive(Clone, Debug)]
pub enum Runs {
    /// `exec`: a program.
    Exec(Exec),
    /// `handler`: code of the worker's own program, registered under the service's name.
    Handler(Handler),
}

/// The `handler` section. Which code it is, is the worker's matter: the watcher knows nothing of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handler {
    /// The time that a handler has after it was told to stop, seconds. Default 10.
    #[serde(default = "default_grace")]
    pub grace_seconds: u64,
}

// === impl ServiceFile ===

impl ServiceFile {
    /// Takes the section that says what runs a job out of the file.
    ///
    /// # Errors
    /// When there is none, more than one, or one with a mistake.
    pub(super) fn take_runs(&mut self) -> Result<Runs, String> {
        let exec = self.exec.take().map(|exec| ("exec", Runs::Exec(exec)));
        let handler = self.handler.take();
        let handler = handler.map(|handler| ("handler", Runs::Handler(handler)));
        let mut sections = [exec, handler].into_iter().flatten();
        let (name, runs) = sections.next().ok_or(
            "nothing in it says what runs a job: write `exec: {command: [./sign.sh]}` for a program, or \
             `handler: {}` for code of the worker's own program",
        )?;
        if let Some((other, _)) = sections.next() {
            return Err(format!(
                "`{name}` and `{other}` both say what runs a job: leave one of them out"
            ));
        }
        if let Runs::Exec(exec) = &runs {
            exec.check()?;
        }
        Ok(runs)
    }
}
