//! The rules that keep two runs of one request apart and every end in its place.
//!
//! They always hold. In this crate's tests single ones can be switched off, to show that the simulation
//! notices; the real build knows no such switch.

/// A rule, or a part of one, that a test can switch off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// A heartbeat lists unanswered claims too.
    HeartbeatListsClaims,
    /// A greeting drops unanswered claims.
    GreetingDropsClaims,
    /// A granted claim that the worker does not list returns to waiting.
    UnlistedGrantReturns,
    /// ... and counts as nothing.
    UnlistedGrantIsUncounted,
    /// The watcher's lease is longer than the worker's.
    LongerLease,
    /// At the end of its lease a worker kills what it runs.
    WorkerFencesItself,
    /// What is forgotten while a worker has it is kept until that worker has stopped.
    #[cfg(test)]
    GoneIsWaitedFor,
    /// ... even when the object comes back meanwhile.
    ReturnedIsWaitedFor,
    /// What was hidden while a new leader made its first list may run all the same.
    OlderIsWaitedFor,
    /// Past its own lease a leader does nothing any more.
    LeadIsChecked,
    /// ... it grants nothing.
    LeadIsCheckedBeforeGrants,
    /// ... it acknowledges no heartbeat.
    LeadIsCheckedBeforeAcks,
    /// ... it counts nothing as lost and writes nothing.
    LeadIsCheckedBeforeWrites,
    /// For one lease a new leader grants nothing that an earlier one may have granted.
    #[cfg(test)]
    TakeoverWaits,
    /// What comes on an older stream of a worker counts for nothing.
    OldStreamIsVoid,
    /// An assignment counts only on the stream that its claim was sent on.
    AssignmentOnItsStream,
    /// Another writer's end stands.
    ForeignEndStands,
    /// A status that equals ours is our own write.
    OwnWriteIsKnown,
    /// Another writer's live status is the new base: the larger counts hold.
    ForeignLiveIsBase,
    /// An outcome is durable before its worker hears that it is recorded.
    #[cfg(test)]
    DurableBeforeRecorded,
    /// Counts are durable before the next ticket.
    #[cfg(test)]
    DurableBeforeTicket,
    /// A heartbeat is acknowledged after the engine renewed the lease, not by the stream's own task.
    #[cfg(test)]
    AckAfterRenewal,
    /// What is killed at a lease's end is dead before the watcher's lease ends.
    #[cfg(test)]
    KillIsQuick,
    /// The warden kills the jobs of a frozen worker.
    #[cfg(test)]
    WardenKills,
    /// No job starts past the lease.
    #[cfg(test)]
    StartsUnderLease,
    /// The first list of a leader is made after it won the lead.
    #[cfg(test)]
    FirstListAfterWinning,
    /// Every later full list is a consistent read.
    #[cfg(test)]
    ListsAreConsistent,
    /// A lead that was over once is lost, even when the same process wins the next one.
    #[cfg(test)]
    LapsedLeadIsLost,
    /// The mark of a clean end is left only where everything granted is written.
    #[cfg(test)]
    MarkIsTrue,
}

/// The rules in force: all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    #[cfg(test)]
    off: Option<Rule>,
}

// === impl Rules ===

impl Rules {
    /// All but one.
    #[cfg(test)]
    pub(crate) fn without(rule: Rule) -> Self {
        Self { off: Some(rule) }
    }

    /// Whether a rule is in force: outside tests always, at no cost.
    pub(crate) fn hold(self, rule: Rule) -> bool {
        #[cfg(test)]
        let Self { off } = self;
        #[cfg(not(test))]
        let (Self {}, off) = (self, None);
        off != Some(rule)
    }
}
