//! Showing the steps of a set-up while they run: one moving line in a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;

/// The steps so far and how long each took. Writes to stderr.
#[derive(Debug)]
pub(crate) struct Steps {
    terminal: bool,
    started: Instant,
    taken: Vec<(String, Duration)>,
}

// === impl Steps ===

impl Steps {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            terminal,
            started: Instant::now(),
            taken: Vec::new(),
        }
    }

    /// Runs one step and shows how long it takes.
    pub(crate) async fn step<T>(
        &mut self,
        label: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        let mut work = std::pin::pin!(work);
        // A plain log needs a sign of life only when a step takes long.
        let period = Duration::from_millis(if self.terminal { 200 } else { 15_000 });
        let mut tick = tokio::time::interval(period);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                _ = tick.tick() => self.moving(label, start.elapsed()),
            }
        };
        let taken = start.elapsed();
        self.finish(label, taken, result.is_ok());
        self.taken.push((label.to_owned(), taken));
        result
    }

    /// The time since the first step began.
    pub(crate) fn total(&self) -> Duration {
        self.started.elapsed()
    }

    /// Every step with its time.
    pub(crate) fn taken(&self) -> &[(String, Duration)] {
        &self.taken
    }

    fn moving(&self, label: &str, elapsed: Duration) {
        let mut err = std::io::stderr().lock();
        // Nobody is left to tell when stderr is gone.
        let _ignored = match (self.terminal, elapsed.as_secs()) {
            (true, _) => write!(err, "\r\x1b[K  … {label} {:.1} s", elapsed.as_secs_f32()),
            (false, 0) => Ok(()),
            (false, seconds) => writeln!(err, "  … {label}: {seconds} s so far"),
        };
        let _ignored = err.flush();
    }

    fn finish(&self, label: &str, taken: Duration, ok: bool) {
        let (clear, sign) = (
            if self.terminal { "\r\x1b[K" } else { "" },
            if ok { "✓" } else { "✗" },
        );
        eprintln!("{clear}  {sign} {label} ({:.1} s)", taken.as_secs_f32());
    }
}
