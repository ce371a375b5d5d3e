//! Idempotency keys: which of the requests that ask for the same work runs, and who waits for whom.
//!
//! It keeps places and decides on them; whoever asks carries the [`Verdict`]s out, in their order, and
//! tells how members end. Of each key at most one member may run, the primary; the others wait for it,
//! or share what an earlier one left. `group` has the rules of one key.

mod group;
#[cfg(test)]
mod tests;
mod types;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::ids::Uid;
pub use types::{Ending, Member, Standing, Verdict};

use group::{Group, Place, Seat, Turn};

/// The same work: within a workspace, a namespace, a kind and a service. What has another kind is listed on
/// its own, so its key could not be decided with the others: a list of one kind that comes late would show
/// that another one ran already.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The logical cluster (workspace).
    pub cluster: Arc<str>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// The service.
    pub service: Arc<str>,
    /// The caller's own word.
    pub word: Arc<str>,
}

/// All keys that some request has.
#[derive(Debug, Default)]
pub struct Keys {
    groups: HashMap<Arc<Key>, Group>,
    members: HashMap<Uid, (Arc<Key>, Turn)>,
    /// Keys with members whose place is not decided yet.
    open: BTreeSet<Arc<Key>>,
}

// === impl Keys ===

impl Keys {
    /// A new request. Its place stays open while that of another one with its key is.
    pub fn join(&mut self, key: Key, member: Member) -> Vec<Verdict> {
        if self.open.contains(&key) {
            self.list(key, member, false);
            return vec![];
        }
        let (key, turn) = self.seat(key, member, Place::Open { behind: false });
        self.change(&key, |group, verdicts| group.place(&turn, verdicts))
    }

    /// A live request that was listed during a take-over: its place is decided by [`Self::settle`].
    /// `behind` tells that by its status it waited for another one.
    pub fn list(&mut self, key: Key, member: Member, behind: bool) {
        let (key, _) = self.seat(key, member, Place::Open { behind });
        self.open.insert(key);
    }

    /// A request that had succeeded when it was first seen.
    pub fn list_succeeded(&mut self, key: Key, member: Member) {
        self.seat(key, member, Place::Succeeded);
    }

    /// Decides the open places of a key: whoever lists the same requests finds the same primary.
    pub fn settle(&mut self, key: &Key, standing: impl Fn(&Uid) -> Standing) -> Vec<Verdict> {
        self.open.remove(key);
        let Some((key, _)) = self.groups.get_key_value(key) else {
            return vec![];
        };
        let key = key.clone();
        self.change(&key, |group, verdicts| group.settle(standing, verdicts))
    }

    /// Another watcher accepted it meanwhile.
    pub fn accept(&mut self, uid: &Uid) {
        if let Some((key, turn)) = self.members.get(uid)
            && let Some(group) = self.groups.get_mut(key)
        {
            group.accept(turn);
        }
    }

    /// The object is gone, but its run has not stopped yet.
    pub fn gone(&mut self, uid: &Uid) {
        self.set_gone(uid, true);
    }

    /// The object that was gone is there again.
    pub fn back(&mut self, uid: &Uid) {
        self.set_gone(uid, false);
    }

    /// A member has ended and nothing of it runs any more; what is no member is none.
    pub fn ended(&mut self, uid: &Uid, how: Ending) -> Vec<Verdict> {
        let Some((key, turn)) = self.members.get(uid).cloned() else {
            return vec![];
        };
        let verdicts = self.change(&key, |group, verdicts| group.ended(&turn, how, verdicts));
        self.tidy(&key, uid);
        verdicts
    }

    /// The keys with open places, and the members that have them.
    pub fn open(&self) -> impl Iterator<Item = (&Key, Vec<Uid>)> {
        let open = self.open.iter();
        open.filter_map(|key| Some((&**key, self.groups.get(key)?.open())))
    }

    /// Whether any place is not decided yet.
    #[must_use]
    pub fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether it is a member of any key.
    #[must_use]
    pub fn contains(&self, uid: &Uid) -> bool {
        self.members.contains_key(uid)
    }

    /// The others with its key.
    pub fn others<'a>(&'a self, uid: &'a Uid) -> impl Iterator<Item = &'a Uid> {
        let member = self.members.get(uid);
        let group = member.and_then(|(key, _)| self.groups.get(key));
        let all = group.into_iter().flat_map(Group::all);
        all.filter(move |other| *other != uid)
    }

    /// Whether the place of that request is not decided yet.
    #[must_use]
    pub fn is_open(&self, uid: &Uid) -> bool {
        matches!(self.place(uid), Some(Place::Open { .. }))
    }

    /// Whom a request waits for, and whether to share its end.
    #[must_use]
    pub fn waits_for(&self, uid: &Uid) -> Option<(Uid, bool)> {
        let (key, _) = self.members.get(uid)?;
        let primary = || self.groups.get(key)?.primary();
        match self.place(uid)? {
            Place::Attached => Some((primary()?, true)),
            Place::After => Some((primary()?, false)),
            Place::Shares(of) => Some((of.clone(), true)),
            Place::Open { .. } | Place::Primary | Place::Succeeded => None,
        }
    }

    /// Those that will end as that one does, or has.
    #[must_use]
    pub fn attached_to(&self, uid: &Uid) -> Vec<Uid> {
        let Some((key, turn)) = self.members.get(uid) else {
            return vec![];
        };
        let group = self.groups.get(key);
        group
            .map(|group| group.attached_to(turn))
            .unwrap_or_default()
    }

    /// Whether there is no member at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.members.is_empty() && self.open.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn members(&self) -> impl Iterator<Item = &Uid> {
        self.members.keys()
    }

    fn seat(&mut self, key: Key, member: Member, place: Place) -> (Arc<Key>, Turn) {
        let known = self.groups.get_key_value(&key).map(|(key, _)| key.clone());
        let key = known.unwrap_or_else(|| Arc::new(key));
        let turn = (member.created, member.uid.clone());
        let group = self.groups.entry(key.clone()).or_default();
        group.sit(turn.clone(), Seat::new(&member, place));
        self.members.insert(member.uid, (key.clone(), turn.clone()));
        (key, turn)
    }

    fn change(
        &mut self,
        key: &Arc<Key>,
        change: impl FnOnce(&mut Group, &mut Vec<Verdict>),
    ) -> Vec<Verdict> {
        let mut verdicts = vec![];
        if let Some(group) = self.groups.get_mut(key) {
            change(group, &mut verdicts);
        }
        for verdict in &verdicts {
            self.tidy(key, verdict.uid());
        }
        verdicts
    }

    /// Whoever lost its seat is no member; a key without members takes no memory.
    fn tidy(&mut self, key: &Arc<Key>, uid: &Uid) {
        if self.place(uid).is_none() {
            self.members.remove(uid);
        }
        let Some(group) = self.groups.get(key) else {
            return;
        };
        if self.open.contains(key) && !group.has_open() {
            self.open.remove(key);
        }
        if group.is_empty() {
            self.groups.remove(key);
        }
    }

    fn place(&self, uid: &Uid) -> Option<&Place> {
        let (key, turn) = self.members.get(uid)?;
        self.groups.get(key)?.place_of(turn)
    }

    fn set_gone(&mut self, uid: &Uid, gone: bool) {
        if let Some((key, turn)) = self.members.get(uid)
            && let Some(group) = self.groups.get_mut(key)
        {
            group.set_gone(turn, gone);
        }
    }
}
