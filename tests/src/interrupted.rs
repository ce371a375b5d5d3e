//! A program that started others is asked to end: it ends them first.

use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell makes of a program that an interrupt has ended.
const INTERRUPTED: u8 = 130;

/// Does that work until it ends or somebody asks for an end; what it started ends with it. An error is said.
///
/// All of it runs on this one thread: children end with the thread that started them, and this one lives as long
/// as the program does.
pub fn or(work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(either(work)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn either(work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    tokio::select! {
        code = work => code.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }),
        name = asked() => {
            eprintln!("\n{name}: everything that was started is being ended");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// Returns with the first signal that asks for an end; whoever waits drops, and so ends, all children.
async fn asked() -> &'static str {
    let (Ok(mut int), Ok(mut term), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return "signals cannot be received";
    };
    tokio::select! {
        _ = int.recv() => "SIGINT",
        _ = term.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    }
}
