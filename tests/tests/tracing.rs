//! Traces: what a collector gets of a request, from its caller's span to its job's.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use isc_tests::{
    Collector, Metrics, Process, Scene, Watcher, Worker, collector::Seen, isc, isc::set, net,
    pki::Authority, scene, wait, work::kill,
};
use kube::api::PostParams;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// Nobody who looks at traces may see it.
const SECRET: &str = "for-the-job-only";

/// Tells what it was given.
const TRACED: &str = r#"
    printf '{"traceparent": "%s", "tracestate": "%s", "params": %s}' \
        "${TRACEPARENT-none}" "${TRACESTATE-none}" "$(cat "$ISC_PARAMS")" > "$ISC_RESULT""#;

/// The same, once it may end.
const GATED: &str = r#"echo > "$ISC_SERVICE_DIR/../began"
    while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
    printf '{"traceparent": "%s"}' "${TRACEPARENT-none}" > "$ISC_RESULT""#;

fn plain(url: &str) -> Value {
    json!({"endpoint": url})
}

async fn watcher(scene: &Scene, tracing: Value) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    isc::shorten_lease(&mut config);
    set(&mut config, "tracing", tracing);
    set(&mut config, "log.filter", "info,isc_watcher=debug");
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok(watcher)
}

async fn worker(scene: &Scene, name: &str, tracing: Value) -> Result<Worker> {
    let mut config = scene.worker_config(name);
    set(&mut config, "tracing", tracing);
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    Ok(worker)
}

/// Makes a request with annotations; returns its UID.
async fn ask(scene: &Scene, name: &str, annotations: &[(&str, &str)]) -> Result<String> {
    let spec = json!({"params": {"key": SECRET}});
    let mut object = scene.team.object(name, "traced", &spec)?;
    let annotations = annotations
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()));
    object.metadata.annotations = Some(annotations.collect::<BTreeMap<_, _>>());
    let requests = scene.team.requests("default");
    let made = requests.create(&PostParams::default(), &object).await?;
    made.metadata.uid.context("a request without a UID")
}

/// The only span of that name.
fn only<'a>(trace: &'a [Seen], name: &str) -> Result<&'a Seen> {
    let mut found = trace.iter().filter(|seen| seen.span.name == name);
    let first = found.next().with_context(|| format!("no span {name}"))?;
    ensure!(found.next().is_none(), "more than one span {name}");
    Ok(first)
}

/// Checks that the spans of a request that ended well hang together, and returns the request's own.
fn check(trace: &[Seen], service: &str, result: &Value) -> Result<Seen> {
    let request = only(trace, &format!("request {service}"))?;
    let attempt = only(trace, &format!("attempt {service}"))?;
    let publish = only(trace, &format!("publish isc.requests:{service}"))?;
    let process = only(trace, &format!("process isc.requests.{service}"))?;
    for (seen, parent, by, kind) in [
        (
            only(trace, "queue")?,
            request,
            "isc-watcher",
            SpanKind::Internal,
        ),
        (publish, request, "isc-watcher", SpanKind::Producer),
        (process, publish, "isc-worker", SpanKind::Consumer),
        (attempt, request, "isc-worker", SpanKind::Internal),
    ] {
        let name = &seen.span.name;
        assert_eq!(seen.parent(), parent.id(), "the parent of {name}");
        assert_eq!((seen.process.as_str(), seen.kind()), (by, kind), "{name}");
        let (start, end) = (seen.span.start_time_unix_nano, seen.span.end_time_unix_nano);
        assert!(start <= end && start > 0, "{name}");
    }
    assert_eq!(
        (request.process.as_str(), request.kind()),
        ("isc-watcher", SpanKind::Server)
    );
    assert_eq!(
        request.attribute("isc.request.phase").as_deref(),
        Some("Succeeded")
    );
    let wanted = format!("00-{}-{}-01", attempt.trace(), attempt.id());
    assert_eq!(result["traceparent"], wanted, "what the job continues");
    let told = format!("{trace:?}");
    assert!(!told.contains(SECRET), "no parameter and no result: {told}");
    Ok(request.clone())
}

const NAMES: [&str; 4] = [
    "request traced",
    "attempt traced",
    "process isc.requests.traced",
    "write status",
];

#[test]
fn a_request_is_one_trace_from_its_caller_to_its_job() -> Result<()> {
    scene::run(async |scene| {
        scene.service("traced", TRACED)?;
        let authority = Authority::new("isc-test")?;
        let collector = Collector::encrypted(&authority.issue(&["localhost"])?, &authority).await?;
        let encrypted = |name: &str| -> Result<Value> {
            let issued = authority.issue(&[name])?;
            let files = issued.write(&scene.dir.join("tls"), name, &authority)?;
            Ok(json!({"endpoint": collector.url, "tls": files.section()}))
        };
        let watcher = watcher(scene, encrypted("watcher")?).await?;
        let _worker = worker(scene, "worker-1", encrypted("worker")?).await?;

        let parent = format!("00-{TRACE}-{CALLER}-01");
        let ours = "internal.services/traceparent";
        let state = ("internal.services/tracestate", "vendor=x");
        let uid = ask(
            scene,
            "called",
            &[(ours, &parent), state, ("traceparent", "-")],
        )
        .await?;
        let status = scene.team.wait_end("called").await?;
        let trace = collector.trace_of(&uid, &NAMES).await?;
        let request = check(&trace, "traced", &status["result"])?;
        assert_eq!(
            (request.trace(), request.parent()),
            (TRACE.into(), CALLER.into())
        );
        assert_eq!(status["result"]["tracestate"], "vendor=x", "{status}");

        let other = TRACE.replace('4', "5");
        let parent = format!("00-{other}-{CALLER}-01");
        let uid = ask(scene, "plain", &[("traceparent", &parent)]).await?;
        let status = scene.team.wait_end("plain").await?;
        let trace = collector.trace_of(&uid, &NAMES).await?;
        let request = check(&trace, "traced", &status["result"])?;
        assert_eq!((request.trace(), request.parent()), (other, CALLER.into()));

        for (name, annotations) in [("own", &[][..]), ("wrong", &[(ours, "00-hello")])] {
            let uid = ask(scene, name, annotations).await?;
            let status = scene.team.wait_end(name).await?;
            let trace = collector.trace_of(&uid, &NAMES).await?;
            let request = check(&trace, "traced", &status["result"])?;
            assert_eq!(request.parent(), "", "it begins a trace: {name}");
            assert_ne!(request.trace(), TRACE);
            assert_eq!(status["result"]["tracestate"], "none", "{status}");
        }
        let log = watcher.process.log();
        let told: Vec<_> = log
            .lines()
            .filter(|line| line.contains("is no traceparent"))
            .collect();
        let [told] = told[..] else {
            bail!("told once: {log}");
        };
        assert!(told.contains("DEBUG") && told.contains("wrong"), "{told}");
        Ok(())
    })
}

#[test]
fn what_the_caller_does_not_record_reaches_the_job_and_no_collector() -> Result<()> {
    scene::run(async |scene| {
        scene.service("traced", TRACED)?;
        let collector = Collector::start().await?;
        let _watcher = watcher(scene, plain(&collector.url)).await?;
        let _worker = worker(scene, "worker-1", plain(&collector.url)).await?;
        let quiet = format!("00-{TRACE}-{CALLER}-00");
        ask(scene, "quiet", &[("internal.services/traceparent", &quiet)]).await?;
        let status = scene.team.wait_end("quiet").await?;
        assert_eq!(status["result"]["traceparent"], quiet, "{status}");
        // One that is recorded comes after it, and fails.
        scene.team.ask("broken", "none", json!({})).await?;
        scene.team.wait_end("broken").await?;
        wait::until("a later request is there", wait::USUAL, async || {
            let spans = collector.spans();
            let request = only(&spans, "request")?;
            let status = request.span.status.clone().unwrap_or_default();
            assert_eq!(
                (status.code(), &*status.message),
                (StatusCode::Error, "UnknownService")
            );
            assert!(spans.iter().all(|seen| seen.trace() != TRACE), "{spans:?}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_watcher_that_was_killed_leaves_one_trace_with_one_request() -> Result<()> {
    scene::run(async |scene| {
        scene.service("gated", GATED)?;
        let collector = Collector::start().await?;
        let mut first = watcher(scene, plain(&collector.url)).await?;
        let _worker = worker(scene, "worker-1", plain(&collector.url)).await?;
        let uid = scene.team.ask("long", "gated", json!({})).await?;
        scene.file("began").await?;
        scene.team.wait_phase("long", "Running").await?;
        wait::until("its first spans are sent", wait::USUAL, async || {
            let spans = collector.spans();
            only(&spans, "queue").and(only(&spans, "publish isc.requests:gated"))?;
            Ok(())
        })
        .await?;
        kill(&mut first.process).await?;
        let next = watcher(scene, plain(&collector.url)).await?;
        wait::until("the worker is back", wait::USUAL, async || {
            let sessions = next.metrics().await?.sum("isc_sessions", &[]);
            ensure!(sessions > 0.5, "{sessions} sessions");
            Ok(())
        })
        .await?;
        std::fs::write(scene.dir.join("go"), "")?;
        let status = scene.team.wait_end("long").await?;
        assert_eq!(status["attempt"], 1, "{status}");
        let names = [
            "request gated",
            "attempt gated",
            "process isc.requests.gated",
        ];
        let trace = collector.trace_of(&uid, &names).await?;
        let request = check(&trace, "gated", &status["result"])?;
        let all = collector.spans();
        assert!(
            all.iter().all(|seen| seen.trace() == request.trace()),
            "{all:?}"
        );
        Ok(())
    })
}

#[test]
fn nobody_waits_for_a_collector_that_is_away_or_hangs_or_refuses() -> Result<()> {
    scene::run(async |scene| {
        for name in ["away", "refusing", "stranger"] {
            scene.service(name, TRACED)?;
        }
        // Whoever connects there is never answered.
        let silent = TcpListener::bind("127.0.0.1:0").await?;
        let hanging = format!("http://{}", silent.local_addr()?);
        let mut watcher = watcher(scene, plain(&hanging)).await?;

        let authority = Authority::new("isc-test")?;
        let stranger = Collector::encrypted(&authority.issue(&["localhost"])?, &authority).await?;
        let refusing = Collector::refusing("no such tenant").await?;
        let files = Authority::new("another")?.issue(&["w"])?;
        let files = files.write(&scene.dir, "w", &Authority::new("another")?)?;
        let nowhere = format!("http://{}", net::free_address()?);
        let tls = json!({"endpoint": stranger.url, "tls": files.section()});
        let mut workers = vec![];
        for (name, tracing, words) in [
            ("away", plain(&nowhere), "refused"),
            ("refusing", plain(&refusing.url), "PermissionDenied"),
            ("stranger", tls, "not in `tracing.tls.caFile`"),
        ] {
            let mut config = scene.worker_config(name);
            set(&mut config, "services", json!([name]));
            set(&mut config, "tracing", tracing);
            workers.push((name, scene.start_worker(config)?, words));
        }
        for (name, worker, _) in &mut workers {
            worker.ready().await?;
            scene.team.ask(name, name, json!({})).await?;
        }
        for (name, _, _) in &workers {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
            let parent = &status["result"]["traceparent"];
            assert_ne!(*parent, "none", "the job has its trace all the same");
        }
        lost(watcher.admin, &watcher.process, "it does not answer").await?;
        for (_, worker, words) in &workers {
            lost(worker.admin, &worker.process, words).await?;
        }
        let processes = workers.iter_mut().map(|(_, worker, _)| &mut worker.process);
        for process in processes.chain([&mut watcher.process]) {
            let status = process.terminate(wait::USUAL).await?;
            assert!(status.success(), "{status}");
        }
        Ok(())
    })
}

/// Waits until lost spans are counted, and told with these words.
async fn lost(admin: SocketAddr, process: &Process, words: &str) -> Result<()> {
    let what = format!("{} says {words}", process.name());
    wait::until(&what, wait::USUAL, async || {
        let metrics = Metrics::scrape(admin).await?;
        let failed = metrics.sum("isc_spans_total", &[("result", "failed")]);
        ensure!(failed > 0.5, "{}", metrics.lines("isc_spans"));
        let log = process.log();
        let told = log.lines().find(|line| line.contains("spans are lost"));
        let told = told.context("it tells nothing")?;
        ensure!(told.contains(words), "{told}");
        Ok(())
    })
    .await
}
