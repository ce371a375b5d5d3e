//! What the objects of a configured kind ask for.

use isc_core::api::{OnConflict, Priority};
use serde_json::json;

use super::*;

const NAMED: &str = "group: a.example, version: v1, kind: Job, plural: jobs";

fn job(more: &str) -> Arc<Kind> {
    let kinds = kinds(&format!("kinds:\n- {{{NAMED}, {more}}}")).unwrap();
    kinds.get("jobs.a.example").unwrap().clone()
}

#[test]
fn the_whole_spec_is_the_parameters_unless_a_pointer_says_where_they_are() {
    let spec = json!({"digest": "abc", "deep": {"a/b": {"x": null}}, "list": [1, {"y": 2}]});
    let (asked, params) = read(&job("service: sign"), &spec, &json!({})).unwrap();
    assert_eq!((asked.service.as_str(), &params), ("sign", &spec));
    for (pointer, wanted) in [
        ("/spec/deep", json!({"a/b": {"x": null}})),
        ("/spec/deep/a~1b", json!({"x": null})),
        ("/spec/list/1", json!({"y": 2})),
        ("/spec/nowhere", json!({})),
        ("/spec", spec.clone()),
    ] {
        let kind = job(&format!("service: sign, params: {pointer}"));
        assert_eq!(
            read(&kind, &spec, &json!({})).unwrap().1,
            wanted,
            "{pointer}"
        );
    }
    let kind = job("service: sign, params: /spec/digest");
    assert_eq!(
        read(&kind, &spec, &json!({})).unwrap_err(),
        "spec.digest must be an object"
    );
}

#[test]
fn the_service_comes_from_a_field_or_a_label_by_a_map_or_as_it_is() {
    let field = job("service: {field: /spec/type}");
    let label =
        job("service: {label: example.com/what, map: {Sign.it: sign, 'publish/all': publish}}");
    let ask = |kind: &Kind, word: Value| {
        let read = read(
            kind,
            &json!({"type": word}),
            &json!({"example.com/what": word}),
        );
        read.map(|(spec, _)| spec.service)
    };
    assert_eq!(ask(&field, json!("sign")).unwrap(), "sign");
    assert_eq!(ask(&label, json!("Sign.it")).unwrap(), "sign");
    assert_eq!(ask(&label, json!("publish/all")).unwrap(), "publish");
    for (kind, word, says) in [
        (&field, json!(null), "spec.type is missing"),
        (&field, json!(""), "spec.type is missing"),
        (&field, json!(7), "spec.type must be a string"),
        (
            &field,
            json!("Sign\u{202e}"),
            "spec.type is \"Sign\\u{202e}\", and must be a service's name",
        ),
        (
            &label,
            json!("other"),
            "the label example.com/what is \"other\", and nothing of that name",
        ),
        (&label, json!(""), "the label example.com/what is missing"),
    ] {
        let error = ask(kind, word.clone()).unwrap_err();
        assert!(error.contains(says), "{word}: {error}");
        assert!(
            !error.contains("publish"),
            "it tells what others may ask for: {error}"
        );
    }
    let long = ask(&field, json!("x".repeat(100_000))).unwrap_err();
    assert!(long.len() < 250, "{}", long.len());
    let error = read(&label, &json!({}), &json!({})).unwrap_err();
    assert!(
        error.contains("the label example.com/what is missing"),
        "{error}"
    );
}

#[test]
fn whatever_a_request_may_say_can_come_from_fields() {
    let kind = job(
        "service: sign, requester: /spec/who, priority: /spec/urgency, cancel: /spec/abort, timeout: /spec/t, \
         queueTimeout: /spec/q, deadline: /spec/d, retries: /spec/r, ttlAfterFinished: /spec/keep",
    );
    let nothing = read(&kind, &json!({}), &json!({})).unwrap().0;
    let service = || "sign".to_owned();
    assert_eq!(
        nothing,
        RequestSpec {
            service: service(),
            ..RequestSpec::default()
        }
    );
    let all = json!({"who": "alice", "urgency": "High", "abort": true, "t": "1m30.5s", "q": 60, "d": "2h",
        "r": 3, "keep": 0});
    let wanted = RequestSpec {
        service: service(),
        requester: Some("alice".into()),
        priority: Some(Priority::High),
        cancel: Some(true),
        timeout_seconds: Some(91),
        queue_timeout_seconds: Some(60),
        deadline_seconds: Some(7200),
        retries: Some(3),
        ttl_seconds_after_finished: Some(0),
        ..RequestSpec::default()
    };
    assert_eq!(read(&kind, &all, &json!({})).unwrap().0, wanted);
    for (field, value, says) in [
        ("who", json!({}), "spec.who must be a string"),
        (
            "urgency",
            json!("high"),
            "spec.urgency must be Low, Normal or High",
        ),
        ("abort", json!("yes"), "spec.abort must be true or false"),
        ("t", json!(0), "spec.t must be from 1 to"),
        ("t", json!("0s"), "spec.t must be from 1 to"),
        ("t", json!("soon"), "spec.t must be a duration"),
        ("q", json!(-1), "spec.q must be from 1 to"),
        ("d", json!("90000h"), "spec.d must be from 1 to"),
        (
            "r",
            json!(101),
            "spec.r must be a whole number from 0 to 100",
        ),
        (
            "r",
            json!(1.5),
            "spec.r must be a whole number from 0 to 100",
        ),
        ("keep", json!([]), "spec.keep must be from 0 to"),
    ] {
        let mut spec = all.clone();
        spec[field] = value;
        let error = read(&kind, &spec, &json!({})).unwrap_err();
        assert!(error.contains(says), "{spec}: {error}");
    }
}

#[test]
fn a_key_has_all_its_parts_or_there_is_none() {
    let kind = job(
        "service: sign, idempotencyKey: {fields: [/spec/a, /spec/n], labels: [b]}, onConflict: Replace",
    );
    let key = |spec: Value, labels: Value| {
        read(&kind, &spec, &labels).map(|(spec, _)| spec.idempotency_key)
    };
    let whole = key(json!({"a": "x", "n": 7}), json!({"b": "y", "c": "z"}));
    assert_eq!(whole.unwrap().as_deref(), Some("x/7/y"));
    for (spec, labels) in [
        (json!({"a": "x"}), json!({"b": "y"})),
        (json!({"a": null, "n": 1}), json!({"b": "y"})),
        (json!({"a": "x", "n": 1}), json!({"b": ""})),
        (json!({"a": "x", "n": 1}), json!({})),
    ] {
        assert_eq!(key(spec.clone(), labels).unwrap(), None, "{spec}");
    }
    let error = key(json!({"a": {}, "n": 1}), json!({"b": "y"})).unwrap_err();
    assert!(
        error.contains("spec.a must be a string, a number or a flag"),
        "{error}"
    );
    let asked = read(&kind, &json!({}), &json!({})).unwrap().0;
    assert_eq!(asked.on_conflict, Some(OnConflict::Replace));
    assert!(
        !kind.compares_params(),
        "the newer one wins, whatever it asks with"
    );
    assert!(job("service: sign, idempotencyKey: {labels: [b]}").compares_params());
}

#[test]
fn an_object_without_a_spec_is_told_what_it_lacks() {
    let kind = job("service: {field: /spec/type}");
    let read = kind.read(Parts::default());
    assert_eq!(
        read.spec.unwrap_err(),
        "spec.type is missing: it says what is asked for"
    );
    let odd = raw(&json!(7));
    let read = kind.read(Parts {
        spec: Some(&odd),
        ..Parts::default()
    });
    assert_eq!(read.spec.unwrap_err(), "spec must be an object");
}

#[test]
fn a_type_that_looks_like_request_is_read_as_one() {
    let kinds = kinds(&format!("kinds:\n- {{profile: request, {NAMED}}}")).unwrap();
    let kind = kinds.get("jobs.a.example").unwrap();
    let spec = json!({"service": "sign", "params": {"a": null}, "priority": "High"});
    let (asked, params) = read(kind, &spec, &json!({})).unwrap();
    assert_eq!(
        (asked.service.as_str(), asked.priority),
        ("sign", Some(Priority::High))
    );
    assert_eq!(params, json!({"a": null}));
    let status = RequestStatus {
        failed: 2,
        ..RequestStatus::default()
    };
    assert_eq!(kind.status_json(&write(kind, status)), json!({"failed": 2}));
}
