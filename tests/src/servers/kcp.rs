//! A kcp of its own: one process with embedded etcd, users from a token file.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    Who, net,
    process::{Launch, Process},
    wait,
};

const READY_LIMIT: Duration = Duration::from_secs(180);

/// The version that everything here was tried with, as `kcp --version` prints it.
const VERSION: &str = "kcp-v0.31.2";

/// A running kcp. It ends when this is dropped.
#[derive(Debug)]
pub struct Kcp {
    /// `https://127.0.0.1:<port>`, without a workspace.
    pub url: String,
    /// The certificate that signs its own.
    pub ca_file: PathBuf,
    /// The process.
    pub process: Process,
    launch: Launch,
}

// === impl Kcp ===

impl Kcp {
    /// Starts kcp with its data under `dir`; `secret` makes the tokens of [`Who`].
    ///
    /// # Errors
    /// When kcp is missing, or cannot start.
    pub fn start(dir: &Path, secret: &str) -> Result<Self> {
        Self::start_with(dir, secret, |_api| Vec::new())
    }

    /// The same, with more arguments, which may depend on the address that it will have.
    ///
    /// # Errors
    /// When kcp is missing, or cannot start.
    pub fn start_with(
        dir: &Path,
        secret: &str,
        more: impl FnOnce(SocketAddr) -> Vec<String>,
    ) -> Result<Self> {
        let dir = dir.join("kcp");
        std::fs::create_dir_all(&dir)?;
        let tokens = dir.join("tokens.csv");
        std::fs::write(&tokens, token_file(secret))?;
        let [api, etcd, peer] = [
            net::free_address()?,
            net::free_address()?,
            net::free_address()?,
        ];
        let arguments = [
            "start".to_owned(),
            format!("--root-directory={}", dir.display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", api.port()),
            format!("--embedded-etcd-client-port={}", etcd.port()),
            format!("--embedded-etcd-peer-port={}", peer.port()),
            format!("--token-auth-file={}", tokens.display()),
            "--embedded-etcd-wal-size-bytes=5000".to_owned(),
            // The largest that etcd advises; 2 GB, the default, are full of thousands of large requests.
            format!("--embedded-etcd-quota-backend-bytes={}", 8_u64 << 30),
            "-v=1".to_owned(),
        ];
        let launch = Launch::new("kcp", &find()?, &dir).args(arguments);
        let launch = launch.args(more(api));
        Ok(Self {
            url: format!("https://{api}"),
            ca_file: dir.join("apiserver.crt"),
            process: launch.start()?,
            launch,
        })
    }

    /// Starts it again after its end, with the data that it has.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = self.launch.start()?;
        Ok(())
    }

    /// The program that was started.
    ///
    /// # Errors
    /// When it is gone.
    pub fn program(&self) -> Result<PathBuf> {
        Ok(std::fs::read_link(format!(
            "/proc/{}/exe",
            self.process.pid()
        ))?)
    }

    /// Waits until workspaces can be made.
    ///
    /// # Errors
    /// When kcp ends instead or is not ready within three minutes.
    pub async fn ready(&mut self, secret: &str) -> Result<()> {
        let (url, ca_file, process) = (&self.url, &self.ca_file, &mut self.process);
        wait::until("kcp serves workspaces", READY_LIMIT, async || {
            process.check_alive()?;
            let client = Who::Admin.client_at(url, ca_file, secret, "root").await?;
            // The workspace API comes up last.
            let path = "/apis/tenancy.kcp.io/v1alpha1/workspaces";
            client
                .request_text(http::Request::get(path).body(Vec::new())?)
                .await?;
            Ok(())
        })
        .await
    }
}

/// One line a token: token, name, uid, groups. Each user has two.
fn token_file(secret: &str) -> String {
    Who::ALL.iter().fold(String::new(), |mut text, who| {
        let (name, group) = (who.name(), who.group());
        for token in [who.token(secret), who.other_token(secret)] {
            let _infallible = writeln!(text, "{token},{name},{name}{group}");
        }
        text
    })
}

/// The kcp program: `$ISCDEV_KCP`, one on PATH, or the one that scripts/kcp.sh built.
fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ISCDEV_KCP") {
        return Ok(path.into());
    }
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|p| {
        std::env::split_paths(&p)
            .map(|dir| dir.join("kcp"))
            .collect::<Vec<_>>()
    });
    let built = cache_folder().map(|dir| dir.join("kcp-v0.31.2/kcp"));
    let found = on_path
        .chain(built)
        .find(|path| path.is_file() && has_version(path));
    found.context("kcp v0.31.2 is missing: run scripts/setup.sh, which builds it once")
}

fn cache_folder() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("ISCDEV_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join("isc")))
        .or_else(|| var("HOME").map(|d| d.join(".cache/isc")))
}

fn has_version(path: &Path) -> bool {
    let output = Command::new(path).arg("--version").output();
    output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains(VERSION))
}
