//! The members of one key, in the order (creation, UID), and their places.
//!
//! | place     | means                                                                              |
//! |-----------|------------------------------------------------------------------------------------|
//! | Open      | listed during a take-over, not decided yet                                         |
//! | Primary   | it may run; when its object is gone, it is kept until its run has stopped          |
//! | Attached  | it will end as the primary does, unless that is cancelled, replaced or gone        |
//! | After     | it waits until the primary has stopped; `next` is the one that takes its place     |
//! | Shares    | it will end as an earlier one that has succeeded, once that one's result is read   |
//! | Succeeded | it ended well, and its object is there: it holds the key                           |

mod settle;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Ending, Member, Verdict};
use crate::{api::OnConflict, engine::Digest, ids::Uid, reason::Reason};

/// When it is a member's turn: creation, then UID.
pub(super) type Turn = (Option<Timestamp>, Uid);

#[derive(Debug, Default)]
pub(super) struct Group {
    seats: BTreeMap<Turn, Seat>,
    primary: Option<Turn>,
    /// The one that asked for the primary's place.
    next: Option<Turn>,
}

#[derive(Debug)]
pub(super) struct Seat {
    digest: Option<Digest>,
    on_conflict: OnConflict,
    accepted: bool,
    gone: bool,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Open {
        /// By its status it waited for another one.
        behind: bool,
    },
    Primary,
    Attached,
    After,
    Shares(Uid),
    Succeeded,
}

/// What a member gets that asks for a place.
enum Answer {
    Run,
    Attach,
    Share(Uid),
    TakeOver,
    Reject(Reason),
}

// === impl Seat ===

impl Seat {
    pub(super) fn new(member: &Member, place: Place) -> Self {
        Self {
            digest: member.digest,
            on_conflict: member.on_conflict,
            accepted: member.accepted,
            gone: false,
            place,
        }
    }

    fn waits(&self) -> bool {
        matches!(self.place, Place::Attached | Place::After)
    }
}

// === impl Group ===

impl Group {
    pub(super) fn sit(&mut self, turn: Turn, seat: Seat) {
        self.seats.insert(turn, seat);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn place_of(&self, turn: &Turn) -> Option<&Place> {
        self.seats.get(turn).map(|seat| &seat.place)
    }

    pub(super) fn primary(&self) -> Option<Uid> {
        self.primary.as_ref().map(|(_, uid)| uid.clone())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Uid> {
        self.seats.keys().map(|(_, uid)| uid)
    }

    pub(super) fn open(&self) -> Vec<Uid> {
        self.uids(|place| matches!(place, Place::Open { .. }))
    }

    pub(super) fn has_open(&self) -> bool {
        let mut seats = self.seats.values();
        seats.any(|seat| matches!(seat.place, Place::Open { .. }))
    }

    pub(super) fn attached_to(&self, turn: &Turn) -> Vec<Uid> {
        match self.place_of(turn) {
            Some(Place::Primary) => self.uids(|place| *place == Place::Attached),
            Some(Place::Succeeded) => self.uids(|place| *place == Place::Shares(turn.1.clone())),
            _ => vec![],
        }
    }

    pub(super) fn set_gone(&mut self, turn: &Turn, gone: bool) {
        if let Some(seat) = self.seats.get_mut(turn) {
            seat.gone = gone;
        }
    }

    pub(super) fn accept(&mut self, turn: &Turn) {
        if let Some(seat) = self.seats.get_mut(turn) {
            seat.accepted = true;
        }
    }

    /// Gives a member without a place one.
    pub(super) fn place(&mut self, turn: &Turn, verdicts: &mut Vec<Verdict>) {
        let (uid, answer) = (turn.1.clone(), self.answer(turn));
        self.accept(turn);
        match answer {
            Answer::Run if self.primary.is_none() => self.runs(turn, verdicts),
            Answer::Run => self.waits(turn, Place::After, verdicts),
            Answer::Attach => self.waits(turn, Place::Attached, verdicts),
            Answer::TakeOver => self.takes_over(turn, verdicts),
            Answer::Share(of) => {
                self.set(turn, Place::Shares(of.clone()));
                verdicts.push(Verdict::Shares { uid, of });
            }
            Answer::Reject(reason) => {
                self.seats.remove(turn);
                verdicts.push(Verdict::Rejected(uid, reason));
            }
        }
    }

    fn answer(&self, turn: &Turn) -> Answer {
        let (Some(seat), Some((earlier, holder))) = (self.seats.get(turn), self.holder()) else {
            return Answer::Run;
        };
        if seat.digest != holder.digest {
            return if seat.accepted {
                Answer::Run
            } else {
                Answer::Reject(Reason::KeyReused)
            };
        }
        match seat.on_conflict {
            OnConflict::Replace => Answer::TakeOver,
            OnConflict::Reject if !seat.accepted => Answer::Reject(Reason::KeyInUse),
            _ if holder.place == Place::Succeeded => Answer::Share(earlier.1.clone()),
            _ => Answer::Attach,
        }
    }

    /// Who holds the key: the primary, when its object is gone whoever is to follow it, else the newest
    /// one that succeeded.
    fn holder(&self) -> Option<(&Turn, &Seat)> {
        let primary = self.primary.as_ref();
        let found = primary.and_then(|turn| self.seats.get_key_value(turn));
        let live = match found {
            Some((_, seat)) if seat.gone => self.follower(),
            found => found,
        };
        let succeeded = |(_, seat): &(&Turn, &Seat)| seat.place == Place::Succeeded;
        live.or_else(|| self.seats.iter().rev().find(succeeded))
    }

    fn follower(&self) -> Option<(&Turn, &Seat)> {
        let next = self.next.as_ref();
        next.and_then(|turn| self.seats.get_key_value(turn))
            .or_else(|| {
                self.seats
                    .iter()
                    .find(|(_, seat)| seat.waits() && !seat.gone)
            })
    }

    fn runs(&mut self, turn: &Turn, verdicts: &mut Vec<Verdict>) {
        self.set(turn, Place::Primary);
        self.primary = Some(turn.clone());
        verdicts.push(Verdict::Runs(turn.1.clone()));
    }

    fn waits(&mut self, turn: &Turn, place: Place, verdicts: &mut Vec<Verdict>) {
        let attached = place == Place::Attached;
        self.set(turn, place);
        let earlier = self.primary().expect("only a live primary is waited for");
        let uid = turn.1.clone();
        verdicts.push(Verdict::Waits {
            uid,
            earlier,
            attached,
        });
    }

    /// The newest one wins: one that asked for the same before and has not started ends.
    fn takes_over(&mut self, turn: &Turn, verdicts: &mut Vec<Verdict>) {
        let Some(primary) = self.primary.clone() else {
            return self.runs(turn, verdicts);
        };
        self.waits(turn, Place::After, verdicts);
        if let Some(middle) = self.next.replace(turn.clone()) {
            self.drop_replaced(&middle, verdicts);
        }
        if !self.is_gone(&primary) {
            verdicts.push(Verdict::Replaced(primary.1));
        }
    }

    fn is_gone(&self, turn: &Turn) -> bool {
        self.seats.get(turn).is_some_and(|seat| seat.gone)
    }

    /// What is gone keeps its place until its run has stopped.
    fn drop_replaced(&mut self, turn: &Turn, verdicts: &mut Vec<Verdict>) {
        if self.is_gone(turn) {
            return;
        }
        self.seats.remove(turn);
        verdicts.push(Verdict::Replaced(turn.1.clone()));
    }

    /// A member ended and nothing of it runs any more.
    pub(super) fn ended(&mut self, turn: &Turn, how: Ending, verdicts: &mut Vec<Verdict>) {
        let was_primary = self.primary.take_if(|primary| primary == turn).is_some();
        let was_kept = self.place_of(turn) == Some(&Place::Succeeded);
        self.next.take_if(|next| next == turn);
        if how == Ending::Succeeded {
            self.set(turn, Place::Succeeded);
        } else {
            self.seats.remove(turn);
        }
        if was_primary && how != Ending::Dropped {
            let mut attached = self.turns(|place| *place == Place::Attached);
            // A run of what is gone may go on: it is placed anew, below.
            attached.retain(|other| !self.is_gone(other));
            for other in attached {
                let (uid, of) = (other.1.clone(), turn.1.clone());
                if how == Ending::Succeeded {
                    self.set(&other, Place::Shares(of.clone()));
                } else {
                    self.seats.remove(&other);
                }
                verdicts.push(Verdict::Shares { uid, of });
            }
        }
        if !was_primary && !was_kept {
            return;
        }
        let lost = |place: &Place| match place {
            Place::Attached | Place::After => was_primary,
            Place::Shares(of) => how != Ending::Succeeded && *of == turn.1,
            _ => false,
        };
        // The one that asked for the place comes first.
        let next = self.next.take_if(|_| was_primary);
        let others = self.turns(lost).into_iter();
        let others = others.filter(|turn| Some(turn) != next.as_ref());
        let all: Vec<Turn> = next.clone().into_iter().chain(others).collect();
        for turn in &all {
            self.set(turn, Place::Open { behind: true });
        }
        for turn in &all {
            self.place(turn, verdicts);
        }
    }

    fn set(&mut self, turn: &Turn, place: Place) {
        if let Some(seat) = self.seats.get_mut(turn) {
            seat.place = place;
        }
    }

    fn turns(&self, wanted: impl Fn(&Place) -> bool) -> Vec<Turn> {
        let found = self.seats.iter().filter(|(_, seat)| wanted(&seat.place));
        found.map(|(turn, _)| turn.clone()).collect()
    }

    fn uids(&self, wanted: impl Fn(&Place) -> bool) -> Vec<Uid> {
        let turns = self.turns(wanted).into_iter();
        turns.map(|(_, uid)| uid).collect()
    }
}
