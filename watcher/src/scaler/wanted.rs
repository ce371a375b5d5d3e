//! How many slots the workers of some services should have.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use isc_core::{
    engine::{Load, Snapshot},
    schedule::Counts,
};
use isc_proto::SLOTS_MAX;

/// What there is to do, and who does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    services: BTreeMap<Arc<str>, Counts>,
    workers: Vec<Load>,
}

/// One kind of worker: all that run any of some services are counted as one Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crew {
    services: Vec<String>,
    pub(super) slots: u32,
}

// === impl Demand ===

impl Demand {
    /// None while it is not known yet: a worker that is busy may not have said so.
    pub(crate) fn of(snapshot: &Snapshot) -> Option<Self> {
        snapshot.settled.then(|| Self {
            services: snapshot.services.clone(),
            workers: snapshot.workers.clone(),
        })
    }

    /// The slots that a crew should have: all those of each worker that is busy, so that nobody is asked to
    /// remove one, and those that what can start needs beyond.
    pub(super) fn slots(&self, crew: &Crew) -> u64 {
        let of_crew = |load: &&Load| load.services.iter().any(|name| crew.runs(name));
        let (mut busy, mut spare) = (0u64, 0u64);
        for load in self
            .workers
            .iter()
            .filter(of_crew)
            .filter(|load| load.busy > 0)
        {
            busy += 1;
            spare += u64::from(load.slots.saturating_sub(load.busy));
        }
        let services = self.services.iter().filter(|(name, _)| crew.runs(name));
        let can_start: u64 = services
            .map(|(_, counts)| u64::from(counts.startable))
            .sum();
        busy * u64::from(crew.slots) + can_start.saturating_sub(spare)
    }
}

// === impl Crew ===

impl Crew {
    /// From a trigger's `metadata`.
    ///
    /// # Errors
    /// What is missing or wrong, and what to write instead.
    pub(super) fn new(metadata: &HashMap<String, String>) -> Result<Self, String> {
        let all = metadata
            .get("services")
            .map(String::as_str)
            .unwrap_or_default();
        let services: Vec<String> = all
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if services.is_empty() {
            return Err(
                "metadata.services is missing: name the services of these workers, with commas between".into(),
            );
        }
        let told = metadata.get("slotsPerWorker").ok_or(
            "metadata.slotsPerWorker is missing: set it to `slots` of these workers' configuration",
        )?;
        let slots = told.trim().parse().ok();
        let slots = slots.filter(|slots| (1..=SLOTS_MAX).contains(slots)).ok_or_else(|| {
            format!("metadata.slotsPerWorker is \"{told}\": it must be a number from 1 to {SLOTS_MAX}")
        })?;
        Ok(Self { services, slots })
    }

    fn runs(&self, service: &str) -> bool {
        self.services.iter().any(|name| name == service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(services: &str, slots: &str) -> Result<Crew, String> {
        let metadata = [("services", services), ("slotsPerWorker", slots)];
        Crew::new(
            &metadata
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
        )
    }

    fn worker(services: &[&str], slots: u32, busy: u32) -> Load {
        Load {
            services: services.iter().map(|name| (*name).into()).collect(),
            slots,
            busy,
        }
    }

    fn slots(startable: u32, workers: &[Load]) -> u64 {
        let counts = Counts {
            startable,
            ..Counts::default()
        };
        let other = Counts {
            startable: 1000,
            ..Counts::default()
        };
        let demand = Demand {
            services: [("sign".into(), counts), ("other".into(), other)].into(),
            workers: workers.to_vec(),
        };
        demand.slots(&crew("sign, publish", "4").unwrap())
    }

    #[test]
    fn nothing_to_do_needs_no_slot_and_what_can_start_needs_one_each() {
        let idle = worker(&["sign"], 4, 0);
        assert_eq!(slots(0, &[]), 0);
        assert_eq!(slots(0, std::slice::from_ref(&idle)), 0);
        assert_eq!(slots(9, &[]), 9);
        assert_eq!(slots(9, &[idle]), 9);
    }

    #[test]
    fn a_busy_worker_is_wanted_whole_and_its_free_slots_are_used_first() {
        let busy = worker(&["sign"], 4, 1);
        assert_eq!(slots(0, std::slice::from_ref(&busy)), 4);
        assert_eq!(slots(3, std::slice::from_ref(&busy)), 4);
        assert_eq!(slots(5, &[busy.clone(), busy.clone(), busy]), 12);
        assert_eq!(slots(5, &[worker(&["sign"], 4, 4)]), 9);
    }

    #[test]
    fn workers_and_requests_of_other_services_count_for_nothing() {
        assert_eq!(slots(0, &[worker(&["other"], 4, 4)]), 0);
        assert_eq!(
            slots(2, &[worker(&["other"], 4, 1), worker(&["publish"], 4, 2)]),
            4
        );
    }

    #[test]
    fn a_mistake_in_the_metadata_is_named_with_its_remedy() {
        for (services, slots, named) in [
            ("", "4", "metadata.services is missing"),
            (" , ", "4", "metadata.services is missing"),
            ("sign", "0", "metadata.slotsPerWorker is \"0\""),
            ("sign", "many", "metadata.slotsPerWorker is \"many\""),
            ("sign", "1025", "a number from 1 to 1024"),
        ] {
            let why = crew(services, slots).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
        let missing = HashMap::from([("services".to_owned(), "sign".to_owned())]);
        let why = Crew::new(&missing).unwrap_err();
        assert!(why.contains("set it to `slots` of these workers"), "{why}");
    }
}
