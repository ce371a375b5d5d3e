//! Traces of requests with the same idempotency key.

use super::{
    super::*,
    trace::{Trace, UIDS},
};
use crate::api::OnConflict;

/// What each of the requests asks for, when they share a key.
pub(super) type Family = [OnConflict; 3];

/// One is younger than it looks, two are of the same second.
const CREATED: [i64; 3] = [2, 1, 1];

// === impl Trace ===

impl Trace {
    pub(super) fn with_key(mut self, family: Option<Family>) -> Self {
        self.family = family;
        self
    }

    /// Gives a request its key.
    pub(super) fn keyed(&self, observation: &mut Observation) {
        let nth = UIDS.iter().position(|uid| *uid == &*observation.uid.0);
        let (Some(family), Some(nth)) = (self.family, nth) else {
            return;
        };
        let created = 1_699_999_000 + CREATED[nth];
        observation.created = Some(jiff::Timestamp::from_second(created).unwrap());
        observation.address.cluster = "family".into();
        observation.digest = Some([0; 16]);
        let spec = observation.spec.as_mut().unwrap();
        spec.idempotency_key = Some("release-1".into());
        spec.on_conflict = Some(family[nth]);
    }

    /// Whoever is granted a claim is the only one of its key that any worker has.
    pub(super) fn check_grant(&self, granted: &Uid) {
        let others = UIDS.iter().map(|uid| Uid::new(uid));
        for other in others.filter(|uid| self.family.is_some() && uid != granted) {
            let life = self.life(&other);
            let held = life.as_ref().and_then(|life| life.holder()).is_some();
            // Of what was never known here nobody can tell that it had the key.
            let known = self.engine.keyed.keys.contains(&other);
            let stray = known && self.engine.sessions.has_stray(&other);
            assert!(!held && !stray, "{granted} runs beside {other}: {life:?}");
        }
    }

    /// The oldest read of a status is answered.
    pub(super) fn status_read(&mut self, ok: bool) {
        if self.reads.is_empty() {
            return;
        }
        let uid = self.reads.remove(0);
        let status = self.api[&uid].2.clone().filter(|_| ok).map(Box::new);
        self.step(Event::StatusRead(uid, status));
    }
}
