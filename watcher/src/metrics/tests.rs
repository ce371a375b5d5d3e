//! What is exported, and that docs/metrics.md says the same.

use std::collections::BTreeMap;

use isc_core::{engine::Load, ids::Source, schedule::Counts};
use isc_runtime::{metrics::table, trace};
use jiff::Timestamp;

use super::*;

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// Every label that has no closed list has one value.
fn with_a_sample_each(registry: &mut Registry) -> Metrics {
    let metrics = Metrics::new(registry);
    let source = Source {
        endpoint: "https://kcp:6443/services/apiexport/1abc/internal.services".into(),
        kind: "requests.internal.services".into(),
    };
    metrics.sources.listed(&source);
    metrics.show(Snapshot {
        sources: [(source, 1)].into(),
        ..busy()
    });
    for reason in words::ENDS {
        metrics.measure(&Measure::Finished {
            service: Some("sign".into()),
            reason: *reason,
            queued: Some(std::time::Duration::ZERO),
            ran: Some(std::time::Duration::ZERO),
            total: Some(std::time::Duration::ZERO),
        });
    }
    for result in ["accepted", "rejected"] {
        metrics.decision("any", result);
    }
    metrics.rule_failed("any");
    for method in words::METHODS {
        metrics.api_call(&method.parse().unwrap(), 200);
    }
    for name in ["grpc", "scaler", "amqp", "tracing"] {
        drop(metrics.certificates.of(name, true));
    }
    for name in ["kubeconfig", "election"] {
        metrics.certificates.ends(name, Some(0));
    }
    trace::Counts::default().register(registry);
    metrics
}

/// One service with something of everything.
fn busy() -> Snapshot {
    let counts = Counts {
        waiting: 5,
        offered: 2,
        held: 3,
        startable: 4,
        paused: false,
    };
    let load = |services: &[&str], busy| Load {
        services: services.iter().map(|name| (*name).into()).collect(),
        slots: 4,
        busy,
    };
    Snapshot {
        services: [("sign".into(), counts)].into(),
        oldest: [(
            "sign".into(),
            Timestamp::from_second(1_700_000_000).unwrap(),
        )]
        .into(),
        workers: vec![load(&["sign", "x"], 3), load(&["sign"], 0), load(&["x"], 0)],
        ..Snapshot::default()
    }
}

#[test]
fn the_table_says_what_is_exported() {
    let mut registry = Registry::default();
    isc_runtime::metrics::register(&mut registry);
    let _metrics = with_a_sample_each(&mut registry);
    let said = table::said(PAGE, &["isc-watcher", "Both"]);
    let differences = table::differences(&table::exported(&registry), &said);
    assert!(differences.is_empty(), "docs/metrics.md: {differences:#?}");
}

#[test]
fn a_service_shows_its_requests_and_the_slots_for_it_until_it_is_gone() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.show(busy());
    let of_services = || -> BTreeMap<String, String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("isc_service_"));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    };
    let shown = of_services();
    let wanted = [
        ("requests{service=\"sign\",state=\"waiting\"}", "5"),
        ("requests{service=\"sign\",state=\"offered\"}", "2"),
        ("requests{service=\"sign\",state=\"held\"}", "3"),
        ("startable{service=\"sign\"}", "4"),
        ("slots{service=\"sign\",state=\"all\"}", "8"),
        ("slots{service=\"sign\",state=\"free\"}", "5"),
        ("paused{service=\"sign\"}", "0"),
        (
            "oldest_waiting_timestamp_seconds{service=\"sign\"}",
            "1700000000",
        ),
    ];
    for (key, value) in wanted {
        assert_eq!(shown[&format!("isc_service_{key}")], value, "{key}");
    }
    assert_eq!(
        shown.len(),
        wanted.len(),
        "what workers name is no label: {shown:?}"
    );
    let mut idle = busy();
    idle.oldest.clear();
    metrics.show(idle);
    let oldest = "isc_service_oldest_waiting_timestamp_seconds{service=\"sign\"}";
    assert_eq!(of_services()[oldest], "0", "nothing waits");
    metrics.show(Snapshot::default());
    assert_eq!(of_services(), BTreeMap::new());
}

#[test]
fn a_service_that_is_not_there_gives_no_label() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.measure(&Measure::Finished {
        service: None,
        reason: isc_core::reason::Reason::UnknownService,
        queued: None,
        ran: None,
        total: None,
    });
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("isc_requests_finished_total{service=\"-\",reason=\"UnknownService\"} 1"),
        "{text}"
    );
}
