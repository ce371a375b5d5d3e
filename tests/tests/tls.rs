//! TLS between watcher, workers and broker: who gets in, what may go wrong, and certificates that change.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use isc_proto::externalscaler::{ScaledObjectRef, external_scaler_client::ExternalScalerClient};
use isc_tests::{
    Scene, Watcher, Worker,
    isc::{self, set},
    net,
    pki::{self, Authority, Files},
    scene, wait,
};
use serde_json::{Value, json};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity as TlsIdentity};

/// What one side shows and whom it trusts, in files of the scene.
struct Pki {
    authority: Authority,
}

impl Pki {
    fn new() -> Result<Self> {
        let authority = Authority::new("isc-test")?;
        Ok(Self { authority })
    }

    /// Files of a certificate with these names.
    fn files(&self, scene: &Scene, file: &str, names: &[&str]) -> Result<Files> {
        let issued = self.authority.issue(names)?;
        issued.write(&scene.dir.join("tls"), file, &self.authority)
    }

    /// A watcher that takes workers with certificates, and lets `*.workers` run everything.
    fn watcher_config(&self, scene: &Scene) -> Result<Value> {
        let mut config = scene.watcher_config();
        pki::secure_watcher(&mut config, &self.authority, &scene.dir.join("tls"))?;
        Ok(config)
    }

    async fn watcher(&self, scene: &Scene) -> Result<Watcher> {
        let mut watcher = scene.start_watcher(self.watcher_config(scene)?)?;
        watcher.ready().await?;
        Ok(watcher)
    }

    /// A worker whose certificate has that name.
    fn worker_config(&self, scene: &Scene, name: &str, identity: &str) -> Result<Value> {
        let mut config = scene.worker_config(name);
        let folder = scene.dir.join("tls");
        pki::secure_worker(&mut config, &self.authority, &folder, identity)?;
        Ok(config)
    }
}

/// Waits until a worker's readiness tells of trouble in these words.
async fn is_told(worker: &Worker, words: &str) -> Result<()> {
    let what = format!("the worker is told `{words}`");
    wait::until(&what, wait::USUAL, async || {
        let (code, body) = isc::readiness(worker.admin).await?;
        ensure!(code == 503 && body.contains(words), "{code}: {body}");
        Ok(())
    })
    .await
}

/// Waits until a watcher has refused streams for that reason.
async fn has_refused(watcher: &Watcher, reason: &str) -> Result<()> {
    wait::until("the watcher counts the refusal", wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let seen = metrics.sum("isc_streams_refused_total", &[("reason", reason)]);
        ensure!(seen > 0.5, "{}", metrics.lines("isc_streams_refused"));
        Ok(())
    })
    .await
}

#[test]
fn a_request_runs_with_every_connection_encrypted() -> Result<()> {
    scene::run(async |scene| {
        let pki = Pki::new()?;
        let broker = Authority::open(&scene.env.broker.authority)?;
        // The certificate's common name is the user at the broker.
        let own = broker.issue(&["isc"])?;
        let own = own.write(&scene.dir.join("tls"), "amqp", &broker)?;
        let port = scene.env.broker.amqps.port();
        let vhost = &scene.vhost;
        let by_certificate = format!("amqps://localhost:{port}/{vhost}?auth_mechanism=external");
        let password = &scene.env.broker.password;
        let by_password = format!("amqps://isc:{password}@127.0.0.1:{port}/{vhost}");

        let mut config = pki.watcher_config(scene)?;
        set(&mut config, "amqp.url", by_certificate);
        set(&mut config, "amqp.tls", own.section());
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        let mut config = pki.worker_config(scene, "worker-1", "one.workers")?;
        let url = scene.dir.join("url");
        std::fs::write(&url, by_password)?;
        set(&mut config, "amqp", json!({"urlFile": url}));
        let trust = json!({"caFile": own.ca, "serverName": "localhost"});
        set(&mut config, "amqp.tls", trust);
        let mut worker = scene.start_worker(config)?;
        worker.ready().await?;
        scene.succeeds("secret").await?;
        for metrics in [watcher.metrics().await?, worker.metrics().await?] {
            let ends = metrics.lines("isc_certificate_not_after_seconds");
            ensure!(ends.contains("use="), "no end is shown: {ends}");
        }
        let path = format!("/api/vhosts/{vhost}/connections");
        wait::until(
            "the broker shows encrypted connections",
            wait::USUAL,
            async || {
                let shown = scene.env.broker.call("GET", &path).await?;
                let all: Vec<Value> = serde_json::from_str(&shown)?;
                let encrypted = |one: &Value| one["ssl"] == true && one["user"] == "isc";
                ensure!(all.len() >= 2 && all.iter().all(encrypted), "{shown}");
                Ok(())
            },
        )
        .await
    })
}

#[test]
fn who_shows_no_usable_certificate_is_kept_out_and_told_why() -> Result<()> {
    scene::run(async |scene| {
        let pki = Pki::new()?;
        let watcher = pki.watcher(scene).await?;
        let usual = |name: &str| pki.worker_config(scene, name, "one.workers");

        let mut config = usual("wrong-name")?;
        let address = format!("https://127.0.0.1:{}", scene.grpc.port());
        set(&mut config, "watcher", address);
        let worker = scene.start_worker(config)?;
        is_told(&worker, "`watcherTls.serverName`").await?;

        let mut config = usual("stranger")?;
        let other = Pki::new()?;
        let strange = other.authority.issue(&["one.workers"])?;
        let folder = scene.dir.join("tls");
        let strange = strange.write(&folder, "stranger", &pki.authority)?;
        set(&mut config, "watcherTls", strange.section());
        let worker = scene.start_worker(config)?;
        is_told(&worker, "an authority that it does not trust").await?;

        let mut config = usual("mistrustful")?;
        let foreign = other.files(scene, "foreign", &["x"])?;
        set(&mut config, "watcherTls.caFile", json!(foreign.ca));
        let worker = scene.start_worker(config)?;
        is_told(&worker, "an authority that is not in `watcherTls.caFile`").await?;

        let mut config = usual("nobody")?;
        let trust = json!({"caFile": foreign.ca.with_file_name("watcher.ca")});
        set(&mut config, "watcherTls", trust);
        let worker = scene.start_worker(config)?;
        is_told(&worker, "check `watcherTls.certFile`").await?;

        has_refused(&watcher, "tls").await?;
        let _plain = scene.start_worker(scene.worker_config("plain"))?;
        wait::until("the watcher tells of it", wait::USUAL, async || {
            let log = watcher.process.log();
            ensure!(log.contains("does not speak TLS"), "{log}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_worker_runs_only_what_its_certificate_may_and_new_rules_count_at_once() -> Result<()> {
    scene::run(async |scene| {
        let pki = Pki::new()?;
        scene.service("sign", "true")?;
        let mut rules = pki.watcher_config(scene)?;
        let allow =
            |services: Value| json!([{"identities": ["spiffe://corp/*"], "services": services}]);
        set(&mut rules, "grpc.workers", allow(json!(["echo"])));
        let mut watcher = scene.start_watcher(rules.clone())?;
        watcher.ready().await?;
        let file = scene.dir.join("watcher.yaml");
        let config = pki.worker_config(scene, "worker-1", "spiffe://corp/echo")?;
        let mut worker = scene.start_worker(config)?;
        is_told(&worker, "may not run the service `sign`").await?;
        has_refused(&watcher, "not_allowed").await?;

        let admin = watcher.admin.to_string();
        set(&mut rules, "admin.listen", admin);
        set(&mut rules, "grpc.workers", allow(json!(["*"])));
        std::fs::write(&file, rules.to_string())?;
        worker.ready().await?;
        scene.succeeds("allowed").await?;

        set(&mut rules, "grpc.workers", allow(json!(["s*"])));
        std::fs::write(&file, rules.to_string())?;
        is_told(&worker, "may not run the service `echo`").await
    })
}

#[test]
fn certificates_are_exchanged_while_everything_runs() -> Result<()> {
    scene::run(async |scene| {
        let (old, new) = (Pki::new()?, Pki::new()?);
        let watcher = old.watcher(scene).await?;
        // Short: at its end the worker greets anew with what is in its files then.
        let end = SystemTime::now() + Duration::from_secs(20);
        let config = old.worker_config(scene, "worker-1", "one.workers")?;
        let folder = scene.dir.join("tls");
        let short = old.authority.issue_until(&["one.workers"], end)?;
        short.write(&folder, "worker-1", &old.authority)?;
        let mut worker = scene.start_worker(config)?;
        worker.ready().await?;

        // First all trust both, then the watcher gets its new one, and the worker.
        let both = format!("{}{}", old.authority.pem, new.authority.pem);
        for file in ["watcher.ca", "worker-1.ca"] {
            std::fs::write(folder.join(file), &both)?;
        }
        let next = new.authority.issue(&["localhost"])?;
        std::fs::write(folder.join("watcher.key"), &next.key)?;
        std::fs::write(
            folder.join("watcher.crt"),
            &next.cert[..next.cert.len() / 2],
        )?;
        let mut second =
            scene.start_worker(old.worker_config(scene, "worker-2", "two.workers")?)?;
        second.ready().await?;
        let stale = |wanted: f64| {
            let watcher = &watcher;
            async move {
                wait::until(
                    "the watcher says what is in force",
                    wait::USUAL,
                    async || {
                        let metrics = watcher.metrics().await?;
                        let seen = metrics.sum("isc_certificate_stale", &[("use", "grpc")]);
                        ensure!((seen - wanted).abs() < 0.1, "stale is {seen}");
                        Ok(())
                    },
                )
                .await
            }
        };
        stale(1.0).await?;
        std::fs::write(folder.join("watcher.crt"), &next.cert)?;
        let renewed = new.authority.issue(&["one.workers"])?;
        renewed.write(&folder, "worker-1", &new.authority)?;

        // The short one ends; only the new authority is trusted from now on.
        std::fs::write(folder.join("watcher.ca"), &new.authority.pem)?;
        wait::until("the short one has ended", wait::USUAL, async || {
            let log = watcher.process.log();
            ensure!(log.contains("certificate has ended"), "{log}");
            Ok(())
        })
        .await?;
        stale(0.0).await?;
        drop(second);
        worker.ready().await?;
        scene.succeeds("after").await?;
        let third = scene.start_worker(old.worker_config(scene, "worker-3", "three.workers")?)?;
        is_told(&third, "watcherTls").await
    })
}

#[test]
fn a_scaler_with_tls_answers_only_who_has_a_certificate() -> Result<()> {
    scene::run(async |scene| {
        let pki = Pki::new()?;
        let listen = net::free_address()?;
        let mut config = pki.watcher_config(scene)?;
        let shown = config["grpc"]["tls"].clone();
        set(
            &mut config,
            "scaler",
            json!({"listen": listen, "tls": shown}),
        );
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        let keda = pki.authority.issue(&["keda"])?;
        let trust = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&pki.authority.pem))
            .domain_name("localhost");
        let known = trust
            .clone()
            .identity(TlsIdentity::from_pem(&keda.cert, &keda.key));
        let ask = async |tls: ClientTlsConfig| -> Result<()> {
            let endpoint = Endpoint::from_shared(format!("https://{listen}"))?;
            let channel = endpoint.tls_config(tls)?.connect().await?;
            let metadata = [("services", "echo"), ("slotsPerWorker", "4")];
            let of = ScaledObjectRef {
                name: "workers".into(),
                namespace: "isc".into(),
                scaler_metadata: metadata.map(|(k, v)| (k.into(), v.into())).into(),
            };
            ExternalScalerClient::new(channel)
                .get_metric_spec(of)
                .await?;
            Ok(())
        };
        ask(known).await?;
        ensure!(
            ask(trust).await.is_err(),
            "it answered somebody without a certificate"
        );
        Ok(())
    })
}
