//! The places of what was listed during a take-over: whoever lists the same requests decides the same.

use super::{Group, Place, Seat, Turn};
use crate::{
    api::OnConflict,
    ids::Uid,
    keys::{Standing, Verdict},
};

impl Group {
    /// Decides all open places. Who is held, or was by its status, is the primary; else those that did
    /// not wait for another one come first, the least of them above all.
    pub(in crate::keys) fn settle(
        &mut self,
        standing: impl Fn(&Uid) -> Standing,
        verdicts: &mut Vec<Verdict>,
    ) {
        let place = |(turn, seat): (&Turn, &Seat)| match seat.place {
            Place::Open { behind } => Some((standing(&turn.1), behind, turn.clone())),
            _ => None,
        };
        let mut open: Vec<_> = self.seats.iter().filter_map(place).collect();
        open.sort();
        let of_worker = |standing: Standing| standing != Standing::Idle;
        if self.primary.is_none() && open.first().is_some_and(|first| of_worker(first.0)) {
            let (_, _, turn) = open.remove(0);
            self.accept(&turn);
            self.runs(&turn, verdicts);
            open.retain(|(standing, behind, earlier)| {
                let replaced = !of_worker(*standing) && self.was_replaced(earlier, *behind, &turn);
                if replaced {
                    self.drop_replaced(earlier, verdicts);
                }
                !replaced
            });
        }
        for (standing, _, turn) in open {
            if of_worker(standing) && self.primary.is_some() {
                // Two of them at once: nothing here brings that about, but it passes.
                self.accept(&turn);
                self.waits(&turn, Place::After, verdicts);
            } else {
                self.place(&turn, verdicts);
            }
        }
    }

    /// Whether the run of a replacing member means that an earlier one was stopped for it, although
    /// its end was not written any more: one that was the primary, or asked for the same before.
    fn was_replaced(&self, turn: &Turn, behind: bool, by: &Turn) -> bool {
        let replaces = |turn: &Turn| {
            let seat = self.seats.get(turn);
            seat.is_some_and(|seat| seat.on_conflict == OnConflict::Replace)
        };
        let was_primary = !behind && self.seats.get(turn).is_some_and(|seat| seat.accepted);
        turn < by && replaces(by) && (was_primary || replaces(turn))
    }
}
