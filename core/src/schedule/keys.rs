//! The concurrency keys of one service. Who waits for a busy key is kept here, out of the lines, so
//! that nobody looks at it again before the key is free.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use slab::Slab;

use super::number;
use crate::{api::Priority, ids::Uid};

/// Where a parked request belongs: its queue and its line.
pub(super) type Spot = (u32, Priority);

#[derive(Debug, Default)]
pub(super) struct Keys {
    names: HashMap<Arc<str>, u32>,
    keys: Slab<Key>,
}

#[derive(Debug)]
struct Key {
    name: Arc<str>,
    /// Requests that have it, wherever they are.
    users: u32,
    in_flight: u32,
    parked: BTreeMap<Spot, BTreeMap<u64, Uid>>,
}

// === impl Keys ===

impl Keys {
    /// The number of a key, for one more request that has it.
    pub(super) fn join(&mut self, name: &Arc<str>) -> u32 {
        let keys = &mut self.keys;
        let no = *self.names.entry(name.clone()).or_insert_with(|| {
            number(keys.insert(Key {
                name: name.clone(),
                users: 0,
                in_flight: 0,
                parked: BTreeMap::new(),
            }))
        });
        self.get(no).users += 1;
        no
    }

    /// One request less has it.
    pub(super) fn part(&mut self, no: u32) {
        let key = self.get(no);
        key.users -= 1;
        if key.users == 0 {
            let key = self.keys.remove(no as usize);
            self.names.remove(&key.name);
        }
    }

    fn get(&mut self, no: u32) -> &mut Key {
        let key = self.keys.get_mut(no as usize);
        key.expect("a key that a request has is known")
    }

    /// Requests with it that are offered or held.
    pub(super) fn in_flight(&self, no: u32) -> u32 {
        self.keys.get(no as usize).map_or(0, |key| key.in_flight)
    }

    pub(super) fn start(&mut self, no: u32) {
        self.get(no).in_flight += 1;
    }

    pub(super) fn end(&mut self, no: u32) {
        self.get(no).in_flight -= 1;
    }

    pub(super) fn park(&mut self, no: u32, spot: Spot, seq: u64, uid: Uid) {
        let parked = self.get(no).parked.entry(spot).or_default();
        parked.insert(seq, uid);
    }

    /// Takes out the first one of a spot.
    pub(super) fn unpark(&mut self, no: u32, spot: Spot) -> Option<(u64, Uid)> {
        let parked = &mut self.get(no).parked;
        let first = parked.get_mut(&spot)?.pop_first();
        Self::tidy(parked, spot);
        first
    }

    /// A parked request left.
    pub(super) fn forget(&mut self, no: u32, spot: Spot, seq: u64) {
        let parked = &mut self.get(no).parked;
        if let Some(waiting) = parked.get_mut(&spot) {
            waiting.remove(&seq);
        }
        Self::tidy(parked, spot);
    }

    fn tidy(parked: &mut BTreeMap<Spot, BTreeMap<u64, Uid>>, spot: Spot) {
        if parked.get(&spot).is_some_and(BTreeMap::is_empty) {
            parked.remove(&spot);
        }
    }

    /// Where requests wait for it.
    pub(super) fn spots(&mut self, no: u32) -> Vec<Spot> {
        self.get(no).parked.keys().copied().collect()
    }

    /// All keys.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.keys.iter().map(|(no, _)| number(no)).collect()
    }
}
