//! Parameters with secrets: they go to the job that needs them, and nowhere else.

use anyhow::{Context as _, Result, bail, ensure};
use isc_proto::Ticket;
use isc_tests::{
    Process, Scene, Team,
    hostile::{Hostile, Identity},
    isc::set,
    net, scene, shown,
    team::reason,
    wait,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use lapin::{Connection, ConnectionProperties, message::BasicGetMessage, options::BasicGetOptions};
use serde_json::{Value, json};

/// In every secret parameter; nothing else has it.
const SECRET: &str = "s3cr3t-hunter2";

/// Accepts the export's claim to create Events in that team's workspace.
async fn accept_events(team: &Team) -> Result<()> {
    let gvk = GroupVersionKind::gvk("apis.kcp.io", "v1alpha2", "APIBinding");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "apibindings");
    let bindings: Api<DynamicObject> = Api::all_with(team.client.clone(), &resource);
    let patch = Patch::Merge(json!({"spec": {"permissionClaims": [{
        "group": "", "resource": "events", "verbs": ["create"],
        "state": "Accepted", "selector": {"matchAll": true},
    }]}}));
    let name = "internal.services";
    bindings
        .patch(name, &PatchParams::default(), &patch)
        .await?;
    wait::until("the claim is applied", wait::USUAL, async || {
        let binding = bindings.get(name).await?;
        let applied = binding.data["status"]["appliedPermissionClaims"].as_array();
        ensure!(applied.is_some_and(|claims| !claims.is_empty()), "not yet");
        Ok(())
    })
    .await
}

/// All Events of the namespace `default`, as text.
async fn events(team: &Team) -> Result<String> {
    let events: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(team.client.clone(), "default");
    let list = events.list(&ListParams::default()).await?;
    Ok(serde_json::to_string(&list.items)?)
}

fn secret_params(padding: usize) -> Value {
    json!({
        "token": SECRET,
        SECRET: {"deep": [SECRET, {"x": format!("Bearer {SECRET}")}]},
        "padding": "p".repeat(padding),
    })
}

/// A service of each way in which a request can end or wait.
fn services(scene: &Scene) -> Result<()> {
    scene.service("good", "grep -q hunter2 \"$ISC_PARAMS\"")?;
    scene.service("bad", "exit 3")?;
    scene.service("retried", "exit 75")?;
    scene.service("killed", "kill -9 $$")?;
    scene.service("junk", "printf '[1' > \"$ISC_RESULT\"")?;
    scene.service_with("slow", "sleep 60", "timeoutSeconds: 1")?;
    scene.service("quiet", "true")?;
    let keys = [
        "params.token + 1",
        "params.token < 1",
        "params",
        "params.none",
    ];
    for (number, key) in keys.iter().enumerate() {
        let key = format!("limits:\n  key: {{cel: \"{key}\"}}");
        scene.service_with(&format!("keyed-{number}"), "true", &key)?;
    }
    Ok(())
}

const ASKED: [(&str, &str); 10] = [
    ("good", "Succeeded"),
    ("bad", "JobFailed"),
    ("retried", "JobFailed"),
    ("killed", "JobKilled"),
    ("junk", "InvalidResult"),
    ("slow", "TimedOut"),
    ("keyed-0", "InvalidParams"),
    ("keyed-1", "InvalidParams"),
    ("keyed-2", "InvalidParams"),
    ("keyed-3", "InvalidParams"),
];

/// Fails when a text has a secret in it.
fn free_of_secrets(what: &str, text: &str) -> Result<()> {
    for word in [SECRET, "hunter2"] {
        if let Some(at) = text.find(word) {
            let from = text.floor_char_boundary(at.saturating_sub(200));
            let to = text.ceil_char_boundary((at + 100).min(text.len()));
            bail!("a secret is in {what}: {}", &text[from..to]);
        }
    }
    Ok(())
}

fn free_log(process: &Process) -> Result<()> {
    ensure!(process.log().contains("DEBUG"), "no log of all details");
    shown::log_is_clean(process)?;
    free_of_secrets(&format!("the log of {}", process.name()), &process.log())
}

#[test]
fn secret_parameters_are_in_no_log_event_metric_page_or_status() -> Result<()> {
    scene::run(async |scene| {
        services(scene)?;
        accept_events(&scene.team).await?;
        // Whatever the default level logs is in there too.
        let (mut watcher, mut worker) = (scene.watcher_config(), scene.worker_config("worker-1"));
        set(&mut watcher, "log.filter", "debug");
        set(&mut worker, "log.filter", "debug");
        let (mut watcher, mut worker) =
            (scene.start_watcher(watcher)?, scene.start_worker(worker)?);
        watcher.ready().await?;
        worker.ready().await?;
        // Small ones are kept in memory, larger ones are read again at the claim.
        for (size, padding) in [("small", 0), ("large", 8000)] {
            for (service, _) in ASKED {
                let name = format!("{service}-{size}");
                scene
                    .team
                    .ask(&name, service, secret_params(padding))
                    .await?;
            }
        }
        for (service, wanted) in ASKED {
            for size in ["small", "large"] {
                let name = format!("{service}-{size}");
                let status = scene.team.wait_end(&name).await?;
                assert_eq!(reason(&status), wanted, "{name}: {status}");
                free_of_secrets(&format!("the status of {name}"), &status.to_string())?;
            }
        }
        let told = wait::until("the ends are told as Events", wait::USUAL, async || {
            let events = events(&scene.team).await?;
            for (service, _) in ASKED {
                let name = format!("\"{service}-large\"");
                ensure!(events.contains(&name), "none of {name}");
            }
            Ok(events)
        })
        .await?;
        free_of_secrets("an Event", &told)?;
        for admin in [watcher.admin, worker.admin] {
            for page in ["/metrics", "/readyz", "/livez", "/", "/debug"] {
                let (_, body) = net::http("GET", admin, page, None).await?;
                free_of_secrets(page, &body)?;
            }
        }
        free_log(&watcher.process)?;
        free_log(&worker.process)
    })
}

/// Waits for a ticket of a service, and takes it out of its queue.
async fn ticket(scene: &Scene, service: &str) -> Result<BasicGetMessage> {
    let connection = Connection::connect(&scene.amqp, ConnectionProperties::default()).await?;
    let queue = format!("isc.requests.{service}");
    wait::until("there is a ticket", wait::USUAL, async || {
        // One for each try: a broker ends the channel that asks for a queue not yet declared.
        let channel = connection.create_channel().await?;
        let got = channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
        got.await?.context("the queue is empty")
    })
    .await
}

#[test]
fn a_ticket_has_no_parameters_and_is_worth_none() -> Result<()> {
    scene::run(async |scene| {
        services(scene)?;
        let _watcher = scene.watcher().await?;
        // Somebody has to be there, for a ticket to be offered.
        let _idle = Hostile::greet(scene.grpc, &Identity::new("idle", &["quiet"])).await?;
        let spec = json!({"params": secret_params(0), "idempotencyKey": SECRET});
        let uid = scene.team.ask_with("quiet", "quiet", &spec).await?;
        let message = ticket(scene, "quiet").await?;
        let body = String::from_utf8(message.delivery.data.clone())?;
        free_of_secrets("a ticket", &body)?;
        free_of_secrets("a ticket", &format!("{:?}", message.delivery.properties))?;
        assert_eq!(Ticket::from_bytes(body.as_bytes())?.uid, uid);
        let fields: serde_json::Map<String, Value> = serde_json::from_str(&body)?;
        let known = [
            "version", "instance", "uid", "attempt", "service", "kind", "address",
        ];
        for field in fields.keys() {
            assert!(known.contains(&field.as_str()), "{field} in {body}");
        }
        // Whoever has it and says nothing of the service gets nothing for it.
        let mut thief = Hostile::greet(scene.grpc, &Identity::new("thief", &["echo"])).await?;
        let answer = thief.claim(&uid, 1, "quiet").await?;
        let text = format!("{answer:?}");
        assert!(text.contains("not_your_service"), "{text}");
        free_of_secrets("a refusal", &text)
    })
}
