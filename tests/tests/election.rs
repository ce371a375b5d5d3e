//! Several watchers, of which one leads: a private cluster has the Lease, a kcp workspace plays it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Scene, Watcher, Who, Worker,
    chaos::{clock, proxy::Proxy},
    isc::{self, set},
    net,
    provider::write_kubeconfig,
    scene, wait,
    work::{self, ends, kill, longest_pause, make, open_gate, prepare, running, started, starts},
};
use nix::sys::signal::Signal;
use serde_json::json;

/// Of the election, and of the workers, seconds.
const LEASE: u64 = 4;
const WORKER_LEASE: u64 = 14;
/// From the end of the one to the lead of the other: the lease, and 2 s.
const CHANGE: Duration = Duration::from_secs(LEASE + 2);

/// The private cluster, and who may lead.
struct Candidates {
    kubeconfig: PathBuf,
    addresses: [SocketAddr; 2],
}

impl Candidates {
    async fn new(scene: &Scene) -> Result<Self> {
        let private = scene.provider.team("private", Who::Bob).await?;
        let server = format!("{}/clusters/{}", scene.env.kcp_url, private.path);
        Self::at(scene, &server)
    }

    fn at(scene: &Scene, server: &str) -> Result<Self> {
        let kubeconfig = scene.dir.join("private.kubeconfig");
        write_kubeconfig(&kubeconfig, &Who::Bob.kubeconfig_of(&scene.env, server)?)?;
        Ok(Self {
            kubeconfig,
            addresses: [net::free_address()?, net::free_address()?],
        })
    }

    fn start(&self, scene: &Scene, number: usize) -> Result<Watcher> {
        let mut config = scene.watcher_config();
        set(
            &mut config,
            "grpc.listen",
            self.addresses[number].to_string(),
        );
        set(&mut config, "lease.seconds", WORKER_LEASE);
        set(&mut config, "lease.heartbeatSeconds", 1);
        let election = json!({
            "kubeconfig": self.kubeconfig, "namespace": "default",
            "leaseSeconds": LEASE, "retryMs": 500,
        });
        set(&mut config, "election", election);
        let name = format!("watcher-{number}");
        Watcher::start(&scene.dir, &name, config, &scene.provider.kubeconfig)
    }

    async fn worker(&self, scene: &Scene, name: &str, slots: usize) -> Result<Worker> {
        let mut config = scene.worker_config(name);
        let [one, two] = self.addresses;
        set(
            &mut config,
            "watcher",
            format!("http://{one}, http://{two}"),
        );
        work::worker_with(scene, config, slots).await
    }
}

async fn leads(watcher: &Watcher) -> Result<bool> {
    Ok(watcher.metrics().await?.sum("isc_leader", &[]) > 0.5)
}

/// Waits until it leads; returns when that was seen.
async fn leading(watcher: &Watcher) -> Result<Duration> {
    wait::until("it leads", wait::USUAL, async || {
        ensure!(leads(watcher).await?, "it does not");
        Ok(clock::now())
    })
    .await
}

async fn stands_by(watcher: &Watcher) -> Result<()> {
    wait::until("it stands by", wait::USUAL, async || {
        let (code, body) = isc::readiness(watcher.admin).await?;
        ensure!(
            code == 200 && body.contains("standing by"),
            "{code}: {body}"
        );
        Ok(())
    })
    .await
}

#[test]
fn a_standby_follows_a_killed_leader_within_its_lease_and_the_jobs_go_on() -> Result<()> {
    const JOBS: usize = 40;
    scene::run(async |scene| {
        prepare(scene)?;
        let candidates = Candidates::new(scene).await?;
        let mut first = candidates.start(scene, 0)?;
        first.ready().await?;
        leading(&first).await?;
        let second = candidates.start(scene, 1)?;
        stands_by(&second).await?;
        ensure!(!leads(&second).await?, "two lead");
        let _worker = candidates.worker(scene, "worker-1", JOBS).await?;
        make(scene, JOBS, &json!({"gate": "go"})).await?;
        started(scene, JOBS).await?;
        let killed = clock::now();
        kill(&mut first.process).await?;
        let took = leading(&second).await?.saturating_sub(killed);
        ensure!(took <= CHANGE, "the change took {took:?}");
        wait::until("all are attached again", wait::USUAL, async || {
            let found = running(&second).await?;
            ensure!(found > 39.5, "{found} are");
            Ok(())
        })
        .await?;
        open_gate(scene)?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(status["phase"], "Succeeded", "{status}");
            assert_eq!(status["attempt"], 1, "{status}");
        }
        assert_eq!(starts(scene)?.len(), JOBS, "some ran twice");
        Ok(())
    })
}

#[test]
fn a_leader_that_ends_hands_over_and_work_goes_on_at_once() -> Result<()> {
    /// No lease, neither of the election nor of a worker, is waited for.
    const PAUSE: Duration = Duration::from_secs(LEASE);
    const JOBS: usize = 400;
    scene::run(async |scene| {
        prepare(scene)?;
        let candidates = Candidates::new(scene).await?;
        let mut first = candidates.start(scene, 0)?;
        first.ready().await?;
        leading(&first).await?;
        let second = candidates.start(scene, 1)?;
        stands_by(&second).await?;
        let _worker = candidates.worker(scene, "worker-1", 4).await?;
        make(scene, JOBS, &json!({"millis": 200})).await?;
        // Its word counts only after its own take-over period; these take longer.
        started(scene, JOBS * 3 / 4).await?;
        let status = first.process.terminate(wait::USUAL).await?;
        ensure!(status.success(), "{status}");
        leading(&second).await?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        let longest = longest_pause(scene, JOBS)?;
        assert!(longest <= PAUSE, "nothing started for {longest:?}");
        Ok(())
    })
}

#[test]
fn a_frozen_leader_that_wakes_up_changes_nothing_and_ends() -> Result<()> {
    const JOBS: usize = 20;
    scene::run(async |scene| {
        prepare(scene)?;
        let candidates = Candidates::new(scene).await?;
        let mut first = candidates.start(scene, 0)?;
        first.ready().await?;
        leading(&first).await?;
        let second = candidates.start(scene, 1)?;
        stands_by(&second).await?;
        let _worker = candidates.worker(scene, "worker-1", JOBS).await?;
        make(scene, JOBS, &json!({"gate": "go"})).await?;
        started(scene, JOBS).await?;
        // With live writes and grants on their way.
        first.process.signal(Signal::SIGSTOP)?;
        leading(&second).await?;
        open_gate(scene)?;
        let before = ends(scene, JOBS).await?;
        first.process.signal(Signal::SIGCONT)?;
        let ended = first.process.ended(wait::USUAL).await?;
        ensure!(!ended.success(), "it must say that it lost its lead");
        let log = first.process.log();
        ensure!(log.contains("this watcher ends, and starts anew"), "{log}");
        let after = ends(scene, JOBS).await?;
        assert_eq!(before, after, "it wrote over an end");
        assert!(
            after.iter().all(|status| status["phase"] == "Succeeded"),
            "{after:?}"
        );
        assert_eq!(starts(scene)?.len(), JOBS, "some ran twice");
        // It comes back as a standby.
        let first = candidates.start(scene, 0)?;
        stands_by(&first).await
    })
}

#[test]
fn a_leader_that_cannot_renew_ends_within_its_lease() -> Result<()> {
    scene::run(async |scene| {
        prepare(scene)?;
        let private = scene.provider.team("private", Who::Bob).await?;
        let kcp = scene.env.kcp_url.trim_start_matches("https://");
        let front = net::free_address()?;
        let proxy = Proxy::start(front, kcp.parse().context("kcp's address")?).await?;
        let server = format!("https://{front}/clusters/{}", private.path);
        let candidates = Candidates::at(scene, &server)?;
        let mut watcher = candidates.start(scene, 0)?;
        watcher.ready().await?;
        leading(&watcher).await?;
        proxy.swallow();
        let cut = clock::now();
        let ended = watcher.process.ended(wait::USUAL).await?;
        let took = clock::now().saturating_sub(cut);
        ensure!(!ended.success(), "{ended}");
        ensure!(took <= CHANGE, "it took {took:?}");
        let log = watcher.process.log();
        ensure!(log.contains("not renewed"), "{log}");
        Ok(())
    })
}
