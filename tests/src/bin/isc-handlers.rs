//! `isc-handlers`: a worker with services in Rust, for the tests and the benchmark.
//!
//! `noop` does nothing; the others do well or badly on purpose.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use isc_worker::{Failure, Handlers, JobContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How often a file is looked for.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Add {
    a: i64,
    b: i64,
    /// Waits there, half-way, until this file exists.
    wait_for: Option<PathBuf>,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Flaky {
    /// So many attempts fail.
    failures: u32,
}

#[derive(Serialize, JsonSchema)]
struct Tries {
    attempt: u32,
    failed: u32,
}

fn main() -> ExitCode {
    isc_worker::main(|| {
        Handlers::new()
            .on("noop", async |_: Value, _| Ok(json!({"ok": true})))
            .on("add", add)
            .on("flaky", flaky)
            .on("patient", patient)
            .on("stubborn", stubborn)
            .on("panics", panics)
            .on("blocks", blocks)
    })
}

async fn add(params: Add, job: JobContext) -> Result<Sum, Failure> {
    job.progress(50, "half way").await;
    if let Some(path) = params.wait_for {
        while !path.exists() {
            tokio::time::sleep(LOOK).await;
        }
    }
    let sum = params.a.checked_add(params.b);
    let sum = sum.ok_or_else(|| Failure::invalid("the sum is too large"))?;
    Ok(Sum { sum })
}

async fn flaky(params: Flaky, job: JobContext) -> Result<Tries, Failure> {
    if job.failed() < params.failures {
        return Err(Failure::retryable("not this time"));
    }
    Ok(Tries {
        attempt: job.attempt(),
        failed: job.failed(),
    })
}

/// Stops when it is told to.
async fn patient(_: Value, job: JobContext) -> Result<(), Failure> {
    job.progress(10, "waiting").await;
    job.cancelled().await;
    Err(Failure::stopped())
}

/// Does not.
async fn stubborn(_: Value, job: JobContext) -> Result<(), Failure> {
    job.progress(10, "waiting").await;
    std::future::pending().await
}

async fn panics(_: Value, job: JobContext) -> Result<(), Failure> {
    assert!(job.uid().is_empty(), "a panic that was ordered");
    Ok(())
}

/// Does what a handler must not: keeps a thread of the runtime.
async fn blocks(_: Value, _: JobContext) -> Result<(), Failure> {
    loop {
        std::thread::park();
    }
}
