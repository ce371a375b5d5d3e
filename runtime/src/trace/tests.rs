//! Which ids spans get, and what is recorded.

use std::time::Duration;

use super::*;
use crate::tls::CertificateMetrics;

const UID: &str = "6b1f6d3e-0d5c-4d53-a4d0-0c8f5e3f7a11";
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn caller(text: &str) -> Context {
    Context::parse(text, "vendor=x").unwrap()
}

/// A tracer, and what it records.
fn tracer(ratio: f64) -> (Tracer, mpsc::Receiver<SpanData>) {
    let (spans, queue) = mpsc::channel(2);
    let live = Live {
        spans,
        counts: Counts::default(),
        scope: InstrumentationScope::builder("isc").build(),
        ratio,
    };
    let live = Some(Arc::new(live));
    (Tracer { live }, queue)
}

fn span() -> Span {
    Span {
        name: "request sign".into(),
        kind: SpanKind::Server,
        start: SystemTime::UNIX_EPOCH + Duration::from_secs(9),
        end: SystemTime::UNIX_EPOCH,
        attributes: vec![],
        error: Some("JobFailed".into()),
    }
}

#[test]
fn a_restarted_process_finds_the_same_ids() {
    let of = |uid: &str, from: Option<&Context>| tracer(1.0).0.request(uid, from).unwrap();
    let caller = caller(CALLER);
    for from in [None, Some(&caller)] {
        let (first, again, other) = (of(UID, from), of(UID, from), of("another", from));
        assert_eq!(first, again);
        assert_ne!(first.context.span, other.context.span);
    }
    assert_ne!(
        of(UID, None).context.trace,
        of("another", None).context.trace
    );
}

#[test]
fn the_span_of_a_request_hangs_below_its_callers() {
    let (tracer, mut spans) = tracer(0.0);
    let caller = caller(CALLER);
    let place = tracer.request(UID, Some(&caller)).unwrap();
    let attempt = tracer.child(&place.context, true);
    assert_eq!(attempt.context.trace, caller.trace);
    tracer.record(&place, span);
    let sent = spans.try_recv().unwrap();
    assert_eq!(sent.parent_span_id, caller.span);
    assert_eq!(sent.span_context.trace_id(), caller.trace);
    assert_eq!(sent.span_context.trace_state().header(), "vendor=x");
    assert_eq!(sent.status, Status::error("JobFailed"));
    assert!(sent.parent_span_is_remote && sent.end_time >= sent.start_time);
    tracer.record(&attempt, span);
    assert_eq!(spans.try_recv().unwrap().parent_span_id, place.context.span);
}

#[test]
fn what_the_caller_does_not_record_is_not_recorded_but_passed_on() {
    let (tracer, mut spans) = tracer(1.0);
    let caller = caller(&CALLER.replace("-01", "-00"));
    let place = tracer.request(UID, Some(&caller)).unwrap();
    assert_eq!(tracer.child(&place.context, true).context, caller);
    tracer.record(&place, span);
    assert!(spans.try_recv().is_err());
}

#[test]
fn without_a_configuration_the_callers_trace_is_passed_on() {
    let caller = caller(CALLER);
    let off = Tracer::default();
    assert_eq!(off.request(UID, Some(&caller)).unwrap().context, caller);
    assert_eq!(off.child(&caller, true).context, caller);
    assert_eq!(off.request(UID, None), None);
}

#[test]
fn the_ratio_says_how_many_of_our_own_traces_are_recorded() {
    let recorded = |ratio| {
        let (tracer, _spans) = tracer(ratio);
        let chosen = |n: &u32| {
            tracer
                .request(&n.to_string(), None)
                .unwrap()
                .context
                .sampled
        };
        (0..2000).filter(chosen).count()
    };
    assert_eq!((recorded(0.0), recorded(1.0)), (0, 2000));
    assert!((400..600).contains(&recorded(0.25)), "{}", recorded(0.25));
}

#[test]
fn spans_that_nobody_takes_are_dropped_and_counted() {
    let (tracer, _spans) = tracer(1.0);
    for uid in ["a", "b", "c"] {
        tracer.record(&tracer.request(uid, None).unwrap(), span);
    }
    let mut registry = prometheus_client::registry::Registry::default();
    tracer.live.unwrap().counts.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains(r#"isc_spans_total{result="dropped"} 1"#),
        "{text}"
    );
}

#[test]
fn a_wrong_section_is_told_with_its_key() {
    let check = |yaml: &str| {
        let config: TraceConfig = serde_saphyr::from_str(yaml).unwrap();
        let place = config.place_by(|_| None);
        place.map(drop).map_err(|error| error.to_string())
    };
    let good = [
        "{}",
        "{endpoint: 'http://otel:4317', sampleRatio: 0.1}",
        "{endpoint: 'http://otel:4317/'}",
        "{endpoint: 'https://[::1]:4317', tls: {caFile: ca.crt}}",
    ];
    for yaml in good {
        assert_eq!(check(yaml), Ok(()), "{yaml}");
    }
    let cases = [
        ("{sampleRatio: 1.5}", "`tracing.sampleRatio`"),
        ("{sampleRatio: .nan}", "`tracing.sampleRatio`"),
        ("{endpoint: 'otel:4317'}", "`tracing.endpoint`"),
        (
            "{endpoint: 'https://otel:4317'}",
            "`tracing.tls` is missing",
        ),
        (
            "{endpoint: 'http://otel:4317', tls: {caFile: ca.crt}}",
            "write https://",
        ),
        (
            "{endpoint: 'http://otel:4318/v1/traces'}",
            "`tracing.endpoint`",
        ),
        ("{endpoint: 'http://otel'}", "`tracing.endpoint`"),
    ];
    for (yaml, wanted) in cases {
        let error = check(yaml).unwrap_err();
        assert!(error.contains(wanted), "{yaml}: {error}");
    }
}

#[test]
fn the_variables_say_where_the_collector_is_unless_the_configuration_does() {
    let variable = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(String::new()),
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://by-variable:1".into()),
        _ => None,
    };
    let place = |endpoint: Option<&str>| {
        let endpoint = endpoint.map(Into::into);
        let config = TraceConfig {
            endpoint,
            ..TraceConfig::default()
        };
        config.place_by(variable).unwrap()
    };
    let by = |text| collector::Place::parse(text).unwrap();
    assert_eq!(place(None), by("http://by-variable:1"));
    assert_eq!(place(Some("http://otel:4317")), by("http://otel:4317"));
    let wrong = |_: &str| Some("otel:4317".into());
    let error = TraceConfig::default().place_by(wrong).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_holds_nobody_up() {
    let config = TraceConfig {
        endpoint: Some("http://127.0.0.1:9".into()),
        ..TraceConfig::default()
    };
    let collector = config.collector(&CertificateMetrics::default()).unwrap();
    let (tracer, exporter) = Tracer::new(&collector, []).unwrap();
    tracer.record(&tracer.request(UID, None).unwrap(), span);
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(3), exporter.run(stop)).await;
    assert!(ended.is_ok(), "the end must not wait for it");
}
