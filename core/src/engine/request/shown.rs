//! What the engine remembers of a status that the API shows.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    sync::{Arc, LazyLock},
};

use crate::{
    api::{Phase, RequestStatus},
    reason::Reason,
    status,
};

/// Secret to this process: nobody can write a status that is taken for another one.
static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

/// Enough of a status to tell it from others and to act on it: the whole takes ten times as much, and there is one
/// for each of many thousand requests that wait.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Shown {
    print: [u64; 2],
    phase: Option<Phase>,
    reason: Option<Reason>,
    controller: Option<Arc<str>>,
    undecided: bool,
    /// The whole, where it is an end: somebody else's, or one that is not ours to write any more.
    end: Option<Box<RequestStatus>>,
}

/// Hashes a text while it is written.
struct Printer([std::hash::DefaultHasher; 2]);

// === impl Shown ===

impl Shown {
    /// `ours` is our own name, which most statuses have, where they have one.
    pub(in crate::engine) fn of(status: &RequestStatus, ours: Option<&Arc<str>>) -> Self {
        let named = status.controller.as_deref();
        Self {
            print: print(status),
            phase: status.phase,
            reason: reason(status),
            controller: named.map(|name| match ours {
                Some(ours) if **ours == *name => ours.clone(),
                _ => name.into(),
            }),
            undecided: status::is_undecided(status),
            end: status::has_ended(status).then(|| Box::new(status.clone())),
        }
    }

    /// Whether it is that status, to the letter.
    pub(in crate::engine) fn is(&self, status: &RequestStatus) -> bool {
        self.print == print(status)
    }

    /// Whether that status tells another phase or reason.
    pub(super) fn differs(&self, status: &RequestStatus) -> bool {
        (self.phase, self.reason) != (status.phase, reason(status))
    }

    /// Whether it says that the request is accepted.
    pub(in crate::engine) fn is_accepted(&self) -> bool {
        self.phase.is_some() && !self.undecided
    }

    /// Whose it says that the request is.
    pub(in crate::engine) fn controller(&self) -> Option<&str> {
        self.controller.as_deref()
    }

    /// The whole status, where it is an end.
    pub(in crate::engine) fn end(&self) -> Option<&RequestStatus> {
        self.end.as_deref()
    }
}

fn reason(status: &RequestStatus) -> Option<Reason> {
    let first = status.conditions.first()?;
    Reason::parse(&first.reason)
}

fn print(status: &RequestStatus) -> [u64; 2] {
    let mut printer = Printer(KEYS.each_ref().map(RandomState::build_hasher));
    serde_json::to_writer(&mut printer, status).expect("a status is JSON");
    printer.0.map(|hasher| hasher.finish())
}

// === impl Printer ===

impl io::Write for Printer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        for hasher in &mut self.0 {
            hasher.write(text);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(message: &str) -> RequestStatus {
        serde_json::from_value(serde_json::json!({
            "phase": "Running",
            "controller": "isc",
            "progress": {"message": message, "percent": 7, "time": "2026-01-01T00:00:00Z"},
            "conditions": [{
                "type": "Succeeded", "status": "Unknown", "reason": "Running", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }))
        .unwrap()
    }

    #[test]
    fn a_status_is_told_from_one_that_differs_in_a_letter() {
        let ours: Arc<str> = "isc".into();
        let shown = Shown::of(&status("a"), Some(&ours));
        assert!(shown.is(&status("a")) && !shown.is(&status("b")));
        assert!(
            !shown.differs(&status("b")),
            "phase and reason are the same"
        );
        let queued = RequestStatus {
            phase: Some(Phase::Queued),
            ..status("a")
        };
        assert!(shown.differs(&queued));
    }

    #[test]
    fn an_end_is_kept_whole_and_nothing_else() {
        let ours: Arc<str> = "isc".into();
        let shown = Shown::of(&status("a"), Some(&ours));
        assert_eq!((shown.end(), shown.controller()), (None, Some("isc")));
        assert!(Arc::ptr_eq(shown.controller.as_ref().unwrap(), &ours));
        let end = RequestStatus {
            phase: Some(Phase::Failed),
            ..status("a")
        };
        assert_eq!(Shown::of(&end, None).end(), Some(&end));
    }
}
