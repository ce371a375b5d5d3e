//! That a restarted watcher reads from a kind's status what it wrote, whatever the kind's schema left of it.

use std::{sync::LazyLock, time::Duration};

use isc_core::{
    api::{Effective, PastAttempt, Progress},
    ids::Holder,
    life::{Done, End, Life, Moment, State, Stop},
    reason::Reason,
    status::{self, About, Mirror},
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kinds::state::{STATE, STATE_MAX};

fn moment(seconds: i64) -> Moment {
    Moment::told(jiff::Timestamp::from_second(seconds).unwrap())
}

fn state() -> impl Strategy<Value = State> {
    let by = || Holder {
        worker: "w".into(),
        incarnation: "1".into(),
    };
    let done = |end| {
        State::Done(Done {
            end,
            at: moment(2_000_000_009),
            attempt: 4,
            by: None,
            written: false,
        })
    };
    prop_oneof![
        Just(State::Recovering),
        Just(State::Waiting),
        Just(State::Saving {
            record: None,
            pause: Duration::from_secs(9)
        }),
        Just(State::Running { by: by() }),
        Just(State::Stopping {
            by: by(),
            back: false
        }),
        any::<bool>().prop_map(|attached| State::Behind {
            earlier: Uid::new("e"),
            attached
        }),
        Just(done(End::Succeeded {
            result: json!({"a": null}).as_object().cloned(),
            artifacts: vec![]
        })),
        Just(done(End::Failed {
            reason: Reason::TimedOut,
            message: "over 5 s".into()
        })),
        Just(done(End::Rejected {
            reason: Reason::UnknownService,
            message: "no".into()
        })),
        Just(done(End::Cancelled(Reason::Replaced))),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let stop = prop_oneof![
        Just(None),
        Just(Some(Stop::Deadline)),
        Just(Some(Stop::Replaced))
    ];
    let counts = (0..5u32, 0..5u32, 0..2_000_000_000i64);
    let past = proptest::collection::vec("[\\x00-\u{2fff}]{0,85}", 0..=5);
    (
        state(),
        counts,
        stop,
        (any::<bool>(), past, proptest::option::of(".{0,200}")),
    )
        .prop_map(
            |(state, (failed, lost, queued), stop, (named, past, progress))| {
                let held = matches!(state, State::Running { .. } | State::Stopping { .. });
                let named = held || named && !matches!(state, State::Behind { .. });
                let past = past.into_iter().map(|message| PastAttempt {
                    attempt: 3,
                    worker: "w".into(),
                    start_time: Some(moment(5).wall),
                    end_time: None,
                    reason: "JobFailed".into(),
                    message,
                });
                Life {
                    failed,
                    lost,
                    stop: stop.filter(|_| held || state == State::Recovering),
                    first_started: named.then(|| moment(queued + 3)),
                    queued: moment(queued),
                    started: named.then(|| moment(queued + 5)),
                    worker: named.then(|| "w".into()),
                    progress: progress.filter(|_| named).map(|message| Progress {
                        percent: 7,
                        message,
                    }),
                    past: past.collect(),
                    state,
                }
            },
        )
}

fn about(mirror: bool) -> About {
    let effective = Effective {
        timeout_seconds: 60,
        deadline_seconds: Some(600),
        retries: 2,
        ..Effective::default()
    };
    About {
        generation: Some(3),
        controller: Some("a".into()),
        effective: Some(effective),
        waiting_for: None,
        mirror: mirror.then(|| Mirror {
            name: "earlier".into(),
            run: None,
        }),
    }
}

/// As an API server stores it: without what the schema does not declare.
fn pruned(value: &Value, schema: &Value) -> Value {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return value.clone();
    }
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(name, field)| {
                let own = schema["properties"].get(name);
                let schema = own.or_else(|| schema.get("additionalProperties"))?;
                Some((name.clone(), pruned(field, schema)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items
            .iter()
            .map(|item| pruned(item, &schema["items"]))
            .collect(),
        other => other.clone(),
    }
}

/// What the API server would refuse.
fn missing(value: &Value, schema: &Value) -> Vec<String> {
    let names = schema["required"].as_array().cloned().unwrap_or_default();
    let names = names.iter().filter_map(Value::as_str);
    let mut all: Vec<String> = names
        .filter(|name| value.get(*name).is_none())
        .map(str::to_owned)
        .collect();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                all.extend(missing(field, &schema["properties"][name.as_str()]));
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| all.extend(missing(item, &schema["items"]))),
        _ => {}
    }
    all
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
}

/// The shipped examples, read once.
static SHIPPED: LazyLock<[(Arc<Kind>, Value); 2]> =
    LazyLock::new(|| ["myorg", "konflux"].map(shipped));

proptest! {
    #[test]
    fn a_pruned_status_tells_a_restarted_watcher_all_that_it_needs(life in life(), mirror in any::<bool>()) {
        for (kind, crd) in &*SHIPPED {
            let behind = matches!(life.state, State::Behind { .. });
            let rendered = status::render(&life, &about(mirror && behind));
            let json = kind.status_json(&write(kind, rendered.clone()));
            prop_assert_eq!(missing(&json, schema(crd)), Vec::<String>::new());
            let stored = pruned(&json, schema(crd));
            prop_assert!(stored.get("lost").is_none(), "nothing was pruned");
            let mut found = kind.status(Some(&raw(&stored))).unwrap();
            found.result.clone_from(&rendered.result);
            prop_assert_eq!(&found, &rendered, "of {}", kind.id());
            let now = moment(0);
            prop_assert_eq!(status::recover(Some(&found), now), status::recover(Some(&rendered), now));
            prop_assert!(status::same_end(&found, &rendered));
        }
    }
}

#[test]
fn what_was_decided_at_the_start_holds_whatever_the_object_says_later() {
    let (kind, crd) = shipped("konflux");
    let life = Life::accepted(moment(1));
    let json = kind.status_json(&write(&kind, status::render(&life, &about(false))));
    let stored = raw(&pruned(&json, schema(&crd)));
    for spec in [
        json!({}),
        json!({"pipeline": {"pipelineRef": {"params": [
        {"name": "pathInRepo", "value": "pipelines/internal/push-to-mirror/push-to-mirror.yaml"}]}}}),
    ] {
        let spec = raw(&spec);
        let object = Parts {
            spec: Some(&spec),
            status: Some(&stored),
            labels: None,
        };
        let asked = kind.read(object).spec.unwrap();
        assert_eq!(
            (&*asked.service, asked.idempotency_key.as_deref()),
            ("sign", Some("k"))
        );
        let new = kind
            .read(Parts {
                status: None,
                ..object
            })
            .spec;
        assert!(new.is_err() || new.unwrap().service == "mirror");
    }
}

#[test]
fn one_that_waits_for_its_service_is_read_afresh_and_nothing_of_it_is_decided() {
    let (kind, crd) = shipped("konflux");
    let waits = About {
        effective: None,
        waiting_for: Some(Reason::ServiceMissing),
        ..about(false)
    };
    let rendered = status::render(&Life::accepted(moment(1)), &waits);
    let stored = raw(&pruned(
        &kind.status_json(&write(&kind, rendered)),
        schema(&crd),
    ));
    let spec = raw(&json!({"pipeline": {"pipelineRef": {"params": [
        {"name": "pathInRepo", "value": "pipelines/internal/push-to-mirror/push-to-mirror.yaml"}]}}}));
    let read = kind.read(Parts {
        spec: Some(&spec),
        status: Some(&stored),
        labels: None,
    });
    assert!(status::is_undecided(&read.status.unwrap()));
    assert_eq!(read.spec.unwrap().service, "mirror");
}

#[test]
fn a_rejected_object_stays_as_it_is() {
    let (kind, _) = shipped("konflux");
    let end = End::Rejected {
        reason: Reason::InvalidRequest,
        message: "no".into(),
    };
    let done = Done {
        end,
        at: moment(9),
        attempt: 1,
        by: None,
        written: false,
    };
    let life = Life {
        state: State::Done(done),
        ..Life::accepted(moment(1))
    };
    let mut told = write(&kind, status::render(&life, &About::default()));
    told.service = "".into();
    let stored = raw(&kind.status_json(&told));
    let read = kind.read(Parts {
        status: Some(&stored),
        ..Parts::default()
    });
    assert!(read.spec.is_err());
    assert!(status::has_ended(&read.status.unwrap()));
}

#[test]
fn the_state_is_short_whatever_it_tells() {
    let (kind, _) = shipped("myorg");
    let mut life = Life {
        worker: Some("w".into()),
        ..Life::accepted(moment(1))
    };
    life.state = State::Running {
        by: Holder {
            worker: "w".into(),
            incarnation: "1".into(),
        },
    };
    life.started = Some(moment(2));
    life.failed = 3;
    life.progress = Some(Progress {
        percent: 1,
        message: "\u{7}".repeat(20_000),
    });
    let json = kind.status_json(&write(&kind, status::render(&life, &about(false))));
    let state = json["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == STATE)
        .unwrap();
    assert!(state["message"].as_str().unwrap().len() <= STATE_MAX);
    let found = kind.status(Some(&raw(&json))).unwrap();
    assert_eq!((found.failed, found.progress.unwrap().percent), (3, 1));
}

#[test]
fn a_status_without_the_state_is_read_as_a_requests_and_a_garbled_state_too() {
    let (kind, _) = shipped("myorg");
    for state in [None, Some("{"), Some("7")] {
        let mut conditions =
            vec![json!({"type": "Succeeded", "status": "True", "reason": "Succeeded"})];
        conditions.extend(state.map(
            |text| json!({"type": STATE, "status": "True", "reason": "State", "message": text}),
        ));
        let stored = json!({"phase": "Succeeded", "result": {"a": 1}, "conditions": conditions});
        let found = kind.status(Some(&raw(&stored))).unwrap();
        assert!(status::has_ended(&found));
        assert_eq!(
            (found.conditions.len(), found.result.unwrap()["a"].clone()),
            (1, json!(1))
        );
    }
    assert!(kind.status(Some(&raw(&json!({"phase": "Odd"})))).is_none());
}
