//! Objects to observations.

use std::sync::Arc;

use isc_core::{
    api::RequestSpec,
    engine::{Observation, Params},
    ids::{Address, Uid},
};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

/// The annotation with the logical cluster of an object.
const CLUSTER: &str = "kcp.io/cluster";
/// Larger parameters are not kept in memory but read again when claimed, bytes.
const INLINE_MAX: usize = 4096;

/// The kind that is watched.
pub(super) fn resource() -> ApiResource {
    use isc_core::api::{GROUP, KIND, PLURAL, VERSION};
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), PLURAL)
}

/// What the engine needs of an object; none when it lacks what every served object has.
pub(super) fn observe(mut object: DynamicObject, endpoint: &Arc<str>) -> Option<Observation> {
    let metadata = object.metadata;
    let address = Address {
        endpoint: endpoint.clone(),
        cluster: metadata.annotations?.get(CLUSTER)?.as_str().into(),
        namespace: metadata.namespace?.into(),
        name: metadata.name?.into(),
    };
    let mut spec = object
        .data
        .get_mut("spec")
        .map(Value::take)
        .unwrap_or_default();
    let params = spec.as_object_mut().and_then(|spec| spec.remove("params"));
    let status = object.data.get_mut("status").map(Value::take);
    Some(Observation {
        uid: Uid(metadata.uid?.into()),
        address,
        resource_version: metadata.resource_version?,
        generation: metadata.generation,
        spec: serde_json::from_value::<RequestSpec>(spec).map_err(|error| error.to_string()),
        created: metadata.creation_timestamp.map(|created| created.0),
        digest: None,
        flow_key: Ok(None),
        params: params_of(params.as_ref()),
        status: status.and_then(|status| serde_json::from_value(status).ok()),
    })
}

fn params_of(params: Option<&Value>) -> Params {
    let text = params_text(params);
    if text.len() > INLINE_MAX {
        Params::Large(text.len())
    } else {
        Params::Inline(text.into())
    }
}

/// The parameters as JSON text; none are an empty object.
pub(super) fn params_text(params: Option<&Value>) -> String {
    params
        .filter(|params| !params.is_null())
        .map_or_else(|| "{}".into(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn observed(change: impl FnOnce(&mut Value)) -> Option<Observation> {
        let mut value = json!({
            "apiVersion": "internal.services/v1alpha1", "kind": "Request",
            "metadata": {
                "name": "a", "namespace": "default", "uid": "u", "resourceVersion": "7", "generation": 1,
                "annotations": {"kcp.io/cluster": "1abc"},
            },
            "spec": {"service": "sign", "params": {"digest": null}},
        });
        change(&mut value);
        observe(
            serde_json::from_value(value).unwrap(),
            &"https://kcp/x".into(),
        )
    }

    #[test]
    fn an_object_becomes_an_observation_with_its_workspace() {
        let seen = observed(|_| ()).unwrap();
        assert_eq!(seen.address.to_string(), "1abc/default/a");
        assert_eq!(seen.spec.unwrap().service, "sign");
        assert_eq!(seen.params, Params::Inline(r#"{"digest":null}"#.into()));
        assert_eq!(seen.status, None);
    }

    #[test]
    fn large_parameters_are_not_kept() {
        let seen = observed(|object| object["spec"]["params"] = json!({"text": "x".repeat(5000)}))
            .unwrap();
        assert_eq!(seen.params, Params::Large(5011));
    }

    #[test]
    fn a_spec_that_cannot_be_read_is_told_and_a_foreign_status_is_none() {
        let seen = observed(|object| object["spec"] = json!({"service": 7})).unwrap();
        assert!(seen.spec.unwrap_err().contains("string"));
        let seen = observed(|object| object["status"] = json!({"phase": "Odd"})).unwrap();
        assert_eq!(seen.status, None);
    }

    #[test]
    fn an_object_without_a_workspace_is_none_of_ours() {
        assert!(observed(|object| object["metadata"]["annotations"] = json!({})).is_none());
    }
}
