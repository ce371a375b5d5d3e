//! Mistakes in a policy: each names the rule and the key.

use super::*;

fn mistake(rules: &Value) -> String {
    let rules = rules.as_array().unwrap();
    Policy::of_rules("test", rules, false)
        .unwrap_err()
        .to_string()
}

/// Rules, their mistaken keys, and what is said.
fn mistakes() -> [(Value, &'static str, &'static str); 14] {
    [
        (
            json!({"effect": "accept", "servces": ["a"]}),
            "servces",
            "there are name, effect",
        ),
        (json!({"services": ["a"]}), "effect", "missing"),
        (json!({"effect": "allow"}), "effect", "`accept` or `reject`"),
        (
            json!({"effect": "accept", "services": "sign"}),
            "services",
            "list",
        ),
        (
            json!({"effect": "accept", "services": []}),
            "services",
            "leave it out",
        ),
        (
            json!({"effect": "accept", "services": [7]}),
            "services",
            "texts",
        ),
        (
            json!({"effect": "accept", "services": ["a**"]}),
            "services",
            "workspace paths",
        ),
        (
            json!({"effect": "accept", "workspaces": ["root::a"]}),
            "workspaces",
            "empty segment",
        ),
        (
            json!({"effect": "accept", "message": "welcome"}),
            "message",
            "accepts",
        ),
        (
            json!({"effect": "reject", "message": "a\nb"}),
            "message",
            "one line",
        ),
        (json!({"effect": "accept", "when": true}), "when", "quotes"),
        (
            json!({"effect": "accept", "when": "request.spec.params.a"}),
            "when",
            "no `spec`",
        ),
        (
            json!({"effect": "accept", "when": "request.requester == 'a'"}),
            "when",
            "no `requester`",
        ),
        (
            json!({"effect": "accept", "when": "params.a"}),
            "when",
            "there are request, requester",
        ),
    ]
}

#[test]
fn every_mistake_names_the_rule_and_the_key() {
    for (rule, key, wanted) in mistakes() {
        let mut named = rule.clone();
        named["name"] = "mine".into();
        let text = mistake(&json!([{"effect": "reject"}, named]));
        let said = text.contains("test") && text.contains("rule 2 (`mine`)");
        assert!(said && text.contains(&format!("`{key}`")), "{text}");
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn mistakes_of_the_list_are_told_too() {
    for (rules, wanted) in [
        (json!(["accept"]), "rule 1 must be an object"),
        (
            json!([{"effect": "accept", "name": "A b"}]),
            "`name` must be of a-z",
        ),
        (
            json!([{"effect": "accept", "name": "none"}]),
            "stands for no rule",
        ),
        (
            json!([{"effect": "accept", "name": "a"}, {"effect": "reject", "name": "a"}]),
            "rule 2 (`a`): `name` is taken",
        ),
        (json!(vec![json!({"effect": "accept"}); 1001]), "1001 rules"),
    ] {
        let text = mistake(&rules);
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn rules_about_who_asks_are_refused_unless_the_requester_is_true() {
    for keys in [
        json!({"requesters": ["alice"]}),
        json!({"groups": ["ops"]}),
        json!({"when": "requester == 'alice'"}),
        json!({"when": "request.params.by == requester"}),
    ] {
        let mut rule = keys.clone();
        rule["effect"] = "accept".into();
        let rules = json!([rule]);
        let text = mistake(&rules);
        for part in [
            "rule 1",
            "requester-policy.yaml",
            "policy.requesterPolicyInstalled: true",
        ] {
            assert!(text.contains(part), "{text}");
        }
        policy(&rules);
    }
    let rules = json!([{"effect": "accept", "when": "request.params.requester == 'a'"}]);
    Policy::of_rules("test", rules.as_array().unwrap(), false).unwrap();
}

#[test]
fn what_is_odd_is_warned_of() {
    let warnings = |rules: Value| policy(&rules).warnings().join("\n");
    assert!(warnings(json!([])).contains("every request is rejected"));
    let groups = json!([{"name": "ops", "effect": "accept", "groups": ["ops"]}]);
    assert!(warnings(groups).contains("`ops` never applies"));
    let rules = json!([{"name": "all", "effect": "accept"}, {"effect": "reject"}]);
    assert!(warnings(rules).contains("behind `all` are never reached"));
    let good = json!([{"effect": "accept", "services": ["a"]}, {"effect": "reject"}]);
    assert_eq!(warnings(good), "");
}
