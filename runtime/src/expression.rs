//! CEL: how an expression of the operator is read, and evaluated over values of a stranger.
//!
//! The interpreter recurses over an expression and knows no budget; so what may be written, and for how
//! many values a loop may run, is limited here.

mod bindings;
mod condition;
mod shape;

use std::panic::AssertUnwindSafe;

use cel::Program;

pub use bindings::{Bindings, LOOP_MAX_BYTES, LOOP_MAX_VALUES};
pub(crate) use bindings::{empty, to_cel};
pub use condition::{CONDITION_MAX_BYTES, Condition, Failure, Variables};

/// The stack of the thread that parses, bytes: up to 250 KB for each bracket and operator (cel 0.15, debug),
/// and there are at most 128. Of no cost until it is used.
const PARSER_STACK: usize = 64 << 20;
const INTERPRETER_FAILED: &str = "the CEL interpreter failed; write the expression in another way";

/// Reads an expression; its brackets and operators are for the caller to count.
///
/// # Errors
/// The first line of what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Program, String> {
    let parser = std::thread::Builder::new().stack_size(PARSER_STACK);
    std::thread::scope(|scope| {
        let parsing = parser.spawn_scoped(scope, || Program::compile(text));
        let parsing = parsing.map_err(|error| format!("no thread to parse it: {error}"))?;
        match parsing.join() {
            Ok(parsed) => parsed.map_err(|error| first_line(&error)),
            Err(_panic) => Err(INTERPRETER_FAILED.into()),
        }
    })
}

/// Values come from outside: should they find a fault in the interpreter, only this one call fails.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(call)).map_err(|_panic| INTERPRETER_FAILED.into())
}

/// The first line of an error.
pub(crate) fn first_line(error: &impl ToString) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The brackets and operators in an expression, each character counted.
pub(crate) fn operators(text: &str) -> usize {
    let operator = |c: &char| "([{?+-*/%<>=&|".contains(*c);
    text.chars().filter(operator).count()
}

#[cfg(test)]
mod tests;
