//! One copy of each name that many requests have in common: workspaces, namespaces, services, requesters.

use std::{collections::HashSet, sync::Arc};

use super::Request;

/// Below so many names nothing is swept.
const FEW: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashSet<Arc<str>>,
    sweep_at: usize,
}

// === impl Names ===

impl Names {
    /// What a request has in common with others.
    pub(super) fn share_in(&mut self, request: &mut Request) {
        let address = &mut request.address;
        self.share(&mut address.cluster);
        self.share(&mut address.namespace);
        self.share(&mut request.service);
        self.share(&mut request.requester);
    }

    /// Makes it the copy that all have.
    fn share(&mut self, name: &mut Arc<str>) {
        if let Some(known) = self.known.get(name) {
            name.clone_from(known);
            return;
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.sweep_at = FEW.max(self.known.len() * 2);
        }
        self.known.insert(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_and_those_that_nobody_has_go() {
        let mut names = Names::default();
        let (mut first, mut second): (Arc<str>, Arc<str>) = ("team-a".into(), "team-a".into());
        names.share(&mut first);
        names.share(&mut second);
        assert!(Arc::ptr_eq(&first, &second));
        for number in 0..FEW {
            names.share(&mut number.to_string().into());
        }
        assert!(names.known.len() <= FEW);
        assert!(names.known.contains("team-a"), "somebody has it");
        assert!(!names.known.contains("0"));
    }
}
