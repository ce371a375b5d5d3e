//! What a decision costs: `make bench-policy`. Prints, and asserts nothing.

use std::{hint::black_box, time::Instant};

use super::*;

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

#[test]
#[ignore = "a measurement: make bench-policy"]
fn microseconds_for_each_decision() {
    let names_only = Policy {
        rules: hundred()
            .rules
            .into_iter()
            .filter(|rule| rule.when.is_none())
            .collect(),
        ..Policy::default()
    };
    let large = json!({"n": 3, "images": vec![json!({"ref": "quay.io/a", "tag": "1"}); 100]});
    let largest = json!({"n": 3, "blob": "x".repeat(255 * 1024)});
    let hostile = json!({"n": 3, "list": vec![1; 120_000]});
    for (what, policy, params, rounds) in [
        (
            "67 rules without an expression",
            &names_only,
            request().params,
            20_000_u32,
        ),
        (
            "100 rules, 33 expressions",
            &hundred(),
            request().params,
            2_000,
        ),
        (
            "the same, 100 objects as parameters",
            &hundred(),
            large,
            1_000,
        ),
        ("the same, a text of 255 KiB", &hundred(), largest, 500),
        ("the same, 120,000 numbers", &hundred(), hostile, 20),
    ] {
        let request = Request {
            params,
            ..request()
        };
        let started = Instant::now();
        for _ in 0..rounds {
            assert!(black_box(policy.decide(&request.asked())).accepted);
        }
        let each = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
        println!("{each:10.1} µs  {what}");
    }
}
