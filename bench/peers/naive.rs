//! The controller that one writes first: its one reconcile sets the status to Running, does the job in its own
//! process and sets the status to Succeeded. Kube's own controller runtime, all defaults, 32 reconciles at a time.
//!
//! It loses every job that is under way when it ends, runs on one machine alone, and confuses requests of the
//! same name in two workspaces.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
    core::GroupVersionKind,
    runtime::{
        Controller,
        controller::{self, Action},
        watcher,
    },
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Where kcp says which workspace an object is of.
const CLUSTER: &str = "kcp.io/cluster";

#[derive(clap::Parser)]
struct Args {
    /// A kubeconfig with the controller's user.
    #[arg(long)]
    kubeconfig: std::path::PathBuf,
    /// The endpoint of the export's virtual workspace.
    #[arg(long)]
    endpoint: String,
    /// A program that is run for each request. Default: nothing is done.
    #[arg(long)]
    program: Option<String>,
}

struct Context {
    config: Config,
    endpoint: String,
    program: Option<String>,
    /// One for each workspace.
    clients: Mutex<HashMap<String, Client>>,
}

#[derive(Debug)]
struct Failed(anyhow::Error);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args: Args = clap::Parser::parse();
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let context = Context {
        config,
        endpoint: args.endpoint,
        program: args.program,
        clients: Mutex::default(),
    };
    let everywhere = wildcard(context.client_of("")?);
    let api: Api<DynamicObject> = Api::all_with(everywhere, &requests());
    Controller::new_with(api, watcher::Config::default(), requests())
        .with_config(controller::Config::default().concurrency(32))
        .graceful_shutdown_on(async {
            let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            term.expect("signals can be received").recv().await;
        })
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_secs(1)),
            Arc::new(context),
        )
        .for_each(|_done| std::future::ready(()))
        .await;
    Ok(())
}

async fn reconcile(request: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Failed> {
    if request.data["status"]["phase"].is_null() {
        context.serve(&request).await.map_err(Failed)?;
    }
    Ok(Action::await_change())
}

// === impl Context ===

impl Context {
    async fn serve(&self, request: &DynamicObject) -> Result<()> {
        let meta = &request.metadata;
        let annotations = meta.annotations.as_ref().context("no annotations")?;
        let cluster = annotations.get(CLUSTER).context("no workspace")?;
        let (name, namespace) = (meta.name.as_deref(), meta.namespace.as_deref());
        let (name, namespace) = (name.context("no name")?, namespace.context("no namespace")?);
        let client = self.client(cluster).await?;
        let api = Api::namespaced_with(client, namespace, &requests());
        set(&api, name, &status("Running", "False")).await?;
        if let Some(program) = &self.program {
            tokio::process::Command::new(program).status().await?;
        }
        set(&api, name, &status("Succeeded", "True")).await?;
        println!("end {name}");
        Ok(())
    }

    async fn client(&self, cluster: &str) -> Result<Client> {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(cluster) {
            return Ok(client.clone());
        }
        let client = self.client_of(&format!("/clusters/{cluster}"))?;
        clients.insert(cluster.to_owned(), client.clone());
        Ok(client)
    }

    fn client_of(&self, path: &str) -> Result<Client> {
        let mut config = self.config.clone();
        config.cluster_url = format!("{}{path}", self.endpoint).parse()?;
        Ok(Client::try_from(config)?)
    }
}

async fn set(api: &Api<DynamicObject>, name: &str, status: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

fn status(phase: &str, finished: &str) -> Value {
    let condition = |r#type: &str, status: &str| {
        json!({
            "type": r#type,
            "status": status,
            "reason": phase,
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let succeeded = if finished == "True" {
        "True"
    } else {
        "Unknown"
    };
    json!({
        "phase": phase,
        "conditions": [condition("Succeeded", succeeded), condition("Finished", finished)],
    })
}

fn requests() -> ApiResource {
    let gvk = GroupVersionKind::gvk("internal.services", "v1alpha1", "Request");
    ApiResource::from_gvk_with_plural(&gvk, "requests")
}

/// A client of all workspaces at once; kcp's path for that cannot be a client's base.
fn wildcard(endpoint: Client) -> Client {
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let endpoint = endpoint.clone();
        async move {
            let path = request.uri().path_and_query();
            let path = path.map_or("/", http::uri::PathAndQuery::as_str);
            *request.uri_mut() = format!("/clusters/*{path}").parse()?;
            endpoint.send(request).await.map_err(tower::BoxError::from)
        }
    });
    Client::new(service, "default")
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Failed {}
