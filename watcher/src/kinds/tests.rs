//! What objects of configured kinds become, and what their statuses tell whoever reads them.

mod configuration;
mod konflux;
mod mapping;
mod statuses;

use std::sync::Arc;

use isc_core::{
    api::RequestStatus,
    engine::Write,
    ids::{Address, Uid},
    writes::Urgency,
};
use serde_json::{Value, value::RawValue};

use super::*;
use crate::config::WatcherConfig;

/// The kinds of a `kinds` section.
fn kinds(yaml: &str) -> Result<Kinds, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("servicesDir: s\n{yaml}")).unwrap();
    let config: Result<WatcherConfig, _> = isc_runtime::config::load_from(Some(file.path()), []);
    let config = config.map_err(|error| error.to_string())?;
    Kinds::new(&config.kinds).map_err(|error| error.to_string())
}

/// A shipped example and the manifest of its type.
fn shipped(name: &str) -> (Arc<Kind>, Value) {
    let read = |file: &str| {
        let path = format!(
            "{}/../deploy/kinds/{name}/{file}",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(path).unwrap()
    };
    let kinds = kinds(&read("watcher.yaml")).unwrap();
    let builtin = Kind::request().id;
    let mut served = kinds.iter().filter(|kind| kind.id != builtin);
    let kind = served.next().unwrap().clone();
    (kind, serde_saphyr::from_str(&read("crd.yaml")).unwrap())
}

/// The JSON text of a value, as a part of an object.
fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn read(kind: &Kind, spec: &Value, labels: &Value) -> Result<(RequestSpec, Value), String> {
    let (spec, labels) = (raw(spec), raw(labels));
    let object = Parts {
        spec: Some(&spec),
        labels: Some(&labels),
        status: None,
    };
    let read = kind.read(object);
    let params = serde_json::from_str(&read.params).unwrap();
    if read.spec.is_ok() {
        assert_eq!(kind.params(object).as_deref(), Some(&*read.params));
    }
    Ok((read.spec?, params))
}

fn write(kind: &Kind, status: RequestStatus) -> Write {
    Write {
        uid: Uid::new("u"),
        address: Address {
            endpoint: "https://kcp".into(),
            kind: kind.id().clone(),
            cluster: "1abc".into(),
            namespace: "default".into(),
            name: "a".into(),
        },
        resource_version: "7".into(),
        status,
        service: "sign".into(),
        idempotency_key: Some("k".into()),
        urgency: Urgency::Live,
        news: false,
        trace: None,
        queued: isc_core::life::Moment::told(jiff::Timestamp::UNIX_EPOCH),
    }
}
