//! What `isc-dev up` leaves for a person: example requests and the commands to try.

use std::path::Path;

use anyhow::Result;
use isc_tests::{
    Who,
    environment::{base64, repository},
};
use serde_json::json;

use crate::stack::openssl;

/// Writes one manifest per example into the folder.
pub(crate) fn write_examples(dir: &Path) -> Result<()> {
    let file = repository().join("Cargo.toml");
    let digest = openssl(&["dgst", "-sha256", "-r", &file.display().to_string()])?;
    let digest = digest.split(' ').next().unwrap_or_default();
    let content = base64(&std::fs::read(&file)?);
    let examples = [
        ("sign", json!({"digest": format!("sha256:{digest}")})),
        ("publish", json!({"name": "Cargo.toml", "content": content})),
    ];
    for (service, params) in examples {
        let request = json!({
            "apiVersion": "internal.services/v1alpha1",
            "kind": "Request",
            "metadata": {"name": format!("{service}-1")},
            "spec": {"service": service, "requester": Who::Alice.name(), "params": params},
        });
        let text = serde_json::to_string_pretty(&request)?;
        std::fs::write(dir.join(format!("{service}.json")), text + "\n")?;
    }
    Ok(())
}

/// The commands to try.
pub(crate) fn text(dir: &Path) -> Result<String> {
    let dir = dir
        .strip_prefix(std::env::current_dir()?)
        .unwrap_or(dir)
        .display()
        .to_string();
    Ok(format!(
        "alice is admin of the workspace root:isc:team-a, bob of root:isc:team-b. To try:

  export KUBECONFIG={dir}/alice.kubeconfig
  kubectl create -f {dir}/sign.json -f {dir}/publish.json
  kubectl get requests --watch
  kubectl wait --for=condition=Finished --timeout=60s request/sign-1 request/publish-1
  kubectl get request sign-1 -o jsonpath='{{.status.result}}'
  kubectl delete requests --all

  make status    what runs, its memory, where its logs are
  make down      ends everything and removes {dir}
"
    ))
}
