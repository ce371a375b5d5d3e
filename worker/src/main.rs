//! `isc-worker`: the worker that runs programs. One that runs code of its own is made with the library.

use std::process::ExitCode;

use isc_worker::Handlers;

fn main() -> ExitCode {
    isc_worker::main(Handlers::new)
}
