//! Which files there are and what is in them, told to the audit as they change.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Loaded, Sources};
use crate::{
    WatcherError,
    audit::{
        Auditor,
        digest::{Sha256, of_bytes},
    },
};

/// Files that change all the time are not waited for.
const TRIES: usize = 5;

/// What is in each file.
pub(super) type Digests = BTreeMap<PathBuf, Sha256>;

/// What the audit knows of the files.
pub(super) struct Files {
    audit: Auditor,
    /// What was told, and whether as in force.
    told: BTreeMap<PathBuf, (Option<Sha256>, bool)>,
}

/// Loads everything, and tells what it was loaded from: again when that changes in between.
pub(super) fn load(sources: &Sources) -> (Result<Loaded, WatcherError>, Digests) {
    let mut before = read(sources);
    for _ in 1..TRIES {
        let loaded = sources.load();
        let after = read(sources);
        if after == before {
            return (loaded, after);
        }
        before = after;
    }
    (sources.load(), before)
}

/// Reads all files that a configuration is made of.
fn read(sources: &Sources) -> Digests {
    let policy = sources.policy().clone().map(super::absolute);
    let services = std::fs::read_dir(&sources.services);
    let services = services.into_iter().flatten().flatten();
    let services = services.map(|entry| entry.path());
    let services = services.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let files = sources.file.clone().into_iter().chain(policy);
    files
        .chain(services)
        .filter_map(|file| {
            let bytes = std::fs::read(&file).ok()?;
            Some((file, of_bytes(&bytes)))
        })
        .collect()
}

// === impl Files ===

impl Files {
    /// Nothing is told yet.
    pub(super) fn new(audit: Auditor) -> Self {
        Self {
            audit,
            told: BTreeMap::new(),
        }
    }

    /// Whether anybody is to be told.
    pub(super) fn are_audited(&self) -> bool {
        self.audit.is_on()
    }

    /// Tells what changed. Where they cannot be used, one of those that changed is why, and none is in force;
    /// all that there are come into force together.
    pub(super) fn tell(&mut self, read: Option<Digests>, in_force: bool) {
        let Some(read) = read else {
            return;
        };
        let gone: Vec<_> = self
            .told
            .keys()
            .filter(|file| !read.contains_key(*file))
            .cloned()
            .collect();
        let gone = gone.into_iter().map(|file| (file, None));
        let there = read.into_iter().map(|(file, digest)| (file, Some(digest)));
        for (file, digest) in there.chain(gone) {
            let told = self.told.get(&file);
            let same = told.is_some_and(|(known, good)| *known == digest && (*good || !in_force));
            if same {
                continue;
            }
            self.audit.configuration(&file, digest, in_force);
            self.told.insert(file, (digest, in_force));
        }
        self.told.retain(|_, told| *told != (None, true));
    }
}
