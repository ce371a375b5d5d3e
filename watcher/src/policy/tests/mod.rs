//! What rules decide, what they may say, and that no request hurts.

mod bench;
mod mistakes;
mod trials;

use isc_core::api::RequestSpec;
use serde_json::{Value, json};

use super::*;

/// A request of alice in a team's workspace.
struct Request {
    workspace: Option<&'static str>,
    namespace: &'static str,
    spec: RequestSpec,
    params: Value,
    groups: Vec<String>,
}

fn policy(rules: &Value) -> Policy {
    Policy::of_rules("test", rules.as_array().unwrap(), true).unwrap()
}

fn request() -> Request {
    Request {
        workspace: Some("root:org:team-a"),
        namespace: "release-1",
        spec: RequestSpec {
            service: "sign".into(),
            requester: Some("alice".into()),
            ..RequestSpec::default()
        },
        params: json!({"repo": "quay.io/a", "n": 3}),
        groups: vec![],
    }
}

// === impl Request ===

impl Request {
    fn asked(&self) -> Asked<'_> {
        Asked {
            uid: "u",
            kind: "requests.internal.services",
            workspace: self.workspace,
            cluster: "1abc",
            namespace: self.namespace,
            name: "sign-1",
            spec: &self.spec,
            params: &self.params,
            groups: &self.groups,
        }
    }

    /// Result and rule.
    fn by(&self, policy: &Policy) -> (bool, String) {
        let asked = self.asked();
        let decision = policy.decide(&asked);
        let explained = policy.explain(&asked);
        assert_eq!(decision.accepted, explained.0, "{}", explained.1);
        (decision.accepted, decision.by().to_owned())
    }
}

/// Whether a single accepting rule with these keys accepts.
fn accepts(keys: &Value, request: &Request) -> bool {
    let mut rule = json!({"effect": "accept"});
    for (key, value) in keys.as_object().unwrap() {
        rule[key] = value.clone();
    }
    request.by(&policy(&json!([rule]))).0
}

#[test]
fn what_no_rule_accepts_is_rejected() {
    let none = (false, "none".to_owned());
    assert_eq!(request().by(&policy(&json!([]))), none);
    let other = json!([{"effect": "accept", "services": ["publish"]}]);
    assert_eq!(request().by(&policy(&other)), none);
}

#[test]
fn the_first_rule_that_applies_decides() {
    let rules = json!([
        {"name": "no-prod", "effect": "reject", "namespaces": ["prod-*"]},
        {"effect": "accept", "services": ["sign"]},
        {"name": "late", "effect": "reject"},
    ]);
    let policy = policy(&rules);
    let mut request = request();
    assert_eq!(request.by(&policy), (true, "rule-2".into()));
    request.namespace = "prod-1";
    assert_eq!(request.by(&policy), (false, "no-prod".into()));
    (request.namespace, request.spec.service) = ("x", "publish".into());
    assert_eq!(request.by(&policy), (false, "late".into()));
}

#[test]
fn every_key_of_a_rule_must_match() {
    let whole = json!({
        "kinds": ["requests.internal.services"], "services": ["publish", "si*"],
        "workspaces": ["root:org:team-*"], "clusters": ["1abc"], "namespaces": ["release-*"],
        "requesters": ["alice", "bob"], "when": "request.params.n == 3 && requester == 'alice'",
    });
    assert!(accepts(&whole, &request()));
    for (key, other) in [
        ("kinds", json!(["signings.example.com"])),
        ("services", json!(["publish"])),
        ("workspaces", json!(["root:org:team-b", "root:*"])),
        ("clusters", json!(["2def"])),
        ("namespaces", json!(["release"])),
        ("requesters", json!(["ali"])),
        ("when", json!("request.params.n == 4")),
    ] {
        let mut keys = whole.clone();
        keys[key] = other;
        assert!(!accepts(&keys, &request()), "{key}");
    }
}

#[test]
fn what_is_not_known_matches_no_pattern() {
    let mut request = request();
    (request.workspace, request.spec.requester) = (None, None);
    assert!(!accepts(&json!({"workspaces": ["**"]}), &request));
    assert!(!accepts(&json!({"requesters": ["*"]}), &request));
    assert!(!accepts(&json!({"groups": ["*"]}), &request));
    assert!(accepts(
        &json!({"when": "workspace.path == '' && requester == ''"}),
        &request
    ));
    request.workspace = Some("");
    assert!(!accepts(&json!({"workspaces": ["**"]}), &request));
    request.groups = vec!["dev".into(), "ops".into()];
    assert!(accepts(&json!({"groups": ["ops"]}), &request));
}

#[test]
fn an_expression_sees_the_request_and_its_workspace() {
    let mut request = request();
    request.spec.retries = Some(2);
    for (when, wanted) in [
        (
            "request.service == 'sign' && request.name == 'sign-1'",
            true,
        ),
        ("request.kind.endsWith('.internal.services')", true),
        (
            "workspace.path.startsWith('root:org:') && workspace.cluster == '1abc'",
            true,
        ),
        ("workspace.namespace == 'release-1'", true),
        ("has(request.retries) && request.retries <= 2", true),
        ("has(request.deadlineSeconds)", false),
        ("request.params.repo.startsWith('quay.io/')", true),
    ] {
        assert_eq!(accepts(&json!({"when": when}), &request), wanted, "{when}");
    }
}

#[test]
fn an_expression_that_fails_never_lets_a_request_through() {
    let rules = json!([
        {"name": "no-debug", "effect": "reject", "when": "request.params.debug == true"},
        {"name": "all", "effect": "accept"},
    ]);
    let mut request = request();
    // Whoever leaves the field out does not slip past.
    assert_eq!(request.by(&policy(&rules)), (false, "no-debug".into()));
    request.params["debug"] = false.into();
    assert_eq!(request.by(&policy(&rules)), (true, "all".into()));
    let rules = json!([
        {"name": "small", "effect": "accept", "when": "request.params.size < 5"},
        {"name": "signers", "effect": "accept", "services": ["sign"]},
    ]);
    let (policy, asked) = (policy(&rules), request.asked());
    let decision = policy.decide(&asked);
    assert_eq!((decision.accepted, decision.by()), (true, "signers"));
    assert_eq!(decision.failures[0].0, "small");
    assert_eq!(decision.failures[0].1.what, "a field that is not there");
}

#[test]
fn hostile_parameters_are_judged_in_no_time_and_hurt_nobody() {
    let deep = |depth: usize| {
        let text = format!("{{\"n\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        serde_json::from_str(&text).unwrap_or_default()
    };
    let rules = json!([
        {"effect": "accept", "when": "request.params.n.all(x, x == 'secret')"},
        {"effect": "accept", "when": "request.params.n == 7 || request.params.a.b.c.d == 1"},
        {"effect": "accept", "when": "request.params in [request.params.n]"},
    ]);
    let policy = policy(&rules);
    let started = std::time::Instant::now();
    for params in [
        json!({}),
        json!({"n": null}),
        json!({"n": "x".repeat(256 * 1024)}),
        json!({"n": vec![1; 128 * 1024]}),
        json!({"n": vec![json!({}); 64 * 1024]}),
        json!({"a": {"b": {"c": []}}}),
        json!([1]),
        Value::Null,
        deep(100),
        // Cannot be read at all.
        deep(100_000),
    ] {
        let hostile = Request {
            params,
            ..request()
        };
        assert!(!hostile.by(&policy).0);
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
