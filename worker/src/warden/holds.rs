//! Holds on the worker's own process, and how many of them the warden counts.

/// One of them at the warden stands for all.
#[derive(Debug, Default)]
pub(super) struct Holds {
    here: usize,
    there: usize,
}

// === impl Holds ===

impl Holds {
    /// Whether the warden has one.
    pub(super) fn are_there(&self) -> bool {
        self.there > 0
    }

    /// One more, under what the warden has.
    pub(super) fn add_here(&mut self) {
        self.here += 1;
    }

    /// One more, which the warden counts.
    pub(super) fn add_there(&mut self) {
        self.here += 1;
        self.there += 1;
    }

    /// One less; whether the warden is to let one go, too.
    pub(super) fn remove(&mut self) -> bool {
        self.here = self.here.saturating_sub(1);
        let is_surplus = self.there > self.here;
        self.there -= usize::from(is_surplus);
        is_surplus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warden_has_one_as_long_as_there_is_any() {
        let mut holds = Holds::default();
        assert!(!holds.are_there());
        // Two that were asked for before the first was answered.
        holds.add_there();
        holds.add_there();
        holds.add_here();
        assert_eq!([holds.remove(), holds.remove()], [false, true]);
        assert!(holds.are_there(), "the third goes on");
        assert!(holds.remove());
        assert!(!holds.are_there());
    }
}
