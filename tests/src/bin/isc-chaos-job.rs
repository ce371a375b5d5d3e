//! `isc-chaos-job`: the program behind the services of the fault suite.

use std::process::ExitCode;

fn main() -> ExitCode {
    match isc_tests::chaos::job::main() {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}
