//! What a request's checks cost: `make bench-policy`. Prints, and fails when those of a usual request cost
//! too much.

use std::{hint::black_box, time::Instant};

use isc_runtime::services::Service;

use super::*;

/// Policy and both schemas for one request, microseconds.
const LIMIT: f64 = 100.0;
/// The best of so many rounds is what the code costs; the others are what the machine did besides.
const ROUNDS: u32 = 5;

/// Ninety-nine rules that do not apply, a third of them with an expression that is false, and one that
/// does.
fn hundred() -> Policy {
    let mut rules: Vec<Value> = (0..99)
        .map(|n| match n % 3 {
            0 => json!({"effect": "accept", "workspaces": [format!("root:org:other-{n}:**")], "services": ["*"]}),
            1 => json!({"effect": "accept", "namespaces": [format!("other-{n}-*")], "requesters": ["bob"]}),
            _ => json!({"effect": "accept", "when": format!("request.params.n == {}", n + 1000)}),
        })
        .collect();
    rules.push(json!({"effect": "accept", "workspaces": ["root:org:*"], "services": ["sign"]}));
    policy(&json!(rules))
}

fn names_only() -> Policy {
    let rules = hundred().rules.into_iter();
    Policy {
        rules: rules.filter(|rule| rule.when.is_none()).collect(),
        ..Policy::default()
    }
}

/// A service with schemas as they are written: required fields, patterns, a list of objects, nothing else
/// allowed.
fn service() -> Service {
    let digest = json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"});
    let image = json!({
        "type": "object", "additionalProperties": false, "required": ["ref", "digest"],
        "properties": {
            "ref": {"type": "string", "pattern": "^[a-z0-9./:-]+$", "maxLength": 255},
            "digest": digest, "arch": {"enum": ["amd64", "arm64", "ppc64le", "s390x"]},
        },
    });
    let params = json!({
        "type": "object", "additionalProperties": false, "required": ["repo", "n", "images"],
        "properties": {
            "repo": {"type": "string", "pattern": "^quay\\.io/"},
            "n": {"type": "integer", "minimum": 1, "maximum": 9},
            "images": {"type": "array", "maxItems": 100, "items": image},
            "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
            "notify": {"type": "string", "format": "email"},
        },
    });
    let result = json!({
        "type": "object", "required": ["signatures"],
        "properties": {"signatures": {"type": "array", "items": {
            "type": "object", "required": ["digest"],
            "properties": {"digest": digest, "keyId": {"type": "string"}},
        }}},
    });
    let file = json!({
        "exec": {"command": ["/bin/true"]}, "paramsSchema": params, "resultSchema": result,
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sign.yaml");
    std::fs::write(&path, file.to_string()).unwrap();
    Service::load(&path).unwrap()
}

/// Ten images.
fn usual() -> (Value, Value) {
    let digest = |n: usize| format!("sha256:{}", n.to_string().repeat(64));
    let images = (0..10).map(
        |n| json!({"ref": format!("quay.io/a/b-{n}:1.0"), "digest": digest(n), "arch": "amd64"}),
    );
    let signatures = (0..10).map(|n| json!({"digest": digest(n), "keyId": "k-1"}));
    let params = json!({
        "repo": "quay.io/a", "n": 3, "images": images.collect::<Vec<_>>(),
        "labels": {"team": "a", "release": "2026-11"}, "notify": "a@example.com",
    });
    (
        params,
        json!({"signatures": signatures.collect::<Vec<_>>()}),
    )
}

/// The best of some rounds, microseconds a call; printed.
fn measured(what: &str, calls: u32, mut call: impl FnMut()) -> f64 {
    let round = || {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    let rounds = std::iter::repeat_with(round).take(ROUNDS as usize);
    let best = rounds.fold(f64::INFINITY, f64::min);
    println!("{best:10.1} µs  {what}");
    best
}

fn decision(what: &str, policy: &Policy, params: Value, calls: u32) -> f64 {
    let request = Request {
        params,
        ..request()
    };
    measured(what, calls, || {
        assert!(black_box(policy.decide(&request.asked())).accepted);
    })
}

#[test]
#[ignore = "a measurement: make bench-policy"]
fn microseconds_for_each_request() {
    let (names, all, service) = (names_only(), hundred(), service());
    let (params, result) = usual();
    println!("one request with ten images in its parameters, and ten signatures in its result:");
    let each = [
        decision(
            "policy: 100 rules, 33 expressions",
            &all,
            params.clone(),
            2_000,
        ),
        measured("schema of its parameters", 2_000, || {
            black_box(service.check_params(&params)).unwrap();
        }),
        measured("schema of its result", 2_000, || {
            // Whoever checks has a map, and a schema wants a value.
            black_box(service.check_result(&result.clone())).unwrap();
        }),
    ];
    let total: f64 = each.iter().sum();
    let verdict = if total < LIMIT { "ok" } else { "TOO MUCH" };
    println!("{total:10.1} µs  in all: {verdict} (limit {LIMIT} µs)");
    println!("others:");
    decision(
        "67 rules without an expression",
        &names,
        request().params,
        20_000,
    );
    decision("100 rules, small parameters", &all, request().params, 2_000);
    let large = json!({"n": 3, "images": vec![json!({"ref": "quay.io/a", "tag": "1"}); 100]});
    decision("100 rules, 100 objects as parameters", &all, large, 500);
    let largest = json!({"n": 3, "blob": "x".repeat(255 * 1024)});
    decision("100 rules, a text of 255 KiB", &all, largest, 200);
    let hostile = json!({"n": 3, "list": vec![1; 120_000]});
    decision("100 rules, 120,000 numbers", &all, hostile, 10);
    measured("parameters that break the schema", 2_000, || {
        let wrong = json!({"repo": 1, "images": [{"ref": "A"}], "more": true});
        black_box(service.check_params(&wrong)).unwrap_err();
    });
    assert!(total < LIMIT, "{total:.1} µs");
}
