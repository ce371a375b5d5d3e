//! What the configuration may and may not say.

use super::*;

fn read(yaml: &str) -> Result<WatcherConfig, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    // What most tests are not about.
    let plain = ("ISC_GRPC__PLAINTEXT".to_owned(), "true".to_owned());
    let vars = (!yaml.contains("grpc")).then_some(plain);
    let config: WatcherConfig = isc_runtime::config::load_from(Some(file.path()), vars)?;
    config.check()?;
    Ok(config)
}

#[test]
fn one_key_is_enough_beside_the_ports() {
    let config = read("servicesDir: services").unwrap();
    assert_eq!(
        (
            config.instance.as_str(),
            config.lease.seconds,
            config.window
        ),
        ("isc", 30, 4)
    );
    assert_eq!(config.kcp.endpoint_slice, "internal.services");
}

#[test]
fn an_instance_that_selects_puts_its_name_on_requests() {
    let catalogue = services::Catalogue::default();
    for (more, claims) in [
        ("", false),
        ("select: {}", true),
        ("select: {services: [sign]}", true),
        ("adopts: [old]", true),
        ("unknownServiceSeconds: 0", false),
    ] {
        let config = read(&format!("servicesDir: s\n{more}\n")).unwrap();
        assert_eq!(config.engine(&catalogue).claims, claims, "{more}");
    }
    let usual = read("servicesDir: s").unwrap().engine(&catalogue);
    assert_eq!(usual.unknown_service, Duration::from_secs(60));
}

#[test]
fn rules_name_their_key() {
    for (yaml, key) in [
        ("{servicesDir: s, adopts: [isc]}", "adopts"),
        ("{servicesDir: s, select: {service: [a]}}", "service"),
        (
            "{servicesDir: s, select: {workspaces: ['a::b']}}",
            "select.workspaces",
        ),
        ("{servicesDir: s, instance: Big}", "instance"),
        (
            "{servicesDir: s, lease: {seconds: 10, heartbeatSeconds: 9}}",
            "lease.seconds",
        ),
        (
            "{servicesDir: s, status: {parallelWrites: 0}}",
            "parallelWrites",
        ),
        (
            "{servicesDir: s, status: {paralelWrites: 1}}",
            "paralelWrites",
        ),
        ("{servicesDir: s, window: 0}", "window"),
        ("{servicesDir: s, grpc: {listen: nowhere}}", "listen"),
        ("instance: isc", "servicesDir"),
        (
            "{servicesDir: s, tenants: {inFlight: 0}}",
            "tenants.inFlight",
        ),
        ("{servicesDir: s, tenants: {waiting: 0}}", "tenants.waiting"),
        (
            "{servicesDir: s, tenants: {waitingBytes: 0}}",
            "tenants.waitingBytes",
        ),
        ("{servicesDir: s, tenants: {inFlihgt: 1}}", "inFlihgt"),
        (
            "{servicesDir: s, pause: {tenants: ['root:org:team']}}",
            "pause.tenants",
        ),
        (
            "{servicesDir: s, pause: {services: [Sign]}}",
            "pause.services",
        ),
        ("{servicesDir: s, pause: {everything: true}}", "everything"),
        ("{servicesDir: s, kcp: {mode: kpc}}", "mode"),
        (
            "{servicesDir: s, kcp: {namespaces: [Team]}}",
            "kcp.namespaces",
        ),
        (
            "{servicesDir: s, kcp: {mode: static, namespaces: [team]}}",
            "kcp.namespaces",
        ),
    ] {
        let error = read(yaml).unwrap_err().to_string();
        assert!(error.contains(key), "{yaml}: {error}");
    }
}

#[test]
fn an_election_is_quicker_than_the_workers_lease() {
    for (yaml, text) in [
        (
            "{servicesDir: s, election: {leaseSeconds: 2}}",
            "`election.retryMs`",
        ),
        (
            "{servicesDir: s, election: {leaseSeconds: 15}}",
            "up to 24 s",
        ),
    ] {
        let error = read(yaml).unwrap_err().to_string();
        assert!(error.contains(text), "{yaml}: {error}");
    }
    read("{servicesDir: s, election: {}}").unwrap();
}

#[test]
fn what_may_run_and_wait_reaches_the_engine() {
    let config = read(
        "{servicesDir: s, tenants: {inFlight: 3}, pause: {services: [sign], tenants: [1abc]}}",
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = "{exec: {command: [a]}, queueTimeoutSeconds: 7, maxDeadlineSeconds: 9, retry: {retries: 2},
        ttlSecondsAfterFinished: 60, limits: {rate: {perSecond: 4, burst: 2}, key: {cel: params.a, max: 5}}}";
    std::fs::write(dir.path().join("sign.yaml"), file).unwrap();
    let catalogue = services::Catalogue::load(dir.path()).unwrap();
    let engine = config.engine(&catalogue);
    assert_eq!(
        (engine.tenants.in_flight, engine.tenants.waiting),
        (Some(3), 20_000)
    );
    assert!(engine.pause.services.contains("sign") && engine.pause.tenants.contains("1abc"));
    let sign = &engine.catalogue["sign"];
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!((sign.queue.default, sign.queue.max), (seconds(7), None));
    assert_eq!((sign.deadline.max, sign.ttl), (seconds(9), seconds(60)));
    assert_eq!((sign.retries, sign.flow.per_key), (2, Some(5)));
    let rate = sign.flow.rate.unwrap();
    assert_eq!((rate.every, rate.burst), (Duration::from_millis(250), 2));
}

#[test]
fn a_port_is_open_to_everybody_only_where_it_is_said() {
    let tls = "tls: {certFile: a, keyFile: b, caFile: c}";
    let rule = "workers: [{identities: [w], services: [s]}]";
    for (sections, wanted) in [
        ("grpc: {}".to_owned(), "`grpc.tls` is missing"),
        (
            format!("grpc: {{{tls}, plaintext: true, {rule}}}"),
            "exclude each other",
        ),
        (format!("grpc: {{{tls}}}"), "`grpc.workers` is empty"),
        (
            format!("grpc: {{plaintext: true, {rule}}}"),
            "`grpc.workers`",
        ),
        (
            format!("grpc: {{{tls}, workers: [{{identities: [w], services: ['**']}}]}}"),
            "`grpc.workers[0].services`",
        ),
        (
            "grpc: {plaintext: true}, scaler: {}".to_owned(),
            "`scaler.tls` is missing",
        ),
        ("grpc: {tls: {certFile: a}}".to_owned(), "keyFile"),
    ] {
        let error = read(&format!("{{servicesDir: s, {sections}}}")).unwrap_err();
        assert!(error.to_string().contains(wanted), "{sections}: {error}");
    }
    read(&format!("{{servicesDir: s, grpc: {{{tls}, {rule}}}}}")).unwrap();
}
