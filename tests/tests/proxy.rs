//! kcp behind a proxy that lets nobody out but by CONNECT: which calls go through it, and what becomes of those that
//! it forgets.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use isc_tests::{
    Outlet, Scene, Watcher, Who,
    isc::{program, readiness, set},
    outlet::{Forget, Rules},
    scene, wait,
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A name that the proxy alone knows.
const KCP: &str = "kcp.invalid";
const LOGIN: &str = "isc:p@ss:word";
/// The same in a URL.
const LOGIN_IN_URL: &str = "isc:p%40ss%3Aword";

fn kcp(scene: &Scene) -> Result<SocketAddr> {
    Ok(scene.env.kcp_url.trim_start_matches("https://").parse()?)
}

/// A kubeconfig of that server, with more about it.
fn kubeconfig(scene: &Scene, server: &str, more: &Value) -> Result<PathBuf> {
    let mut kubeconfig = Who::Controller.kubeconfig_of(&scene.env, server)?;
    // The CA is kcp's own, and its certificate is for this address.
    kubeconfig["clusters"][0]["cluster"]["tls-server-name"] = "127.0.0.1".into();
    for (key, value) in more.as_object().into_iter().flatten() {
        kubeconfig["clusters"][0]["cluster"][key] = value.clone();
    }
    let file = scene.dir.join("proxied.kubeconfig");
    fs::write(&file, kubeconfig.to_string())?;
    Ok(file)
}

fn start(scene: &Scene, kubeconfig: &Path, vars: &[(&str, &str)]) -> Result<Watcher> {
    let kubeconfig = kubeconfig.to_string_lossy();
    let vars = [vars, &[("KUBECONFIG", &*kubeconfig)]].concat();
    Watcher::start_with(
        &program("isc-watcher")?,
        (&scene.dir, "watcher"),
        scene.watcher_config(),
        &vars,
    )
}

#[test]
fn kcp_is_reached_through_the_proxy_of_the_environment_and_nothing_else_is() -> Result<()> {
    scene::run(async |scene| {
        let kcp = kcp(scene)?;
        let rules = Rules {
            login: Some(LOGIN),
            knows: Some((KCP, kcp)),
            ..Rules::default()
        };
        let proxy = Outlet::start(rules).await?;
        let endpoint = scene.provider.endpoint("internal.services").await?;
        let known = format!("{KCP}:{}", kcp.port());
        let server = endpoint.replace(&kcp.to_string(), &known);
        ensure!(server.contains(&known), "{server} is another server");
        let file = kubeconfig(scene, &server, &json!({}))?;

        // Without the password nobody gets out, and the watcher says what to do about it.
        let url = proxy.url();
        let watcher = start(scene, &file, &[("HTTPS_PROXY", &url)])?;
        wait::until(
            "the watcher says what is missing",
            wait::USUAL,
            async || {
                let (_code, said) = readiness(watcher.admin).await?;
                let told = said.contains("user:password@") && said.contains("HTTPS_PROXY");
                ensure!(told && proxy.turned_away() > 0, "{said}");
                Ok(())
            },
        )
        .await?;
        drop(watcher);
        assert!(proxy.tunnels().is_empty());

        let url = format!("http://{LOGIN_IN_URL}@{}", proxy.address);
        let mut watcher = start(scene, &file, &[("https_proxy", &url)])?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.succeeds("a").await?;
        let tunnels = proxy.tunnels();
        let only = !tunnels.is_empty() && tunnels.iter().all(|to| *to == known);
        assert!(only, "{tunnels:?}");
        let log = watcher.process.log();
        assert!(
            log.contains("through a proxy, as https_proxy says"),
            "{log}"
        );
        assert!(
            !log.contains("ss:word") && !log.contains("ss%3Aword"),
            "{log}"
        );
        Ok(())
    })
}

#[test]
fn no_proxy_goes_around_and_is_judged_for_each_server() -> Result<()> {
    scene::run(async |scene| {
        let port = kcp(scene)?.port();
        let proxy = Outlet::start(Rules::default()).await?;
        // A way to this machine that is no loopback address; the endpoints in the slice have one.
        let server = format!("https://0.0.0.0:{port}/clusters/{}", scene.provider.path);
        let file = kubeconfig(scene, &server, &json!({}))?;
        let url = proxy.url();
        let mut watcher = start(scene, &file, &[("HTTPS_PROXY", &url)])?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.succeeds("a").await?;
        let tunnels = proxy.tunnels();
        let provider = format!("0.0.0.0:{port}");
        let only = !tunnels.is_empty() && tunnels.iter().all(|to| *to == provider);
        assert!(only, "{tunnels:?}");
        drop(watcher);

        let vars = [
            ("HTTPS_PROXY", &*url),
            ("NO_PROXY", "example.com, 0.0.0.0/8,"),
        ];
        let mut watcher = start(scene, &file, &vars)?;
        watcher.ready().await?;
        scene.succeeds("b").await?;
        assert_eq!(
            proxy.tunnels().len(),
            tunnels.len(),
            "{:?}",
            proxy.tunnels()
        );
        Ok(())
    })
}

#[test]
fn the_proxy_of_the_kubeconfig_wins_over_the_environment() -> Result<()> {
    scene::run(async |scene| {
        let [ours, other] = [
            Outlet::start(Rules::default()).await?,
            Outlet::start(Rules::default()).await?,
        ];
        let server = format!("{}/clusters/{}", scene.env.kcp_url, scene.provider.path);
        let file = kubeconfig(scene, &server, &json!({"proxy-url": ours.url()}))?;
        let url = other.url();
        let mut watcher = start(scene, &file, &[("HTTPS_PROXY", &url), ("NO_PROXY", "*")])?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.succeeds("a").await?;
        let kcp = kcp(scene)?.to_string();
        let tunnels = ours.tunnels();
        // One for the slice, and others for requests and bindings, at the least.
        assert!(
            tunnels.len() > 2 && tunnels.iter().all(|to| *to == kcp),
            "{tunnels:?}"
        );
        assert_eq!(other.tunnels(), Vec::<String>::new());
        Ok(())
    })
}

/// A scene whose watcher goes through a proxy that forgets tunnels.
async fn forgetful(
    scene: &Scene,
    (seconds, how): (u64, Forget),
    watch_seconds: u64,
) -> Result<(Outlet, Watcher)> {
    let rules = Rules {
        idle: Some((Duration::from_secs(seconds), how)),
        ..Rules::default()
    };
    let proxy = Outlet::start(rules).await?;
    let server = format!("{}/clusters/{}", scene.env.kcp_url, scene.provider.path);
    let file = kubeconfig(scene, &server, &json!({"proxy-url": proxy.url()}))?;
    let mut config = scene.watcher_config();
    set(&mut config, "kcp.watchSeconds", watch_seconds);
    let mut watcher = Watcher::start(&scene.dir, "watcher", config, &file)?;
    watcher.ready().await?;
    Ok((proxy, watcher))
}

async fn forgets(proxy: &Outlet, wanted: usize) -> Result<()> {
    wait::until("the proxy forgets tunnels", wait::USUAL, async || {
        let forgotten = proxy.forgotten();
        ensure!(forgotten >= wanted, "{forgotten} of {wanted}");
        Ok(())
    })
    .await
}

async fn work_goes_on_when_tunnels_are_cut(scene: &Scene, how: Forget) -> Result<()> {
    let (proxy, _watcher) = forgetful(scene, (2, how), 290).await?;
    let _worker = scene.worker("worker-1").await?;
    scene.succeeds("before").await?;
    for name in ["first", "second"] {
        // Each of the watches: of the slice, the bindings and the requests.
        forgets(&proxy, proxy.forgotten() + 3).await?;
        let asked = Instant::now();
        scene.succeeds(name).await?;
        let took = asked.elapsed();
        ensure!(took < Duration::from_secs(10), "{how:?}: it took {took:?}");
    }
    Ok(())
}

#[test]
fn a_tunnel_that_is_closed_when_idle_is_opened_again() -> Result<()> {
    scene::run(async |scene| work_goes_on_when_tunnels_are_cut(scene, Forget::Close).await)
}

#[test]
fn a_tunnel_that_is_reset_when_idle_is_opened_again() -> Result<()> {
    scene::run(async |scene| work_goes_on_when_tunnels_are_cut(scene, Forget::Reset).await)
}

#[test]
fn a_tunnel_that_is_forgotten_without_a_word_is_noticed_and_never_used_again() -> Result<()> {
    scene::run(async |scene| {
        // A little longer than a connection that nobody uses is kept, and shorter than a watch.
        let (proxy, _watcher) = forgetful(scene, (12, Forget::Silently), 15).await?;
        let _worker = scene.worker("worker-1").await?;
        // Enough at once to leave a connection for each call that comes later.
        let at_once = (0..8).map(|number| format!("before-{number}"));
        try_join_all(at_once.map(async |name| scene.succeeds(&name).await)).await?;
        let before = proxy.open();
        wait::until("all tunnels are forgotten", wait::USUAL, async || {
            let left = &before & &proxy.open();
            ensure!(left.is_empty(), "{left:?} of {before:?} are not");
            Ok(())
        })
        .await?;
        assert!(proxy.forgotten() >= 3, "the watches at least");
        let asked = Instant::now();
        scene.succeeds("after").await?;
        let took = asked.elapsed();
        // The watch is given up 5 s after its end; a call on a dead connection would take 30 s.
        ensure!(took < Duration::from_secs(20), "it took {took:?}");
        Ok(())
    })
}

#[test]
fn a_watch_is_never_idle_for_longer_than_it_may_be() -> Result<()> {
    scene::run(async |scene| {
        // A connection that nobody uses is closed 10 to 20 s later.
        let (proxy, _watcher) = forgetful(scene, (24, Forget::Silently), 5).await?;
        let _worker = scene.worker("worker-1").await?;
        scene.succeeds("before").await?;
        let tunnels = proxy.tunnels().len();
        let begun = Instant::now();
        wait::until("half a minute is over", wait::USUAL, async || {
            ensure!(begun.elapsed() > Duration::from_secs(30), "it is not");
            Ok(())
        })
        .await?;
        assert_eq!(proxy.forgotten(), 0, "of {tunnels} tunnels");
        let asked = Instant::now();
        scene.succeeds("after").await?;
        let took = asked.elapsed();
        ensure!(took < Duration::from_secs(10), "it took {took:?}");
        Ok(())
    })
}

#[test]
fn a_wrong_proxy_is_named_by_its_variable() -> Result<()> {
    scene::run(async |scene| {
        let server = format!("{}/clusters/{}", scene.env.kcp_url, scene.provider.path);
        let file = kubeconfig(scene, &server, &json!({}))?;
        let watcher = start(
            scene,
            &file,
            &[("HTTPS_PROXY", "socks5://isc:hush@proxy:1080")],
        )?;
        wait::until("the watcher ends", wait::USUAL, async || {
            let log = watcher.process.log();
            let line = log.lines().last().context("no line")?.to_owned();
            ensure!(
                line.contains("HTTPS_PROXY names a proxy by socks5://"),
                "{log}"
            );
            ensure!(!log.contains("hush"), "{log}");
            Ok(())
        })
        .await
    })
}
