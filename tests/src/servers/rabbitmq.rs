//! A RabbitMQ node of its own, with its own port mapper (epmd), on loopback only.

use std::{
    fs::Permissions,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    environment::Broker,
    net,
    pki::{Authority, Files},
    process::{Launch, Process},
    wait,
};

const READY_LIMIT: Duration = Duration::from_secs(120);

/// The package's script; the wrapper of the same name in /usr/sbin insists on certain users.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// The name of a node without others.
const ALONE: &str = "isc@localhost";

/// Whom a node of a cluster joins at its first start.
const FIRST: &str = "cluster_formation.peer_discovery_backend = classic_config\n\
                     cluster_formation.classic_config.nodes.1 = isc-1@localhost\n";

/// A running RabbitMQ node. It ends when this is dropped.
#[derive(Debug)]
pub struct RabbitMq {
    /// How to reach it.
    pub broker: Broker,
    /// The node.
    pub process: Process,
    launch: Launch,
    /// After the node: dropped, and so ended, last. Nodes of a cluster share the first one's.
    epmd: Option<Process>,
}

// === impl RabbitMq ===

impl RabbitMq {
    /// Starts a node with its data under `dir`; its one user is `isc` with `secret` as the password.
    ///
    /// # Errors
    /// When RabbitMQ is missing or cannot start.
    pub fn start(dir: &Path, secret: &str) -> Result<Self> {
        Self::start_with(dir, secret, "[].")
    }

    /// The same, with settings that only the advanced configuration knows, in Erlang.
    ///
    /// # Errors
    /// When RabbitMQ is missing or cannot start.
    pub fn start_with(dir: &Path, secret: &str, advanced: &str) -> Result<Self> {
        let dir = dir.join("rabbitmq");
        std::fs::create_dir_all(&dir)?;
        let (mapper, epmd) = mapper(&dir)?;
        let mut alone = Self::node(&dir, secret, advanced, (ALONE, epmd))?;
        alone.epmd = Some(mapper);
        Ok(alone)
    }

    /// Starts a cluster of so many nodes and waits until all take connections. Queues are kept by three of them.
    ///
    /// # Errors
    /// When RabbitMQ is missing, or a node is not ready within two minutes.
    pub async fn cluster(dir: &Path, secret: &str, size: usize) -> Result<Vec<Self>> {
        let home = dir.join("rabbitmq");
        std::fs::create_dir_all(&home)?;
        let (mapper, epmd) = mapper(&home)?;
        let mut mapper = Some(mapper);
        let mut nodes: Vec<Self> = vec![];
        for number in 1..=size {
            let name = format!("isc-{number}@localhost");
            let dir = home.join(number.to_string());
            std::fs::create_dir_all(&dir)?;
            let mut node = Self::node(&dir, secret, "[].", (&name, epmd))?;
            node.epmd = mapper.take();
            // One after the other: each finds the first one.
            node.ready().await?;
            nodes.push(node);
        }
        // Ended in this order: the mapper is the first one's.
        nodes.reverse();
        Ok(nodes)
    }

    fn node(
        dir: &Path,
        secret: &str,
        advanced: &str,
        (name, epmd): (&str, SocketAddr),
    ) -> Result<Self> {
        let server = PathBuf::from(SERVER);
        if !server.exists() {
            anyhow::bail!("RabbitMQ is missing ({SERVER}): run scripts/setup.sh");
        }
        let [amqp, amqps, http, dist] = [
            net::free_address()?,
            net::free_address()?,
            net::free_address()?,
            net::free_address()?,
        ];
        let authority = dir.join("authority");
        let ca = Authority::new("isc-test-broker")?;
        ca.keep(&authority)?;
        let files = ca.issue(&["localhost"])?.write(dir, "tls", &ca)?;
        let plain = configuration(amqp, http, secret);
        let joins = if name == ALONE { "" } else { FIRST };
        let text = plain + &encrypted(amqps, &files) + joins;
        std::fs::write(dir.join("rabbitmq.conf"), text)?;
        std::fs::write(dir.join("advanced.config"), advanced)?;
        std::fs::write(
            dir.join("plugins"),
            "[rabbitmq_management,rabbitmq_auth_mechanism_ssl].",
        )?;
        // Nodes of a cluster know each other by it.
        let cookie = dir.join(".erlang.cookie");
        std::fs::write(&cookie, secret)?;
        std::fs::set_permissions(&cookie, Permissions::from_mode(0o400))?;
        let launch = launch(dir, &server, name, (epmd, dist));
        let process = launch.start()?;
        let broker = Broker {
            amqp,
            amqps,
            authority,
            http,
            password: secret.to_owned(),
        };
        Ok(Self {
            broker,
            process,
            launch,
            epmd: None,
        })
    }

    /// Starts the node again after its end, with the data that it has.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = self.launch.start()?;
        Ok(())
    }

    /// Sets the share of the memory from which on the node takes no more messages; 0 is at once.
    ///
    /// # Errors
    /// When the tool is missing.
    pub fn start_limiting_memory(&self, share: f32) -> Result<Process> {
        let tool = Path::new(SERVER).with_file_name("rabbitmqctl");
        let mut launch = Launch {
            name: "rabbitmqctl".to_owned(),
            program: tool,
            ..self.launch.clone()
        };
        launch.args = vec![
            "set_vm_memory_high_watermark".into(),
            share.to_string().into(),
        ];
        launch
            .env
            .retain(|(name, _)| name != "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS");
        launch.start()
    }

    /// Waits until it takes connections.
    ///
    /// # Errors
    /// When the node ends instead or is not ready within two minutes.
    pub async fn ready(&mut self) -> Result<()> {
        wait::until("RabbitMQ takes connections", READY_LIMIT, async || {
            self.process.check_alive()?;
            tokio::net::TcpStream::connect(self.broker.amqp)
                .await
                .context("AMQP port")?;
            self.broker.call("GET", "/api/vhosts").await
        })
        .await
        .map(|_answer| ())
    }
}

/// The port mapper. One that a node would start itself would outlive it.
fn mapper(dir: &Path) -> Result<(Process, SocketAddr)> {
    let address = net::free_address()?;
    let mapper = Launch::new("epmd", Path::new("epmd"), dir)
        .args(["-port".to_owned(), address.port().to_string()])
        .args(["-address", "127.0.0.1"])
        .start()?;
    Ok((mapper, address))
}

/// How a node is started: all that it needs is told by variables.
fn launch(dir: &Path, server: &Path, name: &str, (epmd, dist): (SocketAddr, SocketAddr)) -> Launch {
    let file = |name: &str| dir.join(name).into_os_string();
    Launch::new("rabbitmq", server, dir)
        .env("ERL_EPMD_PORT", epmd.port().to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", name)
        .env("RABBITMQ_DIST_PORT", dist.port().to_string())
        .env("RABBITMQ_MNESIA_BASE", file("data"))
        .env("RABBITMQ_LOG_BASE", file("log"))
        .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config"))
        .env("RABBITMQ_CONF_ENV_FILE", file("none"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins"))
        // With it the script becomes the node instead of waiting for it, so that its pid is ours.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            // Its schedulers sleep instead of spinning: the cores are few, and others have work for them.
            "-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        )
}

fn configuration(amqp: SocketAddr, http: SocketAddr, password: &str) -> String {
    format!(
        "listeners.tcp.default = {amqp}\n\
         management.tcp.ip = {}\n\
         management.tcp.port = {}\n\
         default_user = isc\n\
         default_pass = {password}\n\
         log.console = true\n\
         log.console.level = info\n\
         log.file = false\n\
         disk_free_limit.absolute = 50MB\n",
        http.ip(),
        http.port()
    )
}

/// A client may show a certificate, whose common name is then its user where it asks for that.
fn encrypted(amqps: SocketAddr, files: &Files) -> String {
    format!(
        "listeners.ssl.default = {amqps}\n\
         ssl_options.certfile = {}\n\
         ssl_options.keyfile = {}\n\
         ssl_options.cacertfile = {}\n\
         ssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = false\n\
         ssl_cert_login_from = common_name\n\
         auth_mechanisms.1 = PLAIN\n\
         auth_mechanisms.2 = AMQPLAIN\n\
         auth_mechanisms.3 = EXTERNAL\n",
        files.cert.display(),
        files.key.display(),
        files.ca.display(),
    )
}
