//! Requests of one key as an engine and its workers would handle them, without either.

use std::collections::{BTreeMap, VecDeque};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Listed and not decided.
    Open,
    /// It may start.
    Waiting,
    /// A worker has it.
    Running,
    /// It waits for another one, or for another one's result.
    Behind,
    /// It ended well, by itself.
    Succeeded,
    /// It ended otherwise.
    Ended,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) member: Member,
    pub(super) phase: Phase,
    /// The API has it no more, but it runs.
    pub(super) gone: bool,
    pub(super) told_to_stop: bool,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) keys: Keys,
    pub(super) objects: BTreeMap<Uid, Object>,
    created: u8,
    /// Carried out in the order in which they were given.
    verdicts: VecDeque<Verdict>,
}

// === impl World ===

impl World {
    /// Two are created in each second, in no order of their UIDs.
    pub(super) fn join(&mut self, on_conflict: OnConflict, other: bool) {
        self.created = self.created.wrapping_add(1);
        let uid = format!("{:03}-{}", self.created.reverse_bits(), self.created);
        let mut member = member(&uid, i64::from(self.created / 2), on_conflict);
        if other {
            member = other_params(member);
        }
        let object = Object {
            member: member.clone(),
            phase: Phase::Open,
            gone: false,
            told_to_stop: false,
        };
        self.objects.insert(member.uid.clone(), object);
        let verdicts = self.keys.join(key(), member);
        self.carry_out(verdicts);
    }

    pub(super) fn pick(&self, nth: usize, wanted: impl Fn(&Object) -> bool) -> Option<Uid> {
        let found = self.objects.iter().filter(|(_, object)| wanted(object));
        let found: Vec<&Uid> = found.map(|(uid, _)| uid).collect();
        Some(
            found[nth % found.len().max(1)..]
                .first()?
                .to_owned()
                .clone(),
        )
    }

    pub(super) fn start(&mut self, nth: usize) {
        if let Some(uid) = self.pick(nth, |object| object.phase == Phase::Waiting) {
            self.object(&uid).phase = Phase::Running;
        }
    }

    /// A run ends.
    pub(super) fn end(&mut self, nth: usize, well: bool) {
        let runs = |object: &Object| object.phase == Phase::Running || object.gone;
        let Some(uid) = self.pick(nth, runs) else {
            return;
        };
        let object = self.object(&uid);
        let how = match (object.gone, well, object.told_to_stop) {
            (false, true, _) => Ending::Succeeded,
            (false, false, false) => Ending::Failed,
            _ => Ending::Dropped,
        };
        self.ends(&uid, how);
    }

    /// The caller cancels one.
    pub(super) fn cancel(&mut self, nth: usize) {
        let live = |object: &Object| !matches!(object.phase, Phase::Succeeded | Phase::Ended);
        if let Some(uid) = self.pick(nth, |object| live(object) && !object.gone) {
            self.stop(&uid);
        }
    }

    /// The caller deletes one.
    pub(super) fn delete(&mut self, nth: usize) {
        let Some(uid) = self.pick(nth, |object| !object.gone) else {
            return;
        };
        if self.object(&uid).phase == Phase::Running {
            self.object(&uid).gone = true;
            self.keys.gone(&uid);
        } else {
            self.ends(&uid, Ending::Dropped);
            self.objects.remove(&uid);
        }
    }

    /// One that waits is deleted, and some worker runs it all the same.
    pub(super) fn forget(&mut self, nth: usize) {
        let waits = |object: &Object| object.phase == Phase::Behind && !object.gone;
        if let Some(uid) = self.pick(nth, waits) {
            self.object(&uid).gone = true;
            self.keys.gone(&uid);
        }
    }

    /// One that was deleted is there after all.
    pub(super) fn back(&mut self, nth: usize) {
        if let Some(uid) = self.pick(nth, |object| object.gone) {
            self.object(&uid).gone = false;
            self.keys.back(&uid);
        }
    }

    /// The result that one waits for was read.
    pub(super) fn read(&mut self, nth: usize) {
        let reads = |object: &Object| {
            let earlier = self.keys.waits_for(&object.member.uid);
            let earlier = earlier.and_then(|(earlier, _)| self.objects.get(&earlier));
            earlier.is_some_and(|earlier| earlier.phase == Phase::Succeeded)
        };
        if let Some(uid) = self.pick(nth, reads) {
            self.ends(&uid, Ending::Dropped);
        }
    }

    /// A new leader lists everything. Of what ran, some is not greeted with any more; of some
    /// statuses nothing was written yet.
    pub(super) fn restart(&mut self, lost: bool, unwritten: bool) {
        let gone = |_: &Uid, object: &mut Object| !object.gone;
        self.objects.retain(gone);
        let listed: Vec<Uid> = self.objects.keys().cloned().collect();
        let (mut keys, mut other) = (Keys::default(), Keys::default());
        for uid in &listed {
            self.list(uid, unwritten, &mut keys);
        }
        for uid in listed.iter().rev() {
            self.list(uid, unwritten, &mut other);
        }
        for object in self.objects.values_mut() {
            match object.phase {
                Phase::Running if !lost => {}
                Phase::Succeeded | Phase::Ended => {}
                _ => (object.phase, object.told_to_stop) = (Phase::Open, false),
            }
        }
        let standing = |uid: &Uid| match self.objects[uid].phase {
            Phase::Running => Standing::Held,
            _ => Standing::Idle,
        };
        let verdicts = keys.settle(&key(), standing);
        let others = other.settle(&key(), standing);
        assert_eq!(verdicts, others, "another leader finds something else");
        self.keys = keys;
        self.carry_out(verdicts);
    }

    fn list(&self, uid: &Uid, unwritten: bool, keys: &mut Keys) {
        let object = &self.objects[uid];
        let mut member = object.member.clone();
        member.accepted = !(unwritten && matches!(object.phase, Phase::Waiting | Phase::Behind));
        match object.phase {
            Phase::Succeeded => keys.list_succeeded(key(), member),
            Phase::Ended => {}
            phase => keys.list(key(), member, !unwritten && phase == Phase::Behind),
        }
    }

    pub(super) fn carry_out(&mut self, verdicts: Vec<Verdict>) {
        let busy = !self.verdicts.is_empty();
        self.verdicts.extend(verdicts);
        while let Some(verdict) = self.verdicts.front().filter(|_| !busy).cloned() {
            match verdict {
                Verdict::Runs(uid) => self.goes_on(&uid, Phase::Waiting),
                Verdict::Waits { uid, .. } => self.goes_on(&uid, Phase::Behind),
                Verdict::Replaced(uid) => self.stop(&uid),
                Verdict::Rejected(uid, _) => {
                    let object = self.object(&uid);
                    assert_eq!(object.phase, Phase::Open, "{uid} was accepted");
                    object.phase = Phase::Ended;
                }
                Verdict::Shares { uid, of } => {
                    self.goes_on(&uid, Phase::Behind);
                    assert!(self.objects.contains_key(&of), "nothing is left to share");
                    if !self.keys.members.contains_key(&uid) {
                        self.ends(&uid, Ending::Dropped);
                    }
                }
            }
            self.verdicts.pop_front();
        }
    }

    fn goes_on(&mut self, uid: &Uid, phase: Phase) {
        let object = self.object(uid);
        if object.phase != Phase::Running {
            assert!(matches!(object.phase, Phase::Open | Phase::Behind), "{uid}");
            object.phase = phase;
        }
    }

    fn stop(&mut self, uid: &Uid) {
        let object = self.object(uid);
        match object.phase {
            Phase::Running => object.told_to_stop = true,
            Phase::Succeeded | Phase::Ended => {}
            _ => self.ends(uid, Ending::Dropped),
        }
    }

    fn ends(&mut self, uid: &Uid, how: Ending) {
        let object = self.object(uid);
        let (kept, gone) = (how == Ending::Succeeded, object.gone);
        object.phase = if kept { Phase::Succeeded } else { Phase::Ended };
        if gone {
            self.objects.remove(uid);
        }
        let verdicts = self.keys.ended(uid, how);
        if how == Ending::Dropped {
            let of_it =
                |verdict: &Verdict| matches!(verdict, Verdict::Shares { of, .. } if of == uid);
            assert!(!verdicts.iter().any(of_it), "a cancelled end is shared");
        }
        self.carry_out(verdicts);
    }

    fn object(&mut self, uid: &Uid) -> &mut Object {
        self.objects.get_mut(uid).unwrap()
    }
}
