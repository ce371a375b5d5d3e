//! What is kept of an object, and what is computed from its parameters.

use serde_json::json;

use isc_core::{api::PARAMS_MAX_BYTES, engine::Params, reason::Reason};

use super::*;

fn services() -> Catalogue {
    let dir = tempfile::tempdir().unwrap();
    let exec = "exec: {command: [a]}";
    std::fs::write(dir.path().join("sign.yaml"), exec).unwrap();
    let keyed = format!("{{{exec}, limits: {{key: {{cel: params.repo}}}}}}");
    std::fs::write(dir.path().join("publish.yaml"), keyed).unwrap();
    let strict = format!(
        "{{{exec}, paramsSchema: {{required: [url], properties: {{n: {{type: integer}}}}}}}}"
    );
    std::fs::write(dir.path().join("fetch.yaml"), strict).unwrap();
    Catalogue::load(dir.path()).unwrap()
}

/// Accepts everything but `rocket`.
fn admission() -> Admission {
    Admission::by(&json!([{"effect": "reject", "services": ["rocket"]}, {"effect": "accept"}]))
}

fn place() -> Place {
    let source = isc_core::ids::Source {
        endpoint: "https://kcp/x".into(),
        kind: "requests.internal.services".into(),
    };
    Place {
        source,
        reach: crate::kcp::place::Reach::Workspaces,
    }
}

fn seen(change: impl FnOnce(&mut Value)) -> Seen {
    let mut value = json!({
        "apiVersion": "internal.services/v1alpha1", "kind": "Request",
        "metadata": {
            "name": "a", "namespace": "default", "uid": "u", "resourceVersion": "7", "generation": 1,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"kcp.io/cluster": "1abc", "another": "x"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {"service": "sign", "params": {"digest": null}},
    });
    change(&mut value);
    serde_json::from_str(&value.to_string()).unwrap()
}

fn observed(change: impl FnOnce(&mut Value)) -> Option<Observation> {
    observe(seen(change))
}

fn observe(seen: Seen) -> Option<Observation> {
    observe_as("", seen)
}

/// As an instance sees it that is configured so.
fn observe_as(yaml: &str, seen: Seen) -> Option<Observation> {
    let config = serde_saphyr::from_str(&format!("{{servicesDir: s, {yaml}}}")).unwrap();
    let (kind, services, admission, paths) =
        (Kind::request(), services(), admission(), Paths::new());
    let light = Light {
        kind: &kind,
        services: &services,
        admission: &admission,
        paths: &paths,
        select: &Select::new(&config).unwrap(),
    };
    seen.observe(&place(), &light)
}

#[test]
fn an_object_becomes_an_observation_with_its_workspace() {
    let seen = observed(|_| ()).unwrap();
    assert_eq!(seen.address.to_string(), "1abc/default/a");
    assert_eq!(seen.spec.unwrap().service, "sign");
    assert_eq!(seen.params, Params::Inline(r#"{"digest":null}"#.into()));
    assert_eq!(seen.created.unwrap().to_string(), "2026-01-02T03:04:05Z");
    assert_eq!((seen.status, seen.digest), (None, None));
}

#[test]
fn a_watch_and_a_list_can_be_read_without_copies_of_the_parameters() {
    let object = r#"{"metadata":{"name":"a"},"spec":{"service":"s","params":{"b": 1}}}"#;
    let event = format!(r#"{{"type":"ADDED","object":{object}}}"#);
    let event: kube::core::WatchEvent<Seen> = serde_json::from_str(&event).unwrap();
    let kube::core::WatchEvent::Added(seen) = event else {
        panic!("another event")
    };
    assert_eq!(
        seen.params(&Kind::request()).as_deref(),
        Some(r#"{"b": 1}"#)
    );
    let list = format!(
        r#"{{"apiVersion":"v1","kind":"List","metadata":{{"resourceVersion":"1"}},"items":[{object},{object}]}}"#
    );
    let list: kube::core::ObjectList<Seen> = serde_json::from_str(&list).unwrap();
    assert_eq!(list.items.len(), 2);
}

#[test]
fn large_parameters_are_not_kept() {
    let seen =
        observed(|object| object["spec"]["params"] = json!({"text": "x".repeat(5000)})).unwrap();
    assert_eq!(seen.params, Params::Large(5011));
    let object = r#"{"metadata":{"name":"a","uid":"u","namespace":"n","resourceVersion":"1",
        "annotations":{"kcp.io/cluster":"c"}},"spec":{"service":"s","params":{"a":"LESS"}}}"#;
    let escaped = object.replace("LESS", "\\u003c".repeat(200_000).as_str());
    let seen: Seen = serde_json::from_str(&escaped).unwrap();
    let seen = observe(seen).unwrap();
    assert_eq!(seen.params, Params::Large(200_008), "as plain JSON");
}

#[test]
fn a_spec_that_cannot_be_read_is_told_and_a_foreign_status_is_none() {
    let seen = observed(|object| object["spec"] = json!({"service": 7})).unwrap();
    assert!(seen.spec.unwrap_err().contains("string"));
    let seen = observed(|object| object["spec"] = json!(7)).unwrap();
    assert!(seen.spec.is_err());
    let seen = observed(|object| object["status"] = json!({"phase": "Odd"})).unwrap();
    assert_eq!(seen.status, None);
}

#[test]
fn only_what_was_not_admitted_yet_is_judged() {
    let rocket = |object: &mut Value| object["spec"]["service"] = "rocket".into();
    let seen = observed(rocket).unwrap();
    assert_eq!(seen.refusal.unwrap().reason.as_str(), "NotAccepted");
    let seen = observed(|object| {
        rocket(object);
        object["status"] = json!({"phase": "Queued"});
    });
    assert_eq!(seen.unwrap().refusal, None);
    assert_eq!(observed(|_| ()).unwrap().refusal, None);
}

#[test]
fn one_that_waits_for_its_service_is_judged_again() {
    let seen = observed(|object| {
        object["spec"]["service"] = "rocket".into();
        let first = json!({"type": "Succeeded", "status": "Unknown", "reason": "ServiceMissing"});
        object["status"] = json!({"phase": "Queued", "conditions": [first]});
    });
    let seen = seen.unwrap();
    assert!(seen.refusal.is_some() && !seen.service_known);
    assert!(observed(|_| ()).unwrap().service_known);
}

#[test]
fn only_what_the_instance_selects_is_judged_and_what_bears_its_name() {
    let of = |change: fn(&mut Value)| {
        let seen = seen(|object| {
            object["spec"]["service"] = "rocket".into();
            change(object);
        });
        let yaml = "instance: a, select: {clusters: ['1*'], labels: {matchLabels: {tier: fast}}}";
        let seen = observe_as(yaml, seen).unwrap();
        (seen.selected, seen.refusal.is_some())
    };
    let fast = |object: &mut Value| object["metadata"]["labels"] = json!({"tier": "fast"});
    assert_eq!(of(fast), (true, true));
    assert_eq!(of(|_| ()), (false, false), "another's to judge");
    assert_eq!(
        of(|object| object["status"] = json!({"controller": "a"})),
        (false, true)
    );
    assert_eq!(
        of(|object| object["status"] = json!({"controller": "b"})),
        (false, false)
    );
}

#[test]
fn an_object_without_a_workspace_is_none_of_ours() {
    assert!(observed(|object| object["metadata"]["annotations"] = json!({})).is_none());
}

#[test]
fn a_digest_tells_parameters_apart_whatever_the_order_of_their_fields() {
    let digest = |params: &str| {
        let text = format!(
            r#"{{"metadata":{{"name":"a","uid":"u","namespace":"n","resourceVersion":"1",
            "annotations":{{"kcp.io/cluster":"c"}}}},
            "spec":{{"service":"sign","idempotencyKey":"k","params":{params}}}}}"#
        );
        let seen: Seen = serde_json::from_str(&text).unwrap();
        observe(seen).unwrap().digest.unwrap()
    };
    assert_eq!(
        digest(r#"{"a":1,"b":{"c":2,"d":3}}"#),
        digest(r#"{"b":{"d":3, "c":2}, "a":1}"#)
    );
    assert_ne!(digest(r#"{"a":[1,2]}"#), digest(r#"{"a":[2,1]}"#));
}

#[test]
fn the_concurrency_key_comes_from_the_parameters_or_says_why_not() {
    let publish = |params: Value| {
        let seen = observed(|object| {
            object["spec"] = json!({"service": "publish", "params": params});
        });
        seen.unwrap().flow_key
    };
    assert_eq!(publish(json!({"repo": "r"})).unwrap().as_deref(), Some("r"));
    let error = publish(json!({})).unwrap_err();
    assert!(
        error.contains("params.repo") && error.contains("no `repo`"),
        "{error}"
    );
}

#[test]
fn parameters_that_break_the_schema_are_refused_unless_someone_decided_already() {
    let fetch = |params: Value, status: Value| {
        let seen = observed(|object| {
            object["spec"] = json!({"service": "fetch", "params": params});
            object["status"] = status;
        });
        seen.unwrap().refusal
    };
    let new = || json!({});
    let refusal = fetch(json!({"url": "u", "n": "s3cr3t"}), new()).unwrap();
    assert_eq!(refusal.reason, Reason::InvalidParams);
    assert_eq!(
        refusal.message,
        "spec.params: /n: this is not of type \"integer\""
    );
    let missing = fetch(Value::Null, new()).unwrap();
    assert_eq!(missing.message, "spec.params: /url is missing");
    assert_eq!(fetch(json!({"url": "u", "n": 1}), new()), None);
    for phase in ["Queued", "Running"] {
        assert_eq!(fetch(json!({}), json!({"phase": phase})), None, "{phase}");
    }
    let ended = json!({"phase": "Failed", "completionTime": "2026-01-02T03:04:05Z"});
    assert_eq!(fetch(json!({}), ended), None);
    let large = json!({"text": "x".repeat(PARAMS_MAX_BYTES)});
    assert_eq!(fetch(large, new()), None, "it is refused for its size");
}

#[test]
fn a_traceparent_is_kept_while_the_request_lives() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let ours = "internal.services/traceparent";
    let set = |object: &mut Value, annotations: Value| {
        for (key, value) in annotations.as_object().unwrap() {
            object["metadata"]["annotations"][key] = value.clone();
        }
    };
    let annotated = |annotations: Value| observed(|object| set(object, annotations)).unwrap();
    let trace = annotated(json!({ours: PARENT, "internal.services/tracestate": "a=b"})).trace;
    let trace = trace.unwrap();
    assert_eq!(
        (trace.id[0], trace.span[1], trace.sampled),
        (0x4b, 0xf0, true)
    );
    assert_eq!(trace.state.as_deref(), Some("a=b"));
    let plain = annotated(json!({"traceparent": PARENT, "internal.services/tracestate": "a=b"}));
    assert_eq!(plain.trace.unwrap().state, None, "each goes with its own");
    for none in [json!({}), json!({ours: "hello", "traceparent": PARENT})] {
        assert_eq!(annotated(none.clone()).trace, None, "{none}");
    }
    let ended = observed(|object| {
        set(object, json!({ours: PARENT}));
        object["status"] = json!({"phase": "Succeeded", "completionTime": "2026-01-02T03:04:05Z"});
    });
    assert_eq!(ended.unwrap().trace, None, "nobody needs it any more");
}
