use isc_core::{
    api::Condition,
    ids::{Address, Holder, Uid},
    reason::Reason,
};
use serde_json::{Map, Value, json};

use super::*;

/// 2026-01-02T03:04:05.678Z.
fn then() -> Timestamp {
    Timestamp::from_millisecond(1_767_323_045_678).unwrap()
}

fn audit(what: What) -> Audit {
    Audit {
        uid: Uid::new("0b1f"),
        address: Address {
            endpoint: "https://kcp:6443/services/apiexport/1abc/internal.services".into(),
            kind: "requests.internal.services".into(),
            cluster: "2def".into(),
            namespace: "default".into(),
            name: "sign-1".into(),
        },
        service: "sign".into(),
        requester: "alice".into(),
        what,
    }
}

fn line(fact: &Fact) -> String {
    let mut text = vec![];
    fact.write(then(), ("isc", Some("root:org:team-a")), &mut text);
    String::from_utf8(text).unwrap()
}

fn decision(what: What) -> Fact {
    Fact::of(audit(what))
}

fn holder() -> Holder {
    Holder {
        worker: "worker-1".into(),
        incarnation: "f00d".into(),
    }
}

fn judged() -> Arc<Judged> {
    let rule = "everybody".into();
    let params = digest::of_json("{}");
    Arc::new(Judged { rule, params })
}

fn ended() -> RequestStatus {
    let artifact = |digest: &str| Artifact {
        name: "image".into(),
        uri: "oci://registry/image".into(),
        digest: digest.into(),
        media_type: String::new(),
        size: 1,
    };
    let result = json!({"b": 1, "a": 2});
    RequestStatus {
        phase: Some(Phase::Succeeded),
        conditions: vec![Condition {
            kind: "Succeeded".into(),
            status: "True".into(),
            reason: "Succeeded".into(),
            message: "a secret of the job".into(),
            last_transition_time: None,
            observed_generation: None,
        }],
        attempt: Some(2),
        failed: 1,
        worker: Some("worker-1".into()),
        result: result.as_object().cloned(),
        artifacts: vec![artifact("sha256:00ff"), artifact("my password is x")],
        ..RequestStatus::default()
    }
}

fn facts() -> Vec<Fact> {
    let started = |params: &str| What::Started {
        attempt: 1,
        by: holder(),
        params: params.into(),
    };
    let over = |how| What::AttemptEnded {
        attempt: 1,
        worker: "worker-1".into(),
        how,
    };
    vec![
        Fact::Serving,
        Fact::Configuration {
            file: "/etc/isc/policy.yaml".into(),
            digest: Some(digest::of_bytes(b"")),
            in_force: true,
        },
        decision(What::Accepted(Some(judged()))),
        decision(What::Rejected(Reason::NotAccepted, Some(judged()))),
        decision(What::Rejected(Reason::InvalidRequest, None)),
        decision(started(r#"{"token": "secret"}"#)),
        decision(What::Adopted {
            attempt: 2,
            by: holder(),
        }),
        decision(over(AttemptEnd::Failed(Reason::JobFailed))),
        decision(over(AttemptEnd::Lost)),
        decision(What::Cancelled(Cancel::Asked)),
        decision(What::Ended {
            status: Box::new(ended()),
            foreign: false,
        }),
        Fact::Lost {
            lines: 17,
            since: then(),
        },
        Fact::Stopped { clean: true },
    ]
}

/// The contract of version 1. A line may get more fields at its end; a change of what is here needs another
/// version.
#[test]
fn the_lines_are_those_of_the_contract() {
    let lines: String = facts().iter().map(line).collect();
    let wanted = include_str!("golden.jsonl").replace("PROGRAM", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines, wanted, "\n{lines}");
}

#[test]
fn no_line_has_content_in_it() {
    for fact in facts() {
        let line = line(&fact);
        for word in ["secret", "password", "token", "oci://"] {
            assert!(!line.contains(word), "{line}");
        }
    }
}

#[test]
fn no_line_is_longer_than_4_kib_whatever_a_stranger_writes() {
    let evil: Arc<str> = "\u{0}".repeat(5000).into();
    let text = evil.to_string();
    let mut audit = audit(What::Ended {
        status: Box::new(RequestStatus {
            worker: Some(text.clone()),
            attached_to: Some(text.clone()),
            artifacts: vec![
                Artifact {
                    digest: format!("sha512:{}", "f".repeat(128)),
                    ..ended().artifacts.remove(0)
                };
                50
            ],
            result: Some(Map::from_iter([(text, Value::Null)])),
            ..ended()
        }),
        foreign: true,
    });
    let address = &mut audit.address;
    for name in [
        &mut address.endpoint,
        &mut address.kind,
        &mut address.cluster,
        &mut address.namespace,
        &mut address.name,
        &mut audit.service,
        &mut audit.requester,
        &mut audit.uid.0,
    ] {
        *name = evil.clone();
    }
    let fact = Fact::of(audit);
    let mut written = vec![];
    let long = "i".repeat(40);
    fact.write(then(), (&long, Some(&evil)), &mut written);
    let line: Value = serde_json::from_slice(&written).unwrap();
    assert!(written.len() <= 4096, "{}", written.len());
    let (digests, artifacts) = (&line["artifactDigests"], &line["artifacts"]);
    assert_eq!(digests.as_array().unwrap().len(), ARTIFACTS);
    assert_eq!(*artifacts, 50);
}
