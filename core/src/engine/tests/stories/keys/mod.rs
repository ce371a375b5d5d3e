//! Requests with the same idempotency key: who runs, who waits, who shares what.

mod attach;
mod conflict;
mod ends;
mod results;
mod takeover;

use super::*;
use crate::api::{OnConflict, Phase, Progress};

impl Story {
    /// A request with the key as the API shows it. Names with one letter are in one workspace; the
    /// letters are the order of creation.
    fn keyed(
        &mut self,
        uid: &str,
        on_conflict: OnConflict,
        status: Option<RequestStatus>,
    ) -> Observation {
        let mut observation = self.observation(uid, status, false);
        let letter = i64::from(uid.as_bytes()[0] - b'a');
        observation.created = Some(jiff::Timestamp::from_second(1_699_999_000 + letter).unwrap());
        observation.digest = Some([7; 16]);
        let spec = observation.spec.as_mut().unwrap();
        spec.idempotency_key = Some("release-1".into());
        spec.on_conflict = Some(on_conflict);
        observation
    }

    fn shows(&mut self, observation: Observation) -> Vec<Effect> {
        self.tell(Event::Observed(Box::new(observation)))
    }

    /// It appears.
    fn joins(&mut self, uid: &str, on_conflict: OnConflict) -> Vec<Effect> {
        let observation = self.keyed(uid, on_conflict, None);
        self.shows(observation)
    }

    fn attaches(&mut self, uid: &str) -> Vec<Effect> {
        self.joins(uid, OnConflict::Attach)
    }

    /// It appears, and a worker has it.
    fn leads(&mut self, uid: &str) -> AttemptId {
        self.attaches(uid);
        self.claims(uid, ONE)
    }

    fn cancels(&mut self, uid: &str) -> Vec<Effect> {
        let mut observation = self.keyed(uid, OnConflict::Attach, None);
        observation.spec.as_mut().unwrap().cancel = Some(true);
        self.shows(observation)
    }

    fn stops(&mut self, session: SessionId, id: &AttemptId) -> Vec<Effect> {
        self.tell(Event::Outcome(session, id.clone(), Outcome::Cancelled))
    }

    /// Every write lands, one after the other. Returns all statuses that were written.
    fn all_written(&mut self, effects: Vec<Effect>) -> Vec<(String, RequestStatus)> {
        let mut all = vec![];
        let mut effects = effects;
        while !effects.is_empty() {
            let written: Vec<_> = effects.iter().filter_map(write_of).collect();
            all.extend(written.clone());
            effects = written
                .iter()
                .flat_map(|(uid, _)| self.written(uid))
                .collect();
        }
        all
    }

    /// A full list that holds these.
    fn lists(&mut self, all: &[(&str, OnConflict, Option<RequestStatus>)]) -> Vec<Effect> {
        self.tell(Event::Endpoints(vec![source()]));
        self.tell(Event::ListStarted(source()));
        for (uid, on_conflict, status) in all {
            let observation = self.keyed(uid, *on_conflict, status.clone());
            self.shows(observation);
        }
        self.tell(Event::Listed(source()))
    }

    fn is_behind(&self, uid: &str, earlier: &str) -> bool {
        self.state(uid)
            .starts_with(&format!("Behind {{ earlier: Uid({earlier:?})"))
    }

    /// Nothing is kept of any key.
    fn keeps_no_key(&self) -> bool {
        self.engine.keyed.keys.is_empty() && self.engine.reads.is_empty()
    }
}

fn write_of(effect: &Effect) -> Option<(String, RequestStatus)> {
    match effect {
        Effect::Write(write) => Some((write.uid.0.to_string(), write.status.clone())),
        _ => None,
    }
}

/// What was written of that request last.
fn last<'a>(all: &'a [(String, RequestStatus)], uid: &str) -> &'a RequestStatus {
    let mut of_it = all.iter().filter(|(found, _)| found == uid);
    &of_it.next_back().expect("it was written").1
}

fn wrote(effects: &[Effect], uid: &str) -> Option<RequestStatus> {
    let mut all = effects.iter().filter_map(write_of);
    all.find(|(found, _)| found == uid)
        .map(|(_, status)| status)
}

fn with_result() -> Outcome {
    let result = serde_json::json!({"signature": "xyz", "none": null});
    Outcome::Succeeded {
        result: result.as_object().cloned(),
        artifacts: vec![crate::api::Artifact {
            name: "log".into(),
            uri: "https://files/log".into(),
            digest: String::new(),
            media_type: String::new(),
            size: 3,
        }],
    }
}

fn reads(effects: &[Effect]) -> Vec<String> {
    let read = |effect: &Effect| match effect {
        Effect::ReadStatus { uid, address } => {
            assert_eq!(*address.name, *uid.0);
            Some(uid.0.to_string())
        }
        _ => None,
    };
    effects.iter().filter_map(read).collect()
}
