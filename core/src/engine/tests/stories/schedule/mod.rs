//! Turns, limits and pauses, as the engine keeps them.

mod limits;
mod operator;
mod turns;

use super::*;
use crate::{api::Priority, flow::Flow, status::SUCCEEDED};

// === impl Story ===

impl Story {
    /// A settled watcher whose one service has these limits, with a worker on session one.
    fn limited(flow: Flow) -> Self {
        let mut story = Self::settled();
        story.reconfigures(|config| config.catalogue.get_mut("sign").unwrap().flow = flow);
        story
    }

    /// A watcher that has just started with these limits.
    fn restarts(flow: Flow) -> Self {
        let mut config = config();
        config.catalogue.get_mut("sign").unwrap().flow = flow;
        let engine = Engine::new(config, at(Duration::ZERO));
        Self {
            engine,
            ..Self::starts()
        }
    }

    fn reconfigures(&mut self, change: impl FnOnce(&mut Config)) -> Vec<Effect> {
        let mut config = self.engine.config.clone();
        change(&mut config);
        self.tell(Event::Reconfigured(Box::new(Reconfigure {
            catalogue: config.catalogue,
            tenants: config.tenants,
            pause: config.pause,
        })))
    }

    /// A request of that tenant.
    fn asks(&mut self, uid: &str, tenant: &str, priority: Priority) -> Vec<Effect> {
        let observation = self.of_tenant(uid, tenant, priority);
        self.tell(Event::Observed(Box::new(observation)))
    }

    fn of_tenant(&mut self, uid: &str, tenant: &str, priority: Priority) -> Observation {
        let mut observation = self.observation(uid, None, false);
        observation.address.cluster = tenant.into();
        observation.params = Params::Inline("{}".into());
        observation.spec.as_mut().unwrap().priority = Some(priority);
        observation
    }

    fn asks_for_key(&mut self, uid: &str, key: Result<Option<Arc<str>>, String>) -> Vec<Effect> {
        let mut observation = self.of_tenant(uid, uid, Priority::Normal);
        observation.flow_key = key;
        self.tell(Event::Observed(Box::new(observation)))
    }

    fn bids(&mut self, uid: &str) -> Vec<Effect> {
        let id = attempt(uid, self.attempt_of(uid));
        self.tell(Event::Claim(ONE, id))
    }

    /// The answer to a claim: why not, or nothing when it was granted.
    fn refusal(&mut self, uid: &str) -> Option<&'static str> {
        let effects = self.bids(uid);
        sent(&effects, ONE)
            .into_iter()
            .find_map(|message| match message {
                ToWorker::Refusal(_, why) => Some(why),
                _ => None,
            })
    }

    fn out(&self) -> Vec<String> {
        let offered = self.engine.offered.iter();
        let mut names: Vec<String> = offered.map(|(_, uid)| uid.to_string()).collect();
        names.sort();
        names
    }

    /// Writes what is dirty, until nothing is, and returns the last reason of each request.
    fn reasons(&mut self) -> BTreeMap<String, String> {
        let mut reasons = BTreeMap::new();
        let mut effects = self.wait(5000);
        while !effects.is_empty() {
            let mut next = vec![];
            for effect in effects {
                if let Effect::Write(write) = effect {
                    let first = &write.status.conditions[0];
                    assert_eq!(first.kind, SUCCEEDED);
                    reasons.insert(write.uid.to_string(), first.reason.clone());
                    next.extend(self.written(&write.uid.0));
                }
            }
            effects = next;
        }
        reasons
    }
}

fn concurrency(limit: u32) -> Flow {
    Flow {
        concurrency: Some(limit),
        ..Flow::default()
    }
}

fn names(effects: &[Effect]) -> Vec<String> {
    let ids = published(effects).into_iter();
    ids.map(|id| id.uid.to_string()).collect()
}

#[test]
fn what_no_worker_takes_is_not_offered_until_one_greets() {
    let mut story = Story::starts();
    story.listed(&[]);
    let effects = story.seen("a", None, false);
    assert_eq!(published(&effects), vec![]);
    let written = writes(&story.wait(1000));
    assert_eq!(reason(&written[0]), "NoWorkers");
    let offered = published(&story.greets(ONE, &[], &[]));
    assert_eq!(offered, vec![attempt("a", 1)]);
}
