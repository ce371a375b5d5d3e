//! `isc-watcher policy test`, as an operator uses it.

use clap::{Args as _, FromArgMatches as _};

use super::*;

const RULES: &str = "
rules:
- {name: no-prod, effect: reject, namespaces: ['prod-*'], message: ask releng}
- {name: team-b, effect: accept, workspaces: ['root:org:team-b']}
- {name: bots, effect: accept, requesters: [bot], when: 'request.params.n < 5'}
- {name: team-a, effect: accept, workspaces: ['root:org:team-a'], services: [sign]}
- {name: late, effect: reject}
";
const REQUEST: &str = "
apiVersion: internal.services/v1alpha1
kind: Request
metadata: {name: sign-1, namespace: release}
spec: {service: sign, requester: alice, params: {n: 3}}
";

/// Files of a folder, and the words behind `policy test`.
fn trial(files: &[(&str, &str)], words: &str) -> Result<(bool, String), String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let words = words.replace("DIR", &dir.path().display().to_string());
    let command = Trial::augment_args(clap::Command::new("test"));
    let words = std::iter::once("test").chain(words.split_whitespace());
    let matches = command.try_get_matches_from(words).unwrap();
    let trial = Trial::from_arg_matches(&matches).unwrap();
    trial.run().map_err(|error| error.to_string())
}

fn with_rules(words: &str) -> (bool, String) {
    let files = [("policy.yaml", RULES), ("r.yaml", REQUEST)];
    trial(
        &files,
        &format!("-f DIR/policy.yaml --request DIR/r.yaml {words}"),
    )
    .unwrap()
}

#[test]
fn it_says_which_rule_decided_and_why_the_earlier_ones_did_not() {
    let (accepted, text) = with_rules("--workspace root:org:team-a");
    assert!(accepted, "{text}");
    for part in [
        "accepted by rule 4 `team-a`",
        "no-prod: no, `namespaces`: release is not in prod-*",
        "team-b: no, `workspaces`: root:org:team-a is not in root:org:team-b",
        "bots: no, `requesters`: alice is not in bot",
        "team-a: applies",
        "1 more not looked at",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let (accepted, text) = with_rules("--requester bot");
    assert!(accepted && text.contains("by rule 3 `bots`"), "{text}");
    assert!(
        text.contains("the path of the workspace is not known"),
        "{text}"
    );
}

#[test]
fn it_shows_what_the_caller_reads() {
    let (accepted, text) = with_rules("--namespace prod-1");
    assert!(
        !accepted && text.contains("rejected by rule 1 `no-prod`"),
        "{text}"
    );
    assert!(
        text.contains("the caller reads NotAccepted: ask releng"),
        "{text}"
    );
    let files = [("policy.yaml", "rules: []"), ("r.yaml", REQUEST)];
    let (accepted, text) = trial(&files, "-f DIR/policy.yaml --request DIR/r.yaml").unwrap();
    assert!(
        !accepted && text.contains("rejected: no rule applies"),
        "{text}"
    );
    assert!(text.contains("NotAccepted: the operators"), "{text}");
    assert!(text.contains("warning: the policy has no rule"), "{text}");
}

#[test]
fn it_takes_a_watchers_configuration_with_rules_inside_or_beside() {
    let words = "-f DIR/watcher.yaml --request DIR/r.yaml --workspace root:org:team-a";
    let beside = "{servicesDir: s, policy: {file: policy.yaml, requesterPolicyInstalled: true}}";
    let files = [
        ("watcher.yaml", beside),
        ("policy.yaml", RULES),
        ("r.yaml", REQUEST),
    ];
    assert!(trial(&files, words).unwrap().0);
    let inside = "{servicesDir: s, policy: {rules: [{effect: accept, services: [sign]}]}}";
    let files = [("watcher.yaml", inside), ("r.yaml", REQUEST)];
    assert!(trial(&files, words).unwrap().0);
    let both = "{servicesDir: s, policy: {file: a.yaml, rules: []}}";
    let files = [("watcher.yaml", both), ("r.yaml", REQUEST)];
    assert!(trial(&files, words).unwrap_err().contains("keep one"));
    let untrue = "{servicesDir: s, policy: {file: policy.yaml}}";
    let files = [
        ("watcher.yaml", untrue),
        ("policy.yaml", RULES),
        ("r.yaml", REQUEST),
    ];
    let error = trial(&files, words).unwrap_err();
    assert!(error.contains("rule 3 (`bots`): `requesters`"), "{error}");
}

#[test]
fn a_wrong_file_is_named() {
    let words = "-f DIR/policy.yaml --request DIR/r.yaml";
    for (rules, request, wanted) in [
        ("rules: [", REQUEST, "policy.yaml"),
        ("rules: [{effect: accept}]\ncolour: red", REQUEST, "colour"),
        ("rules: {effect: accept}", REQUEST, "list of rules"),
        ("rules: [{effect: x}]", REQUEST, "rule 1: `effect`"),
        (RULES, "kind: ConfigMap", "r.yaml is no request"),
        (RULES, "[]", "r.yaml"),
    ] {
        let files = [("policy.yaml", rules), ("r.yaml", request)];
        let error = trial(&files, words).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
    let error = trial(&[("r.yaml", REQUEST)], words).unwrap_err();
    assert!(error.contains("policy.yaml"), "{error}");
}
