//! What is seen of changed files.

use std::{os::unix::fs::symlink, time::Duration};

use isc_runtime::config::load;
use prometheus_client::registry::Registry;
use tokio::{task::JoinSet, time::timeout};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// A folder with a configuration and a service, and what a reloader of it says.
struct Bench {
    dir: tempfile::TempDir,
    events: mpsc::Receiver<Input>,
    services: watch::Receiver<Arc<Catalogue>>,
    policy: watch::Receiver<Arc<Policy>>,
    allowed: watch::Receiver<Arc<Allowed>>,
    registry: Registry,
    _tasks: JoinSet<()>,
}

impl Bench {
    async fn start(services: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        std::fs::create_dir(&real).unwrap();
        if services != "real" {
            symlink("real", dir.path().join(services)).unwrap();
        }
        let file = dir.path().join("watcher.yaml");
        let services = dir.path().join(services);
        std::fs::write(
            &file,
            format!(
                "servicesDir: {}\ngrpc: {{plaintext: true}}\n",
                services.display()
            ),
        )
        .unwrap();
        std::fs::write(real.join("echo.yaml"), "exec: {command: [a]}").unwrap();
        Self::on(dir, file, services).await
    }

    async fn on(dir: tempfile::TempDir, file: PathBuf, services: PathBuf) -> Self {
        let config: WatcherConfig = load(Some(&file)).unwrap();
        let catalogue = Catalogue::load(&services).unwrap();
        let (sender, receiver) = watch::channel(Arc::new(catalogue));
        let (inputs, events) = mpsc::channel(16);
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::new(&mut registry));
        let policy = watch::Sender::new(Arc::new(config.policy.load(Some(&file)).unwrap()));
        let policy_receiver = policy.subscribe();
        let sources = Sources {
            file: Some(file),
            services,
            policy: Arc::default(),
            plaintext: true,
        };
        let allowed = watch::Sender::new(Arc::new(Allowed::new(&config.grpc).unwrap()));
        let allowed_receiver = allowed.subscribe();
        let outlets = Outlets {
            services: sender,
            policy,
            allowed,
        };
        let keys = load(sources.file.as_deref()).unwrap();
        let reloader = Reloader::new(
            sources,
            (&config, keys),
            outlets,
            (inputs, Auditor::default(), metrics),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(reloader.run(CancellationToken::new()));
        let bench = Self {
            dir,
            events,
            services: receiver,
            policy: policy_receiver,
            allowed: allowed_receiver,
            registry,
            _tasks: tasks,
        };
        bench.watching().await;
        bench
    }

    /// Waits until changes are seen: inotify tells of nothing that was before.
    async fn watching(&self) {
        let watches = || {
            let fds = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
            let infos = fds.filter_map(|fd| std::fs::read_to_string(fd.path()).ok());
            let inode =
                std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(self.dir.path()).unwrap());
            infos
                .into_iter()
                .any(|info| info.contains(&format!("ino:{inode:x} ")))
        };
        let wait = async {
            while !watches() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, wait).await.expect("the folder is watched");
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    async fn change(&mut self) -> Reconfigure {
        match timeout(LIMIT, self.events.recv()).await {
            Ok(Some(Input::Event(Event::Reconfigured(new)))) => *new,
            other => panic!("no change was told: {other:?}"),
        }
    }

    /// Waits for a number in the metrics.
    async fn count(&self, line: &str) {
        let shown = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
            text
        };
        let wait = async {
            while !shown().contains(line) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(LIMIT, wait).await;
        assert!(waited.is_ok(), "no {line} in {}", shown());
    }
}

#[tokio::test]
async fn a_new_service_and_a_pause_are_told_and_a_lost_one_is_gone() {
    let mut bench = Bench::start("real").await;
    bench.write("real/sign.yaml", "exec: {command: [a]}");
    assert!(bench.change().await.catalogue.contains_key("sign"));
    assert!(bench.services.borrow_and_update().get("sign").is_some());
    let services = bench.dir.path().join("real");
    let config = format!(
        "{{servicesDir: {}, grpc: {{plaintext: true}}, pause: {{all: true}}}}",
        services.display()
    );
    bench.write("watcher.yaml", &config);
    assert!(bench.change().await.pause.all);
    std::fs::remove_file(services.join("echo.yaml")).unwrap();
    let new = bench.change().await.catalogue;
    assert!(new.contains_key("sign") && !new.contains_key("echo"));
    bench
        .count("isc_config_reloads_total{result=\"ok\"} 3")
        .await;
}

#[tokio::test]
async fn a_mistake_keeps_the_last_good_state_and_its_repair_is_seen() {
    let mut bench = Bench::start("real").await;
    bench.write("real/echo.yaml", "exec: {comand: [a]}");
    bench.count("result=\"failed\"} 1").await;
    assert!(bench.events.try_recv().is_err(), "nothing is told of it");
    bench.write("real/echo.yaml", "{exec: {command: [a]}, paused: true}");
    assert!(bench.change().await.catalogue["echo"].flow.paused);
}

#[tokio::test]
async fn folders_that_kubernetes_exchanges_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("config");
    let version = |name: &str, timeout: u32| {
        let folder = mount.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let service = format!("{{exec: {{command: [a]}}, timeoutSeconds: {timeout}}}");
        std::fs::write(folder.join("echo.yaml"), service).unwrap();
    };
    version("..2026_01", 10);
    symlink("..2026_01", mount.join("..data")).unwrap();
    symlink("..data/echo.yaml", mount.join("echo.yaml")).unwrap();
    let file = dir.path().join("watcher.yaml");
    std::fs::write(
        &file,
        format!(
            "servicesDir: {}\ngrpc: {{plaintext: true}}\n",
            mount.display()
        ),
    )
    .unwrap();
    let mut bench = Bench::on(dir, file, mount.clone()).await;
    for (name, timeout) in [("..2026_02", 20), ("..2026_03", 30)] {
        version(name, timeout);
        symlink(name, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        let new = bench.change().await.catalogue;
        assert_eq!(new["echo"].timeout, Duration::from_secs(timeout.into()));
    }
}

#[tokio::test]
async fn a_folder_that_is_replaced_as_a_whole_is_followed() {
    let mut bench = Bench::start("services").await;
    for (folder, timeout) in [("second", 20), ("third", 30)] {
        let new = bench.dir.path().join(folder);
        std::fs::create_dir(&new).unwrap();
        let text = format!("{{exec: {{command: [a]}}, timeoutSeconds: {timeout}}}");
        std::fs::write(new.join("echo.yaml"), text).unwrap();
        let (link, temporary) = (
            bench.dir.path().join("services"),
            bench.dir.path().join("services.new"),
        );
        symlink(folder, &temporary).unwrap();
        std::fs::rename(&temporary, &link).unwrap();
        let catalogue = bench.change().await.catalogue;
        assert_eq!(catalogue["echo"].timeout, Duration::from_secs(timeout));
    }
    // And what changes inside of the new one is seen.
    bench.write(
        "third/echo.yaml",
        "{exec: {command: [a]}, timeoutSeconds: 40}",
    );
    let catalogue = bench.change().await.catalogue;
    assert_eq!(catalogue["echo"].timeout, Duration::from_secs(40));
}

#[tokio::test]
async fn rules_are_exchanged_and_a_mistake_keeps_the_last_good_ones() {
    let mut bench = Bench::start("real").await;
    let services = bench.dir.path().join("real").display().to_string();
    let config = |policy: &str| {
        format!("servicesDir: {services}\ngrpc: {{plaintext: true}}\npolicy: {{{policy}}}\n")
    };
    assert_eq!(bench.policy.borrow_and_update().len(), 0);
    bench.write("watcher.yaml", &config("rules: [{effect: accept}]"));
    bench.count("isc_policy_rules 1").await;
    assert_eq!(bench.policy.borrow_and_update().len(), 1);
    bench.write("watcher.yaml", &config("rules: [{effect: acept}]"));
    bench.count("isc_config_stale 1").await;
    assert!(!bench.policy.has_changed().unwrap(), "the last good one");
    bench.write("watcher.yaml", &config("rules: [{effect: accept}]"));
    bench.count("isc_config_stale 0").await;
    // Into a file of its own, where a mistake is seen to be repaired as well.
    std::fs::create_dir(bench.dir.path().join("rules")).unwrap();
    bench.write("rules/policy.yaml", "rules: [{efect: accept}]");
    bench.write("watcher.yaml", &config("file: rules/policy.yaml"));
    bench.count("isc_config_stale 1").await;
    bench.write(
        "rules/policy.yaml",
        "rules: [{effect: accept}, {effect: reject}]",
    );
    bench.count("isc_policy_rules 2").await;
    bench.count("isc_config_stale 0").await;
}

#[tokio::test]
async fn a_port_of_the_other_kind_changes_nothing_for_the_one_that_is_open() {
    let mut bench = Bench::start("real").await;
    let services = bench.dir.path().join("real").display().to_string();
    let tls = "{certFile: a, keyFile: b, caFile: c}";
    let rules = "[{identities: [w], services: ['*']}]";
    let text = format!(
        "servicesDir: {services}\ngrpc: {{tls: {tls}, workers: {rules}}}\npause: {{all: true}}\n"
    );
    std::fs::write(bench.dir.path().join("watcher.yaml"), text).unwrap();
    let reloaded = bench.events.recv().await;
    assert!(reloaded.is_some(), "the pause is taken up");
    assert_eq!(**bench.allowed.borrow(), Allowed::Anybody);
}

#[test]
fn keys_that_need_another_start_are_named() {
    let keys = |text: &str| -> Map<String, Value> { serde_json::from_str(text).unwrap() };
    let before = keys(
        r#"{"servicesDir": "s", "window": 1, "pause": {"all": false}, "grpc": {"workers": [1]}}"#,
    );
    let now = keys(
        r#"{"servicesDir": "s", "window": 2, "pause": {"all": true}, "lostMax": 1, "grpc": {"workers": []}}"#,
    );
    assert_eq!(later_keys(&before, &now), ["`lostMax`", "`window`"]);
    let of_log = |log: &str| keys(&format!(r#"{{"log": {log}}}"#));
    let none = Map::new();
    assert!(later_keys(&none, &of_log(r#"{"filter": "debug"}"#)).is_empty());
    let json = of_log(r#"{"filter": "debug", "format": "json"}"#);
    assert_eq!(later_keys(&none, &json), ["`log`"]);
}

#[test]
fn only_the_files_that_were_read_concern() {
    let sources = Sources {
        file: Some("/etc/isc/watcher.yaml".into()),
        services: "/etc/isc/services".into(),
        policy: Arc::new(Mutex::new(Some("/etc/isc/policy.yaml".into()))),
        plaintext: true,
    };
    for (path, concerns) in [
        ("/etc/isc/services/a.yaml", true),
        ("/etc/isc/services", true),
        ("/etc/isc/watcher.yaml", true),
        ("/etc/isc/..data", true),
        ("/etc/isc/policy.yaml", true),
        ("/etc/isc/watcher.log", false),
    ] {
        assert_eq!(sources.concerns(Path::new(path)), concerns, "{path}");
    }
}
