//! Konflux's `InternalRequest`, as its callers make and read it.

use isc_core::{
    api::{Condition, ExecutorRef, OnConflict, Phase},
    status::{FINISHED, SUCCEEDED},
};
use serde_json::json;

use super::*;
use crate::kinds::konflux::{PIPELINE, PIPELINE_RUN};

fn pipeline(path: &str) -> Value {
    json!({
        "pipeline": {"pipelineRef": {"resolver": "git", "params": [
            {"name": "url", "value": "https://evil.example/catalog.git"},
            {"name": "revision", "value": "main"},
            {"name": "pathInRepo", "value": path},
        ]}},
        "params": {"advisory": "{\"a\": 1}", "taskGitUrl": "https://evil.example"},
        "timeouts": {"pipeline": "0h20m0s", "tasks": "0h15m0s", "finally": "0h5m0s"},
        "serviceAccount": "admin",
    })
}

fn profile(more: &str) -> Arc<Kind> {
    let kinds = kinds(&format!(
        "kinds:\n- {{profile: konflux-internal-request{more}}}"
    ))
    .unwrap();
    kinds
        .get("internalrequests.appstudio.redhat.com")
        .unwrap()
        .clone()
}

#[test]
fn an_object_of_a_caller_asks_for_the_service_of_its_pipeline() {
    let (kind, _) = shipped("konflux");
    let spec = pipeline("pipelines/internal/create-advisory/create-advisory.yaml");
    let labels = json!({PIPELINE_RUN: "123-456", PIPELINE: "create-advisory", "other": "x"});
    let (asked, params) = read(&kind, &spec, &labels).unwrap();
    let wanted = RequestSpec {
        service: "advisory".into(),
        idempotency_key: Some("123-456/create-advisory".into()),
        on_conflict: Some(OnConflict::Replace),
        timeout_seconds: Some(1200),
        ..RequestSpec::default()
    };
    assert_eq!(asked, wanted);
    assert_eq!(params, spec["params"]);
    let raw = raw(&spec);
    let object = Parts {
        spec: Some(&raw),
        ..Parts::default()
    };
    assert!(
        kind.read(object)
            .ignored
            .unwrap()
            .contains("spec.serviceAccount is ignored")
    );
    let without = read(&kind, &spec, &json!({PIPELINE_RUN: "123-456"}))
        .unwrap()
        .0;
    assert_eq!(without.idempotency_key, None, "a key needs both labels");
}

#[test]
fn the_pipelines_name_comes_from_the_path_and_else_from_the_label() {
    let kind = profile("");
    let service =
        |path: &str, labels: Value| read(&kind, &pipeline(path), &labels).map(|(s, _)| s.service);
    let good = "pipelines/internal/sign/sign.yaml";
    assert_eq!(service(good, json!({})).unwrap(), "sign");
    assert_eq!(service(good, json!({PIPELINE: "other"})).unwrap(), "sign");
    for path in [
        "pipelines/internal/sign/other.yaml",
        "pipelines/internal/sign.yaml",
        "pipelines/managed/sign/sign.yaml",
        "../pipelines/internal/sign/sign.yaml",
        "pipelines/internal//.yaml",
        "pipelines/internal/a/b/a/b.yaml",
        "",
    ] {
        assert_eq!(
            service(path, json!({PIPELINE: "labelled"})).unwrap(),
            "labelled",
            "{path}"
        );
        let error = service(path, json!({})).unwrap_err();
        assert!(
            error.contains("pathInRepo") && error.contains(PIPELINE),
            "{path}: {error}"
        );
    }
    let error = service("pipelines/internal/Sign/Sign.yaml", json!({})).unwrap_err();
    assert!(error.contains("the pipeline's name is \"Sign\""), "{error}");
    let (mapped, _) = shipped("konflux");
    let error = read(&mapped, &pipeline(good), &json!({})).unwrap_err();
    assert!(
        error.contains("\"sign\", and nothing of that name is served here"),
        "{error}"
    );
    let fixed = profile(", service: all");
    assert_eq!(
        read(&fixed, &pipeline(""), &json!({})).unwrap().0.service,
        "all"
    );
}

#[test]
fn what_cannot_be_read_names_its_field() {
    let kind = profile("");
    let good = pipeline("pipelines/internal/sign/sign.yaml");
    for (pointer, value, says) in [
        (
            "/timeouts/pipeline",
            json!("1 hour"),
            "spec.timeouts.pipeline must be a duration",
        ),
        (
            "/timeouts/pipeline",
            json!("-1h"),
            "spec.timeouts.pipeline must be a duration",
        ),
        (
            "/timeouts/pipeline",
            json!(5),
            "spec.timeouts.pipeline must be a string",
        ),
        ("/params", json!("text"), "spec.params must be an object"),
        (
            "/pipeline/pipelineRef/params",
            json!([{"name": "a"}]),
            "spec.pipeline.pipelineRef.params must be a list",
        ),
    ] {
        let mut spec = good.clone();
        *spec.pointer_mut(pointer).unwrap() = value;
        let error = read(&kind, &spec, &json!({})).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    let timeout = |text: &str| {
        let mut spec = good.clone();
        spec["timeouts"]["pipeline"] = json!(text);
        read(&kind, &spec, &json!({}))
            .unwrap()
            .0
            .timeout_seconds
            .unwrap()
    };
    assert_eq!(timeout("1.5h"), 5400);
    assert_eq!(
        timeout("0"),
        31_536_000,
        "as in Tekton, no limit: what the service allows"
    );
    assert_eq!(timeout("1000000h"), 31_536_000);
}

fn condition(kind: &str, status: &str, reason: &str) -> Condition {
    Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: String::new(),
        last_transition_time: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        observed_generation: Some(1),
    }
}

/// The first word that a caller reads.
fn first(status: &Value) -> (&str, &str, &str) {
    let first = &status["conditions"][0];
    let word = |key: &str| first[key].as_str().unwrap();
    (word("type"), word("status"), word("reason"))
}

#[test]
fn callers_read_running_until_the_end_and_then_how_it_ended() {
    let (kind, _) = shipped("konflux");
    let mut status = RequestStatus {
        phase: Some(Phase::Queued),
        ..RequestStatus::default()
    };
    for reason in ["Queued", "NoWorkers", "Running", "Cancelling", "Backoff"] {
        status.conditions = vec![condition(SUCCEEDED, "Unknown", reason)];
        let value = kind.status_json(&write(&kind, status.clone()));
        assert_eq!(first(&value), ("Succeeded", "False", "Running"), "{reason}");
        assert_eq!(
            value["conditions"][0]["message"], "",
            "the schema wants one"
        );
    }
    for (word, reason) in [
        ("True", "Succeeded"),
        ("False", "JobFailed"),
        ("False", "InvalidRequest"),
    ] {
        status.conditions = vec![
            condition(SUCCEEDED, word, reason),
            condition(FINISHED, "True", reason),
        ];
        let value = kind.status_json(&write(&kind, status.clone()));
        assert_eq!(first(&value), ("Succeeded", word, reason));
    }
}

#[test]
fn results_are_strings_and_a_pipeline_run_is_named() {
    let (kind, _) = shipped("konflux");
    let result = json!({"text": "a\nb", "number": 1.5, "none": null, "deep": {"b": [1, "x"]}});
    let executor = |kind: &str, name: &str| {
        Some(ExecutorRef {
            kind: kind.into(),
            name: name.into(),
        })
    };
    let status = RequestStatus {
        phase: Some(Phase::Succeeded),
        conditions: vec![condition(SUCCEEDED, "True", "Succeeded")],
        result: result.as_object().cloned(),
        executor: executor("PipelineRun", "internal/sign-1"),
        ..RequestStatus::default()
    };
    let value = kind.status_json(&write(&kind, status.clone()));
    let wanted =
        json!({"text": "a\nb", "number": "1.5", "none": "null", "deep": "{\"b\":[1,\"x\"]}"});
    assert_eq!(value["results"], wanted);
    assert_eq!(value["pipelineRun"], "internal/sign-1");
    for other in [
        executor("Job", "a/b"),
        executor("PipelineRun", "a"),
        executor("PipelineRun", "a/b.c"),
        None,
    ] {
        let status = RequestStatus {
            executor: other.clone(),
            ..status.clone()
        };
        let value = kind.status_json(&write(&kind, status));
        assert!(
            value.get("pipelineRun").is_none(),
            "{other:?} breaks the schema"
        );
    }
}

#[test]
fn what_the_controller_before_wrote_is_understood() {
    let kind = profile("");
    let phase = |status: Value| {
        kind.status(Some(&raw(&status)))
            .and_then(|status| status.phase)
    };
    let of = |reason: &str| {
        json!({"startTime": "2026-01-02T03:04:05Z", "conditions": [
        {"type": "Succeeded", "status": "False", "reason": reason, "message": "",
         "lastTransitionTime": "2026-01-02T03:04:05Z"}]})
    };
    for (reason, wanted) in [
        ("Running", Some(Phase::Running)),
        ("Succeeded", Some(Phase::Succeeded)),
        ("Failed", Some(Phase::Failed)),
        ("Rejected", Some(Phase::Rejected)),
    ] {
        assert_eq!(phase(of(reason)), wanted, "{reason}");
    }
    assert_eq!(phase(json!({})), None);
    assert_eq!(phase(json!({"conditions": []})), None);
}
