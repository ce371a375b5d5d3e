//! Putting the shipped manifests into a workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, PostParams},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use serde_json::Value;

use crate::{environment::repository, wait};

/// The workspace that the shipped manifests name; replaced by the real one.
const PLACEHOLDER: &str = "root:org:provider";
/// The one manifest of the folder that belongs into the teams' workspaces.
const BINDING: &str = "apibinding.yaml";

/// The shipped manifests of the provider's workspace at `path`, in the order of their files' names.
///
/// # Errors
/// When a file cannot be read or is not YAML.
pub fn provider(path: &str) -> Result<Vec<Value>> {
    let folder = folder();
    let listing = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}; run `make gen`", folder.display()))?;
    let mut files = listing
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml") && !f.ends_with(BINDING));
    files.sort();
    let documents = files
        .iter()
        .map(|file| documents(file, path))
        .collect::<Result<Vec<_>>>()?;
    Ok(documents.concat())
}

/// The shipped binding to the export of the provider's workspace at `path`.
///
/// # Errors
/// When the file cannot be read or is not YAML.
pub fn binding(path: &str) -> Result<Vec<Value>> {
    documents(&folder().join(BINDING), path)
}

/// A file of a shipped kind, `deploy/kinds/<kind>/<file>`, for the provider's workspace at `path`.
///
/// # Errors
/// When the file cannot be read or is not YAML.
pub fn of_kind(kind: &str, file: &str, path: &str) -> Result<Vec<Value>> {
    let folder = repository().join("deploy/kinds").join(kind);
    documents(&folder.join(file), path)
}

/// A shipped file below `deploy`, such as `crd/requests.yaml`.
///
/// # Errors
/// When it cannot be read or is not YAML.
pub fn shipped(file: &str) -> Result<Vec<Value>> {
    documents(&repository().join("deploy").join(file), PLACEHOLDER)
}

/// Makes the objects, in order; one that is there already is left alone.
///
/// # Errors
/// When the server still refuses one after a minute: right after a workspace or an export was made, it
/// refuses for a while.
pub async fn create_all(client: &Client, documents: Vec<Value>) -> Result<()> {
    for document in documents {
        let object: DynamicObject = serde_json::from_value(document)?;
        let kind = object.types.clone().context("a manifest without a kind")?;
        let what = format!("{} {} is made", kind.kind, object.name_any());
        let gvk = GroupVersionKind::try_from(&kind)?;
        wait::until(&what, wait::USUAL, async || {
            create(client, &gvk, &object).await
        })
        .await?;
    }
    Ok(())
}

async fn create(client: &Client, gvk: &GroupVersionKind, object: &DynamicObject) -> Result<()> {
    let (resource, capabilities) = pinned_kind(client, gvk).await?;
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (Scope::Namespaced, Some(ns)) => Api::namespaced_with(client.clone(), &ns, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
    };
    match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => Ok(other.map(|_created| ())?),
    }
}

fn folder() -> PathBuf {
    repository().join("deploy/kcp")
}

fn documents(file: &Path, path: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}; run `make gen`", file.display()))?;
    let text = text.replace(PLACEHOLDER, path);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .with_context(|| format!("{} is not YAML", file.display()))?;
    Ok(documents.into_iter().filter(|d| !d.is_null()).collect())
}
