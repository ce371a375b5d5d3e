use std::{fs, path::Path, time::Duration};

use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;

/// An audit that can be stopped, and its metrics.
struct Bench {
    auditor: Auditor,
    stop: CancellationToken,
    registry: Registry,
}

fn bench(file: &Path, lines: usize) -> (Bench, Writer) {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let config = AuditConfig {
        file: Some(file.to_owned()),
        stdout: false,
    };
    let (auditor, writer) = with_room((lines, 1000), &config, "isc", (Paths::new(), metrics));
    let stop = CancellationToken::new();
    let bench = Bench {
        auditor,
        stop,
        registry,
    };
    (bench, writer)
}

fn events(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

// === impl Bench ===

impl Bench {
    fn shows(&self, line: &str) {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_told_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let (bench, writer) = bench(&file, 3);
    for _ in 0..10 {
        bench.auditor.serving();
    }
    bench.stop.cancel();
    writer.run(bench.stop.clone()).await.unwrap();
    let told = events(&file);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[3]["event"], "lost");
    assert_eq!(told[3]["lines"], 7);
    assert!(told[3]["since"].is_string());
    bench.shows("isc_audit_lines_total{result=\"dropped\"} 7");
    bench.shows("isc_audit_lines_total{result=\"written\"} 4");
}

#[tokio::test(start_paused = true)]
async fn lines_wait_for_a_file_that_cannot_be_written_yet() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("later");
    let file = place.join("audit.jsonl");
    let (bench, writer) = bench(&file, 10);
    bench.auditor.serving();
    let writing = tokio::spawn(writer.run(bench.stop.clone()));
    tokio::time::sleep(Duration::from_secs(30)).await;
    bench.shows("isc_audit_blocked 1");
    fs::create_dir(&place).unwrap();
    bench.auditor.stopped(true);
    bench.auditor.stopped(false);
    while !file.exists() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bench.stop.cancel();
    writing.await.unwrap().unwrap();
    let told = events(&file);
    let told: Vec<_> = told.iter().map(|line| line["event"].clone()).collect();
    assert_eq!(told, ["serving", "stopped"]);
    bench.shows("isc_audit_blocked 0");
}

#[tokio::test]
async fn what_cannot_be_written_at_the_end_is_counted() {
    let (bench, writer) = bench(Path::new("/dev/full"), 10);
    bench.auditor.serving();
    bench.auditor.stopped(true);
    bench.stop.cancel();
    writer.run(bench.stop.clone()).await.unwrap();
    bench.shows("isc_audit_lines_total{result=\"failed\"} 2");
}

#[test]
fn parameters_that_wait_for_their_digest_have_little_room() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, mut writer) = bench(&folder.path().join("audit.jsonl"), 10);
    let started = |bytes: usize| isc_core::audit::Audit {
        uid: isc_core::ids::Uid::new("a"),
        address: isc_core::ids::Address {
            endpoint: "e".into(),
            kind: "k".into(),
            cluster: "c".into(),
            namespace: "n".into(),
            name: "a".into(),
        },
        service: "sign".into(),
        requester: "alice".into(),
        what: isc_core::audit::What::Started {
            attempt: 1,
            by: isc_core::ids::Holder {
                worker: "w".into(),
                incarnation: "1".into(),
            },
            params: "x".repeat(bytes).into(),
        },
    };
    bench.auditor.told(started(600));
    bench.auditor.told(started(600));
    bench.shows("isc_audit_lines_total{result=\"dropped\"} 1");
    writer.takes_one();
    bench.auditor.told(started(600));
    bench.shows("isc_audit_lines_total{result=\"dropped\"} 1");
}
