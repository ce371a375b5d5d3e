//! Which waiting request goes next: round robin over tenants, first come first served within one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use crate::ids::Uid;

/// The waiting requests of all services.
///
/// Entries are hints: one that stopped waiting stays until its turn and is then skipped by the caller,
/// so leaving the queue costs nothing.
#[derive(Debug, Default)]
pub struct Schedule {
    services: BTreeMap<Arc<str>, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    turns: VecDeque<Arc<str>>,
    tenants: HashMap<Arc<str>, VecDeque<Uid>>,
}

// === impl Schedule ===

impl Schedule {
    /// Adds a waiting request at the end of its tenant's line.
    pub fn push(&mut self, service: &Arc<str>, tenant: &Arc<str>, uid: Uid) {
        let queue = self.services.entry(service.clone()).or_default();
        let line = queue.tenants.entry(tenant.clone()).or_default();
        if line.is_empty() {
            queue.turns.push_back(tenant.clone());
        }
        line.push_back(uid);
    }

    /// Takes the next one of a service: the head of the line of the tenant whose turn it is.
    pub fn pop(&mut self, service: &str) -> Option<Uid> {
        let queue = self.services.get_mut(service)?;
        let tenant = queue.turns.pop_front()?;
        let line = queue
            .tenants
            .get_mut(&tenant)
            .expect("a tenant with a turn has a line");
        let uid = line.pop_front();
        if line.is_empty() {
            queue.tenants.remove(&tenant);
        } else {
            queue.turns.push_back(tenant);
        }
        if queue.turns.is_empty() {
            self.services.remove(service);
        }
        uid
    }

    /// The services that have waiting requests.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<str>> {
        self.services.keys().cloned().collect()
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, uid: &Uid) -> bool {
        let lines = self
            .services
            .values()
            .flat_map(|queue| queue.tenants.values());
        lines.flatten().any(|waiting| waiting == uid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flood_of_one_tenant_does_not_hold_up_another() {
        let mut schedule = Schedule::default();
        for n in 0..100 {
            schedule.push(
                &"sign".into(),
                &"loud".into(),
                Uid::new(&format!("loud-{n}")),
            );
        }
        schedule.push(&"sign".into(), &"quiet".into(), Uid::new("quiet"));
        let first_two = [schedule.pop("sign"), schedule.pop("sign")];
        assert!(
            first_two.contains(&Some(Uid::new("quiet"))),
            "{first_two:?}"
        );
    }

    #[test]
    fn a_service_without_work_gives_nothing_and_takes_no_memory() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.pop("sign"), None);
        schedule.push(&"sign".into(), &"a".into(), Uid::new("1"));
        assert_eq!(schedule.pop("sign"), Some(Uid::new("1")));
        assert!(schedule.services().is_empty());
    }

    proptest! {
        /// Between two turns of a tenant that has work, every other tenant with work has one.
        #[test]
        fn no_tenant_with_work_waits_more_than_one_round(arrivals in prop::collection::vec((0..6u8, prop::bool::ANY), 1..200)) {
            let (service, mut schedule) = (Arc::<str>::from("sign"), Schedule::default());
            let mut waiting: HashMap<u8, usize> = HashMap::new();
            let mut skipped: HashMap<u8, usize> = HashMap::new();
            for (tenant, pop) in arrivals {
                schedule.push(&service, &tenant.to_string().into(), Uid::new(&tenant.to_string()));
                *waiting.entry(tenant).or_default() += 1;
                if pop {
                    let served: u8 = schedule.pop("sign").unwrap().0.parse().unwrap();
                    *waiting.get_mut(&served).unwrap() -= 1;
                    skipped.insert(served, 0);
                    for (other, count) in &waiting {
                        if *other != served && *count > 0 {
                            let skips = skipped.entry(*other).or_default();
                            *skips += 1;
                            prop_assert!(*skips < 6, "tenant {other} was skipped {skips} times by 5 others");
                        }
                    }
                }
            }
        }
    }
}
