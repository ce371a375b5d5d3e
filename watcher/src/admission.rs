//! Whether a new request is accepted, asked when it is seen for the first time: the policy, and what the
//! caller is told.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use isc_core::{admit::Rejection, audit::Judged, reason::Reason};
use tokio::sync::watch;

pub(crate) use crate::policy::Asked;
use crate::{
    audit::digest,
    metrics::Metrics,
    policy::{Decision, Policy},
};

/// So many decisions are remembered, for requests that are seen again before their first status is.
const REMEMBERED: usize = 8192;

/// Judges new requests. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub(crate) struct Admission {
    policy: watch::Receiver<Arc<Policy>>,
    shared: Arc<Shared>,
}

struct Shared {
    instance: String,
    /// An audit is told who decided on what.
    audited: bool,
    metrics: Arc<Metrics>,
    decided: Mutex<Decided>,
}

/// What was decided on a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Why it is not accepted.
    pub(crate) refusal: Option<Rejection>,
    /// For the audit, where there is one.
    pub(crate) judged: Option<Arc<Judged>>,
}

/// The newest decisions.
#[derive(Default)]
struct Decided {
    by_uid: HashMap<Arc<str>, Verdict>,
    order: VecDeque<Arc<str>>,
}

// === impl Admission ===

impl Admission {
    /// Judges by the newest policy, in the name of that instance.
    #[must_use]
    pub(crate) fn new(
        policy: watch::Receiver<Arc<Policy>>,
        instance: &str,
        audited: bool,
        metrics: Arc<Metrics>,
    ) -> Self {
        let shared = Shared {
            instance: instance.to_owned(),
            audited,
            metrics,
            decided: Mutex::default(),
        };
        Self {
            policy,
            shared: Arc::new(shared),
        }
    }

    /// Judges by these rules, for tests.
    #[cfg(test)]
    pub(crate) fn by(rules: &serde_json::Value) -> Self {
        let policy = Policy::of_rules("test", rules.as_array().expect("a list"), false);
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let (_, policy) = watch::channel(Arc::new(policy.expect("good rules")));
        Self::new(policy, "isc", false, Arc::new(metrics))
    }

    /// Whether the parameters matter; where not, they need not be read.
    pub(crate) fn reads_params(&self) -> bool {
        self.policy.borrow().reads_params()
    }

    /// What is decided on a request that has no status yet, with these parameters as JSON text. Decided,
    /// counted and logged once for each.
    pub(crate) fn judge(&self, asked: &Asked<'_>, params: &str) -> Verdict {
        if let Some(known) = self.decided().by_uid.get(asked.uid) {
            return known.clone();
        }
        let policy = self.policy.borrow().clone();
        let decision = policy.decide(asked);
        self.tell(asked, &decision);
        let refusal = (!decision.accepted).then(|| Rejection {
            reason: Reason::NotAccepted,
            message: self.message(&decision),
        });
        let judged = self.shared.audited.then(|| {
            Arc::new(Judged {
                rule: decision.by().into(),
                params: digest::of_json(params),
            })
        });
        let verdict = Verdict { refusal, judged };
        self.decided().remember(asked.uid.into(), verdict.clone());
        verdict
    }

    /// What the caller reads: what to do, and no word on rules, services or others.
    fn message(&self, decision: &Decision<'_>) -> String {
        let own = decision.message().map(str::to_owned);
        own.unwrap_or_else(|| usual_message(&self.shared.instance))
    }

    fn tell(&self, asked: &Asked<'_>, decision: &Decision<'_>) {
        let (uid, rule, result) = (asked.uid, decision.by(), decision.result());
        let request = format_args!("{}/{}/{}", asked.cluster, asked.namespace, asked.name);
        tracing::info!(uid, %request, rule, "{result} by the policy");
        self.shared.metrics.decision(rule, result);
        for (rule, failure) in &decision.failures {
            // Not the interpreter's own words: they may repeat a secret.
            tracing::info!(uid, %request, rule, "a rule's `when` could not be evaluated: {}", failure.what);
            self.shared.metrics.rule_failed(rule);
        }
    }

    fn decided(&self) -> std::sync::MutexGuard<'_, Decided> {
        let decided = self.shared.decided.lock();
        decided.unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Decided ===

impl Decided {
    fn remember(&mut self, uid: Arc<str>, verdict: Verdict) {
        if self.by_uid.insert(uid.clone(), verdict).is_some() {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_uid.remove(&oldest);
        }
    }
}

/// What a caller reads when no rule has a message of its own.
pub(crate) fn usual_message(instance: &str) -> String {
    format!(
        "the operators of the ISC instance `{instance}` do not accept this request: ask them to accept \
         requests for this service from this workspace and namespace, then create it again"
    )
}

#[cfg(test)]
mod tests {
    use isc_core::api::RequestSpec;
    use prometheus_client::registry::Registry;
    use serde_json::{Value, json};

    use super::*;

    struct Bench {
        policy: watch::Sender<Arc<Policy>>,
        admission: Admission,
        registry: Registry,
    }

    fn policy(rules: &Value) -> Arc<Policy> {
        let rules = rules.as_array().unwrap();
        Arc::new(Policy::of_rules("test", rules, false).unwrap())
    }

    impl Bench {
        fn new(rules: &Value) -> Self {
            let mut registry = Registry::default();
            let metrics = Arc::new(Metrics::new(&mut registry));
            let policy = watch::Sender::new(policy(rules));
            let admission = Admission::new(policy.subscribe(), "isc", false, metrics);
            Self {
                policy,
                admission,
                registry,
            }
        }

        fn ask(&self, uid: &str, service: &str, params: &Value) -> Option<String> {
            let spec = RequestSpec {
                service: service.into(),
                ..RequestSpec::default()
            };
            let asked = Asked {
                uid,
                kind: "requests.internal.services",
                workspace: Some("root:org:team-a"),
                cluster: "1abc",
                namespace: "default",
                name: "a",
                spec: &spec,
                params,
                groups: &[],
            };
            let refusal = self.admission.judge(&asked, &params.to_string()).refusal;
            refusal.map(|refusal| {
                assert_eq!(refusal.reason, Reason::NotAccepted);
                refusal.message
            })
        }

        fn metrics(&self) -> String {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
            text
        }
    }

    #[test]
    fn who_is_not_accepted_is_told_what_to_do_and_nothing_of_the_rules() {
        let bench = Bench::new(&json!([
            {"name": "team-b-only", "effect": "accept", "workspaces": ["root:org:team-b"]},
            {"name": "no-rockets", "effect": "reject", "services": ["rocket"], "message": "ask rocketry"},
        ]));
        let message = bench.ask("1", "sign", &json!({})).unwrap();
        assert!(
            message.contains("ask them") && message.contains("`isc`"),
            "{message}"
        );
        for leak in ["team-b", "rule", "rocket", "root:org"] {
            assert!(!message.contains(leak), "{message}");
        }
        assert_eq!(
            bench.ask("2", "rocket", &json!({})).unwrap(),
            "ask rocketry"
        );
    }

    #[test]
    fn a_request_is_judged_and_counted_once_and_new_rules_are_for_new_requests() {
        let bench = Bench::new(&json!([{"name": "all", "effect": "accept"}]));
        assert_eq!(bench.ask("1", "sign", &json!({})), None);
        bench.policy.send_replace(policy(&json!([])));
        assert_eq!(bench.ask("1", "sign", &json!({})), None, "decided before");
        assert!(bench.ask("2", "sign", &json!({})).is_some());
        let metrics = bench.metrics();
        for line in [
            "isc_policy_decisions_total{rule=\"all\",result=\"accepted\"} 1",
            "isc_policy_decisions_total{rule=\"none\",result=\"rejected\"} 1",
        ] {
            assert!(metrics.contains(line), "{metrics}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_is_counted() {
        let rule = json!({"name": "small", "effect": "accept", "when": "request.params.n < 5"});
        let bench = Bench::new(&json!([rule]));
        assert!(bench.ask("1", "sign", &json!({})).is_some());
        assert!(bench.ask("2", "sign", &Value::Null).is_some());
        assert_eq!(bench.ask("3", "sign", &json!({"n": 1})), None);
        let metrics = bench.metrics();
        let line = "isc_policy_failures_total{rule=\"small\"} 2";
        assert!(metrics.contains(line), "{metrics}");
    }

    #[test]
    fn only_the_newest_decisions_are_remembered() {
        let mut judged = Decided::default();
        for n in 0..=REMEMBERED {
            judged.remember(n.to_string().into(), Verdict::default());
            judged.remember(n.to_string().into(), Verdict::default());
        }
        assert_eq!(
            (judged.by_uid.len(), judged.order.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert!(!judged.by_uid.contains_key("0") && judged.by_uid.contains_key("1"));
    }
}
