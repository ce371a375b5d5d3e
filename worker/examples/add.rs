//! A worker with a service of its own: `cargo run --example add -- run --service add --params FILE
//! --services-dir worker/examples/services`.

use std::process::ExitCode;

use isc_worker::{Failure, Handlers, JobContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

async fn add(params: Add, job: JobContext) -> Result<Sum, Failure> {
    job.progress(50, "half way").await;
    let sum = params.a.checked_add(params.b);
    let sum = sum.ok_or_else(|| Failure::invalid("the sum is too large"))?;
    Ok(Sum { sum })
}

fn main() -> ExitCode {
    isc_worker::main(|| Handlers::new().on("add", add))
}
