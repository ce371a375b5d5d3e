//! KEDA's side of the external scaler, as a real gRPC client: what it is told while work comes and goes.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use isc_proto::externalscaler::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use isc_tests::{
    Scene, Watcher,
    isc::{self, set},
    net, scene, wait,
    work::{ends, kill, make, open_gate, prepare, started, worker},
};
use serde_json::json;
use tonic::{Code, transport::Channel};

/// Slots of each worker.
const SLOTS: usize = 4;

struct Keda(ExternalScalerClient<Channel>);

fn of(services: &str) -> ScaledObjectRef {
    let metadata = [("services", services), ("slotsPerWorker", "4")];
    ScaledObjectRef {
        name: "workers".into(),
        namespace: "isc".into(),
        scaler_metadata: metadata
            .map(|(key, value)| (key.into(), value.into()))
            .into(),
    }
}

impl Keda {
    async fn connect(at: SocketAddr) -> Result<Self> {
        let channel = Channel::from_shared(format!("http://{at}"))?
            .connect()
            .await?;
        Ok(Self(ExternalScalerClient::new(channel)))
    }

    /// The slots that it is told to have.
    async fn slots(&self, services: &str) -> Result<i64> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(of(services)),
            metric_name: "isc-slots".into(),
        };
        let answer = self.0.clone().get_metrics(request).await?.into_inner();
        let value = answer.metric_values.first().context("there is no value")?;
        let (whole, float) = (value.metric_value, value.metric_value_float);
        let same = (f64::from(i32::try_from(whole)?) - float).abs() < 0.1;
        ensure!(same, "{whole} and {float}");
        Ok(whole)
    }

    async fn is_told(&self, services: &str, slots: i64) -> Result<()> {
        let what = format!("{services} is to have {slots} slots");
        wait::until(&what, wait::USUAL, async || {
            let told = self.slots(services).await?;
            ensure!(told == slots, "it is {told}");
            Ok(())
        })
        .await
    }
}

async fn start(scene: &Scene) -> Result<(Watcher, SocketAddr)> {
    let listen = net::free_address()?;
    let mut config = scene.watcher_config();
    isc::shorten_lease(&mut config);
    set(&mut config, "scaler.plaintext", true);
    set(&mut config, "scaler.listen", listen.to_string());
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok((watcher, listen))
}

#[test]
fn as_many_slots_are_wanted_as_can_be_used_and_never_less_than_busy_workers_have() -> Result<()> {
    scene::run(async |scene| {
        prepare(scene)?;
        scene.service("other", "echo '{}'")?;
        let (_watcher, at) = start(scene).await?;
        let mut keda = Keda::connect(at).await?;
        keda.is_told("work", 0).await?;
        let mut active = keda.0.stream_is_active(of("work")).await?.into_inner();
        let mut told = async || -> Result<Option<bool>> {
            let next = tokio::time::timeout(wait::USUAL, active.message()).await??;
            Ok(next.map(|next| next.result))
        };
        assert_eq!(told().await?, Some(false));

        make(scene, 9, &json!({"gate": "go"})).await?;
        assert_eq!(told().await?, Some(true), "work wakes the first worker");
        keda.is_told("work", 9).await?;
        keda.is_told("other", 0).await?;

        // Two workers take eight; the ninth needs a third one beside these.
        let _first = worker(scene, "worker-1", SLOTS).await?;
        let _second = worker(scene, "worker-2", SLOTS).await?;
        started(scene, 8).await?;
        keda.is_told("work", 9).await?;
        let _third = worker(scene, "worker-3", SLOTS).await?;
        started(scene, 9).await?;
        keda.is_told("work", 12).await?;

        open_gate(scene)?;
        ends(scene, 9).await?;
        assert_eq!(told().await?, Some(false), "nothing is left to do");
        keda.is_told("work", 0).await?;
        Ok(())
    })
}

#[test]
fn nobody_is_asked_to_go_before_a_restarted_watcher_knows_who_is_busy() -> Result<()> {
    scene::run(async |scene| {
        prepare(scene)?;
        let mut watcher = scene.eager_watcher().await?;
        let _worker = worker(scene, "worker-1", SLOTS).await?;
        make(scene, 1, &json!({"gate": "go"})).await?;
        started(scene, 1).await?;
        kill(&mut watcher.process).await?;
        let (_next, at) = start(scene).await?;
        let mut keda = Keda::connect(at).await?;
        let mut refused = 0;
        let slots = loop {
            match keda.0.is_active(of("work")).await {
                Ok(active) => break active.into_inner().result,
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status}");
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            ensure!(refused < 600, "it never knows");
        };
        assert!(refused > 0, "it knew before it was told");
        assert!(slots, "a worker is busy");
        keda.is_told("work", 4).await?;
        open_gate(scene)?;
        ends(scene, 1).await?;
        Ok(())
    })
}

#[test]
fn a_mistake_in_a_scaled_object_is_named() -> Result<()> {
    scene::run(async |scene| {
        let (_watcher, at) = start(scene).await?;
        let mut keda = Keda::connect(at).await?;
        let mut wrong = of("work");
        wrong.scaler_metadata.remove("slotsPerWorker");
        let refused = keda.0.get_metric_spec(wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let why = refused.message();
        assert!(
            why.contains("ScaledObject isc/workers: metadata.slotsPerWorker is missing"),
            "{why}"
        );
        let spec = keda.0.get_metric_spec(of("work")).await?.into_inner();
        assert_eq!(spec.metric_specs[0].target_size, 4);
        Ok(())
    })
}
