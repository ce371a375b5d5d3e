//! What goes into the keys and what comes out.

use jiff::Timestamp;

use crate::{api::OnConflict, engine::Digest, ids::Uid, reason::Reason};

/// A request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Identity.
    pub uid: Uid,
    /// When it was created: members of a key are ordered by (creation, UID).
    pub created: Option<Timestamp>,
    /// Of its parameters.
    pub digest: Option<Digest>,
    /// What it asks for when an earlier one holds the key.
    pub on_conflict: OnConflict,
    /// It was accepted before, so it is not rejected any more.
    pub accepted: bool,
}

/// What becomes of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the primary: it may run.
    Runs(Uid),
    /// It waits.
    Waits {
        /// Which.
        uid: Uid,
        /// For whom.
        earlier: Uid,
        /// To share its end; otherwise until it has stopped.
        attached: bool,
    },
    /// It ends as another one has ended; it is a member until then only where that has succeeded.
    Shares {
        /// Which.
        uid: Uid,
        /// As whom.
        of: Uid,
    },
    /// It is not accepted: [`Reason::KeyReused`] or [`Reason::KeyInUse`].
    Rejected(Uid, Reason),
    /// A newer one takes its place: it is to be stopped.
    Replaced(Uid),
}

/// How a member ended, as far as the others are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It keeps the key as long as its object is there.
    Succeeded,
    /// Those that are attached share that.
    Failed,
    /// Cancelled, replaced, rejected or gone, and nothing of it runs any more.
    Dropped,
}

/// What is known of a listed member when its place is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A worker has it.
    Held,
    /// Its status names a worker.
    Ran,
    /// Neither.
    Idle,
}

// === impl Verdict ===

impl Verdict {
    /// Whom it is about.
    #[must_use]
    pub fn uid(&self) -> &Uid {
        match self {
            Self::Runs(uid)
            | Self::Rejected(uid, _)
            | Self::Replaced(uid)
            | Self::Waits { uid, .. }
            | Self::Shares { uid, .. } => uid,
        }
    }
}
