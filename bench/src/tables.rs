//! The tables of a whole run.

use std::fmt::Write as _;

use crate::{cost::WHO, full::Found, growth::Rate, pace::Latencies, product::STEADY_SECONDS};

/// All tables of a run.
pub(crate) fn all(found: &Found) -> String {
    let all = [
        subjects(found),
        costs(found),
        paces(found),
        steady(found),
        stored(found),
        waiting(found),
        rates("in so many workspaces", &found.tenants),
        rates("with so many workers of 8 slots", &found.workers),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn subjects(found: &Found) -> Option<String> {
    let rows = found.subjects.iter().map(|subject| {
        let rates: Vec<String> = subject.rates.iter().map(|r| format!("{r:.1}")).collect();
        vec![
            subject.name.clone(),
            rates.join(" "),
            format!("{:.2}", subject.ratio),
        ]
    });
    let head = ["subject", "requests/s in each round", "by the limit"];
    filled("throughput", &head, rows)
}

fn costs(found: &Found) -> Option<String> {
    let rows = found.subjects.iter().map(|subject| {
        let cost = &subject.cost;
        let counts = [
            cost.status_writes,
            cost.api_calls,
            cost.grpc_messages,
            cost.amqp_messages,
        ];
        let cpu = WHO.map(|who| cost.cpu_seconds.get(who).unwrap_or(&0.0) * 1e3);
        let numbers = counts.into_iter().chain(cpu);
        let numbers = numbers.map(|number| format!("{number:.2}"));
        let name = std::iter::once(subject.name.clone());
        name.chain(numbers).collect()
    });
    let head = ["subject", "status writes", "API calls", "gRPC", "AMQP"];
    let head = [head.as_slice(), &WHO].concat();
    filled("what a request costs (ms of a processor)", &head, rows)
}

fn paces(found: &Found) -> Option<String> {
    let line = |l: &Latencies| format!("{:.1} / {:.1} / {:.1}", l.p50_ms, l.p95_ms, l.p99_ms);
    let rows = found.paces.iter().map(|pace| {
        vec![
            format!("{:.0} % ({:.1}/s)", pace.share * 100.0, pace.product.rate),
            line(&pace.limit),
            line(&pace.product),
            format!("{:.1}", pace.product.p50_ms - pace.limit.p50_ms),
            format!("{:.1}", pace.product.p99_ms - pace.limit.p99_ms),
        ]
    });
    let head = ["load", "limit", "product", "added p50", "added p99"];
    filled("latency, ms (p50 / p95 / p99)", &head, rows)
}

fn steady(found: &Found) -> Option<String> {
    let cost = found.steady.as_ref()?;
    Some(format!(
        "a job of {STEADY_SECONDS} s that tells of its progress four times a second\n  {:.2} status writes\n",
        cost.status_writes
    ))
}

fn stored(found: &Found) -> Option<String> {
    let rows = found.stored.iter().map(|s| {
        vec![
            s.requests.to_string(),
            format!("{:.2}", s.list_seconds),
            format!("{:.2}", s.start_seconds),
            format!("{:.2}", s.start_seconds / s.list_seconds),
            format!("{:.1}", s.memory_mb),
            format!("{:.0}", s.bytes_each),
        ]
    });
    let head = [
        "requests",
        "list s",
        "start s",
        "by the list",
        "MB",
        "bytes each",
    ];
    filled("finished requests, and a watcher that starts", &head, rows)
}

fn waiting(found: &Found) -> Option<String> {
    let rows = found.waiting.iter().map(|w| {
        vec![
            w.requests.to_string(),
            format!("{:.1}", w.memory_mb),
            format!("{:.0}", w.bytes_each),
        ]
    });
    filled("waiting requests", &["requests", "MB", "bytes each"], rows)
}

fn rates(title: &str, found: &[Rate]) -> Option<String> {
    let rows = found.iter().map(|r| {
        vec![
            r.of.to_string(),
            format!("{:.1}", r.per_second),
            format!("{:.2}", r.watcher_cpu_ms),
        ]
    });
    filled(title, &["of", "requests/s", "watcher ms"], rows)
}

fn filled(title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Option<String> {
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| table(title, head, &rows))
}

/// A table with a title, its columns as wide as they need to be.
fn table(title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = format!("{title}\n");
    for row in all() {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let _infallible = writeln!(text, "  {}", line.join("  ").trim_end());
    }
    text
}
