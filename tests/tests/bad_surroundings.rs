//! Missing and wrong servers: the watcher waits, and says what for and what to do.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Environment, Watcher, Who,
    isc::{self, set},
    net,
    provider::write_kubeconfig,
    wait,
};
use serde_json::{Value, json};

/// A folder with one service in `services/`.
fn folder() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("services"))?;
    std::fs::write(
        dir.path().join("services/echo.yaml"),
        "exec: {command: [/bin/true]}\n",
    )?;
    Ok(dir)
}

fn watcher_config(dir: &Path) -> Result<Value> {
    Ok(isc::watcher_config(
        &dir.join("services"),
        &format!("amqp://a:b@{}/x", net::free_address()?),
        net::free_address()?,
    ))
}

fn plain_kubeconfig(address: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "kcp",
        "clusters": [{"name": "kcp", "cluster": {"server": format!("https://{address}/clusters/root:a")}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "kcp", "context": {"cluster": "kcp", "user": "u"}}],
    })
}

fn warnings(watcher: &Watcher) -> Vec<String> {
    let log = watcher.process.log();
    log.lines()
        .filter(|l| l.contains(" WARN ") || l.contains(" ERROR "))
        .map(str::to_owned)
        .collect()
}

/// Runs a test that starts processes: on one thread, for they end with it.
fn block_on(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(test)
}

#[test]
fn a_kcp_that_cannot_be_reached_is_waited_for_and_told_once() -> Result<()> {
    block_on(async {
        let dir = folder()?;
        let address = net::free_address()?;
        let kubeconfig = dir.path().join("kubeconfig");
        write_kubeconfig(&kubeconfig, &plain_kubeconfig(address))?;
        let mut config = watcher_config(dir.path())?;
        // What a user sees who has not touched the log's settings.
        set(&mut config, "log", json!({}));
        let mut watcher = Watcher::start(dir.path(), "watcher", config, &kubeconfig)?;
        wait::until(
            "the watcher says that kcp is missing",
            wait::USUAL,
            async || {
                watcher.process.check_alive()?;
                let named = warnings(&watcher)
                    .iter()
                    .any(|l| l.contains("waiting for") && l.contains("kubeconfig"));
                ensure!(named, "{}", watcher.process.log());
                let (code, body) = isc::readiness(watcher.admin).await?;
                ensure!(
                    code == 503 && body.contains("kcp"),
                    "/readyz answers {code}: {body}"
                );
                Ok(())
            },
        )
        .await?;
        // From here on every try is seen, and fails the same way.
        let tries = AtomicUsize::new(0);
        let listener = tokio::net::TcpListener::bind(address).await?;
        let count = async {
            while listener.accept().await.is_ok() {
                tries.fetch_add(1, Ordering::Relaxed);
            }
        };
        let enough = wait::until(
            "the watcher has tried five times",
            wait::USUAL,
            async || {
                ensure!(tries.load(Ordering::Relaxed) >= 5, "{tries:?} tries");
                Ok(())
            },
        );
        tokio::select! {
            () = count => {}
            result = enough => result?,
        }
        // RabbitMQ is away too: each is told once, and again when the trouble becomes another one.
        let said = warnings(&watcher);
        assert!(said.len() <= 6, "a flood: {said:#?}");
        assert!(
            !watcher.process.log().contains("secret-token"),
            "a token is in the log"
        );
        let (code, _) = net::http("GET", watcher.admin, "/livez", None).await?;
        assert_eq!(code, 200, "it lives while kcp is away");
        Ok(())
    })
}

#[test]
fn a_kcp_with_another_certificate_is_told_with_the_remedy() -> Result<()> {
    block_on(async {
        let env = Environment::from_vars()?;
        let dir = folder()?;
        let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("other.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-subj", "/CN=other", "-days", "1", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let wrong = Environment {
            kcp_ca: certificate,
            ..env
        };
        let kubeconfig = dir.path().join("kubeconfig");
        write_kubeconfig(&kubeconfig, &Who::Controller.kubeconfig(&wrong, "root")?)?;
        let mut config = watcher_config(dir.path())?;
        set(&mut config, "amqp.url", wrong.broker.url("%2f"));
        let mut watcher = Watcher::start(dir.path(), "watcher", config, &kubeconfig)?;
        wait::until(
            "the watcher complains about the certificate",
            wait::USUAL,
            async || {
                watcher.process.check_alive()?;
                let said = warnings(&watcher);
                let line = said
                    .iter()
                    .find(|l| l.contains("certificate"))
                    .context("not yet")?;
                ensure!(
                    line.contains("certificate-authority-data"),
                    "no remedy: {line}"
                );
                Ok(())
            },
        )
        .await
    })
}
