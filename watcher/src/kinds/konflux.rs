//! Konflux's `InternalRequest`: the pipeline that it names becomes a service, and its callers read the status
//! that they know.
//!
//! Of the pipeline's reference only the name counts: nothing is fetched from its URL and revision, and no
//! service account is taken from the caller.

use std::borrow::Cow;

use isc_core::{
    api::{Condition, OnConflict, Phase, RequestSpec, RequestStatus},
    engine::Write,
    status::SUCCEEDED,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Asked, NO_PARAMS, Parts, duration,
    key::KeyParts,
    pointer::{CLOCK_MAX, Pointer, Spec, in_seconds},
    request::params_text,
    service::{Names, Service, labels},
    state::{self, Told},
    status::condition,
};

/// The label with the name of the pipeline.
pub(super) const PIPELINE: &str = "internal-services.appstudio.openshift.io/pipeline-name";
/// The label with the UID of the caller's own pipeline run.
pub(super) const PIPELINE_RUN: &str = "internal-services.appstudio.openshift.io/pipelinerun-uid";
/// What callers read as long as there is no end.
const RUNNING: &str = "Running";
const IGNORED: &str =
    "spec.serviceAccount is ignored: what runs a service, and as whom, is decided here";

/// What of it is configured.
#[derive(Clone, Debug)]
pub(super) struct Konflux {
    /// A fixed service, or by the pipeline's name.
    pub(super) service: PipelineService,
    pub(super) key: KeyParts,
    pub(super) on_conflict: OnConflict,
}

/// The service of a pipeline.
#[derive(Clone, Debug)]
pub(super) enum PipelineService {
    Fixed(Service),
    Named(Names),
}

#[derive(Deserialize)]
struct Param {
    name: String,
    value: String,
}

// === impl Konflux ===

impl Konflux {
    pub(super) fn asked<'a>(&self, object: Parts<'a>) -> Asked<'a> {
        let (spec, params) = match params(object.spec) {
            Ok(params) => (self.spec(object), params),
            Err(why) => (Err(why), NO_PARAMS),
        };
        let account = at("/spec/serviceAccount").find(object.spec);
        Asked {
            spec,
            params,
            ignored: account.map(|_account| IGNORED),
        }
    }

    pub(super) fn compares_params(&self) -> bool {
        self.on_conflict != OnConflict::Replace
    }

    fn spec(&self, object: Parts<'_>) -> Result<RequestSpec, String> {
        let service = match &self.service {
            PipelineService::Fixed(service) => service.of(object)?,
            PipelineService::Named(names) => {
                names.service(&pipeline(object)?, "the pipeline's name")?
            }
        };
        Ok(RequestSpec {
            service,
            idempotency_key: self.key.of(object)?,
            on_conflict: Some(self.on_conflict),
            timeout_seconds: timeout(object.spec)?,
            ..RequestSpec::default()
        })
    }
}

/// The parameters: a map of strings.
///
/// # Errors
/// That they are no object.
pub(super) fn params(spec: Spec<'_>) -> Result<Cow<'_, str>, String> {
    let text = params_text(at("/spec/params").find(spec));
    if text.starts_with('{') {
        Ok(text)
    } else {
        Err("spec.params must be an object".into())
    }
}

/// The name of the pipeline: from its path where that has the known form, else from the label.
fn pipeline(object: Parts<'_>) -> Result<String, String> {
    let params = at("/spec/pipeline/pipelineRef/params").find(object.spec);
    let params: Vec<Param> = match params.map(|raw| serde_json::from_str(raw.get())) {
        None => vec![],
        Some(read) => read.map_err(|_kind| {
            "spec.pipeline.pipelineRef.params must be a list of {name, value}, both strings"
        })?,
    };
    let path = params.into_iter().find(|param| param.name == "pathInRepo");
    let from_path = path.as_ref().and_then(|path| name_in(&path.value));
    let from_label = || {
        labels(object.labels)
            .remove(PIPELINE)
            .filter(|name| !name.is_empty())
    };
    from_path
        .map(str::to_owned)
        .or_else(from_label)
        .ok_or_else(|| {
            format!(
                "spec.pipeline.pipelineRef.params needs pathInRepo \
             pipelines/internal/<pipeline>/<pipeline>.yaml, or the object the label {PIPELINE}"
            )
        })
}

/// The pipeline of `pipelines/internal/<pipeline>/<pipeline>.yaml`.
fn name_in(path: &str) -> Option<&str> {
    let (folder, file) = path.strip_prefix("pipelines/internal/")?.split_once('/')?;
    let name = file.strip_suffix(".yaml")?;
    (name == folder && !name.is_empty()).then_some(name)
}

/// `timeouts.pipeline` is the time of one attempt. As in Tekton, 0 is no limit: all that the service allows.
fn timeout(spec: Spec<'_>) -> Result<Option<u32>, String> {
    let pointer = at("/spec/timeouts/pipeline");
    let Some(text) = pointer.text(spec)? else {
        return Ok(None);
    };
    let time = duration::parse(&text).map_err(|why| format!("{} {why}", pointer.field()))?;
    Ok(match in_seconds(time) {
        Some(1..CLOCK_MAX) => in_seconds(time),
        _ => Some(CLOCK_MAX),
    })
}

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).expect("it is written here")
}

/// The status that callers know, and the condition that outlives pruning.
pub(super) fn status(write: &Write) -> Value {
    let status = &write.status;
    let mut conditions: Vec<Value> = status.conditions.iter().map(condition).collect();
    if let (Some(first), Some(known)) = (conditions.first_mut(), status.conditions.first()) {
        let live = known.status == "Unknown";
        first["status"] = json!(if known.status == "True" {
            "True"
        } else {
            "False"
        });
        if live {
            first["reason"] = json!(RUNNING);
        }
    }
    conditions.push(condition(&state::condition(write)));
    let mut value = json!({ "conditions": conditions });
    let mut set = |key: &str, part: Option<Value>| {
        if let Some(part) = part {
            value[key] = part;
        }
    };
    set("startTime", status.start_time.map(|time| json!(time)));
    set(
        "completionTime",
        status.completion_time.map(|time| json!(time)),
    );
    set("pipelineRun", pipeline_run(status).map(Value::from));
    set("results", status.result.as_ref().map(results));
    value
}

/// What ran, when that is a pipeline run; the schema knows no other form.
fn pipeline_run(status: &RequestStatus) -> Option<&str> {
    let executor = status.executor.as_ref()?;
    let part = |name: &str| {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty()
            && name.chars().all(known)
            && !name.starts_with('-')
            && !name.ends_with('-')
    };
    let (namespace, name) = executor.name.split_once('/')?;
    (executor.kind == "PipelineRun" && part(namespace) && part(name)).then_some(&*executor.name)
}

/// Callers know strings: what is none is its JSON text.
fn results(result: &Map<String, Value>) -> Value {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let texts = result
        .iter()
        .map(|(name, value)| (name.clone(), json!(text(value))));
    Value::Object(texts.collect())
}

/// What such a status tells. One without our condition is of the controller before.
pub(super) fn told(value: &Value) -> Option<Told> {
    let mut told = state::told(value).or_else(|| foreign(value))?;
    told.status.result = value["results"].as_object().cloned();
    Some(told)
}

fn foreign(value: &Value) -> Option<Told> {
    let first = value["conditions"].get(0)?;
    let word = first["reason"]
        .as_str()
        .filter(|reason| !reason.is_empty())?;
    let phase = match word {
        RUNNING => Phase::Running,
        "Succeeded" => Phase::Succeeded,
        "Rejected" => Phase::Rejected,
        _ => Phase::Failed,
    };
    let time = |key: &str| serde_json::from_value(value[key].clone()).ok();
    let told = Condition {
        kind: SUCCEEDED.into(),
        status: first["status"].as_str().unwrap_or("Unknown").into(),
        reason: word.into(),
        message: first["message"].as_str().unwrap_or_default().into(),
        last_transition_time: None,
        observed_generation: None,
    };
    Some(Told {
        status: RequestStatus {
            phase: Some(phase),
            conditions: vec![told],
            start_time: time("startTime"),
            completion_time: time("completionTime"),
            ..RequestStatus::default()
        },
        decided: None,
    })
}
