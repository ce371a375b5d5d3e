//! The plan of a run, made of nothing but the seed and the options: which requests are made when, what is
//! done to them, and how each may end.

use std::{fmt, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::{
    kinds::{self, Draw},
    mix::{Ability, Kind, Mix},
};

/// What a plan is made of.
#[derive(Clone, Debug)]
pub struct Size {
    /// About so many requests.
    pub requests: usize,
    /// In so many workspaces.
    pub workspaces: usize,
    /// Made over that long.
    pub span: Duration,
}

/// Everything that will be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In no particular order; each goes its own way.
    pub families: Vec<Family>,
}

/// Requests of one workspace that belong together: most often one.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The workspace's number.
    pub workspace: usize,
    /// Its kind.
    pub kind: Kind,
    /// The requests.
    pub asks: Vec<Ask>,
    /// What is done, one after the other, none before its time.
    pub steps: Vec<Step>,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Unique in its workspace.
    pub name: String,
    /// The service.
    pub service: &'static str,
    /// The rest of its spec.
    pub spec: Value,
    /// What may become of it.
    pub expect: Expect,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Not before this time of the run.
    pub at: Duration,
    /// To which request of the family.
    pub ask: usize,
    /// What.
    pub act: Act,
}

/// What can be done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make it.
    Create,
    /// Set `spec.cancel`.
    Cancel,
    /// Delete it.
    Delete,
}

/// What may become of a request. `WorkerLost` is always one of its ends, provided that the budget of lost
/// attempts is used up; so it is not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The ends.
    pub ends: Vec<End>,
    /// Whether it is there at the end of the run.
    pub fate: Fate,
    /// It must never run.
    pub idle: bool,
    /// The extra attempts that it was granted.
    pub retries: u32,
}

/// One end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// `status.phase`.
    pub phase: &'static str,
    /// The reason of the first condition.
    pub reason: &'static str,
    /// `status.failed`, where it is known.
    pub failed: Option<u32>,
}

/// Whether a request is there at the end of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is.
    #[default]
    Stays,
    /// We deleted it.
    Deleted,
    /// The watcher deleted it after its end.
    Expires,
}

// === impl Plan ===

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64, size: &Size, mix: &Mix) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // Each kind once, whatever the size; then by the shares.
        let mut first: Vec<_> = mix.kinds().collect();
        let mut families = Vec::new();
        let mut made = 0;
        while made < size.requests {
            let kind = first.pop().unwrap_or_else(|| mix.pick(&mut rng));
            let at = rng.random_range(Duration::ZERO..size.span.max(Duration::from_millis(1)));
            let workspace = rng.random_range(0..size.workspaces);
            let draw = Draw {
                number: families.len(),
                at,
                retries: mix.has(Ability::Retries),
                rng: &mut rng,
            };
            let family = kinds::family(kind, workspace, draw);
            made += family.asks.len();
            families.push(family);
        }
        Self { families }
    }

    /// All requests, each with its family.
    pub fn asks(&self) -> impl Iterator<Item = (&Family, &Ask)> {
        self.families
            .iter()
            .flat_map(|family| family.asks.iter().map(move |ask| (family, ask)))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.phase, self.reason)?;
        self.failed
            .map_or(Ok(()), |failed| write!(f, " with {failed} failed"))
    }
}

// === impl Step ===

impl Step {
    /// Something to do to a request of the family.
    #[must_use]
    pub fn new(at: Duration, ask: usize, act: Act) -> Self {
        Self { at, ask, act }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn size() -> Size {
        Size {
            requests: 400,
            workspaces: 5,
            span: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_same_seed_is_the_same_plan_and_another_one_is_not() {
        let mix = Mix::without(&[]);
        assert_eq!(Plan::new(7, &size(), &mix), Plan::new(7, &size(), &mix));
        assert_ne!(Plan::new(7, &size(), &mix), Plan::new(8, &size(), &mix));
    }

    #[test]
    fn every_request_is_made_once_under_a_name_of_its_own_and_may_end() {
        let plan = Plan::new(7, &size(), &Mix::without(&[]));
        let mut names = HashSet::new();
        for family in &plan.families {
            assert!(family.workspace < 5);
            for (number, ask) in family.asks.iter().enumerate() {
                assert!(names.insert(ask.name.clone()), "{} twice", ask.name);
                assert!(!ask.expect.ends.is_empty(), "{}", ask.name);
                let made = family
                    .steps
                    .iter()
                    .filter(|s| s.ask == number && s.act == Act::Create);
                assert_eq!(made.count(), 1, "{}", ask.name);
            }
        }
        assert!((400..410).contains(&plan.asks().count()));
    }

    #[test]
    fn a_small_plan_has_every_kind() {
        let plan = Plan::new(3, &size(), &Mix::without(&[]));
        let kinds: HashSet<_> = plan.families.iter().map(|f| f.kind).collect();
        assert_eq!(kinds.len(), Mix::without(&[]).kinds().count());
    }
}
