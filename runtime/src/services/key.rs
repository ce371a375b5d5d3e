//! A concurrency key: which requests of a service must not run beside each other, computed from their
//! parameters by an expression of the service file (CEL).

use std::sync::Arc;

use cel::{Program, Value};

use crate::expression::{empty, guarded, operators, parse, to_cel};

/// The longest expression and the longest key, bytes.
pub const KEY_MAX_BYTES: usize = 256;
/// The most brackets and operators in an expression, counted by character: the interpreter recurses over
/// them, with up to 40 KB of stack each when it evaluates and 250 KB when it parses (cel 0.15, debug).
const OPERATORS_MAX: usize = 24;
/// The only variable of an expression.
const PARAMS: &str = "params";

/// A compiled expression. Its evaluation takes no longer than its parameters are large: there are no
/// loops in it.
#[derive(Clone)]
pub struct KeyExpression {
    text: String,
    program: Arc<Program>,
}

/// Why parameters give no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The expression cannot be evaluated for them.
    #[error("`{text}` cannot be evaluated for these parameters: {why}")]
    Evaluation {
        /// The expression.
        text: String,
        /// The cause.
        why: String,
    },
    /// It gives something that is no key.
    #[error("`{text}` gives a {kind} for these parameters; a key is a string, a number or a bool")]
    Kind {
        /// The expression.
        text: String,
        /// What it gives.
        kind: String,
    },
    /// It gives too long a key.
    #[error(
        "`{text}` gives a key of {bytes} bytes for these parameters, more than {KEY_MAX_BYTES}"
    )]
    TooLong {
        /// The expression.
        text: String,
        /// How long.
        bytes: usize,
    },
}

// === impl KeyExpression ===

impl KeyExpression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.len() > KEY_MAX_BYTES {
            return Err(format!(
                "it has {} bytes, more than {KEY_MAX_BYTES}",
                text.len()
            ));
        }
        let operators = operators(text);
        if operators > OPERATORS_MAX {
            return Err(format!(
                "it has {operators} brackets and operators, more than {OPERATORS_MAX}"
            ));
        }
        let program = parse(text)?;
        let references = program.references();
        let variables = references.variables();
        if let Some(other) = variables.iter().find(|name| **name != PARAMS) {
            return Err(format!(
                "it uses `{other}`; there is only `params`, and no loops such as map() and exists()"
            ));
        }
        if variables.is_empty() {
            return Err("it does not use `params`, as in `params.repo`".into());
        }
        let expression = Self {
            text: text.to_owned(),
            program: Arc::new(program),
        };
        match expression.execute(&serde_json::Value::Object(serde_json::Map::new())) {
            Err(Failure::Unknown(name)) => Err(format!("there is no function `{name}`")),
            _ => Ok(expression),
        }
    }

    /// The expression.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key of a request; none when the expression gives null: no limit.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn evaluate(&self, params: &serde_json::Value) -> Result<Option<Arc<str>>, KeyError> {
        let value = self.execute(params).map_err(|failure| {
            let (Failure::Unknown(why) | Failure::Other(why)) = failure;
            KeyError::Evaluation {
                text: self.text.clone(),
                why,
            }
        })?;
        let key: Arc<str> = match value {
            Value::Null => return Ok(None),
            Value::String(text) => text.as_str().into(),
            Value::Int(number) => number.to_string().into(),
            Value::UInt(number) => number.to_string().into(),
            Value::Float(number) => number.to_string().into(),
            Value::Bool(yes) => yes.to_string().into(),
            other => {
                return Err(KeyError::Kind {
                    text: self.text.clone(),
                    kind: other.type_of().to_string(),
                });
            }
        };
        if key.len() > KEY_MAX_BYTES {
            return Err(KeyError::TooLong {
                text: self.text.clone(),
                bytes: key.len(),
            });
        }
        Ok(Some(key))
    }

    fn execute(&self, params: &serde_json::Value) -> Result<Value, Failure> {
        let evaluated = guarded(|| {
            let mut context = empty();
            context.add_variable_from_value(PARAMS, to_cel(params));
            self.program.execute(&context)
        });
        match evaluated.map_err(Failure::Other)? {
            Ok(value) => Ok(value),
            Err(cel::ExecutionError::UndeclaredReference(name)) => {
                Err(Failure::Unknown(name.to_string()))
            }
            Err(cel::ExecutionError::NoSuchKey(name)) => {
                Err(Failure::Other(format!("there is no `{name}`")))
            }
            Err(error) => Err(Failure::Other(what(&error).into())),
        }
    }
}

impl std::fmt::Debug for KeyExpression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyExpression").field(&self.text).finish()
    }
}

impl PartialEq for KeyExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

enum Failure {
    /// There is no such variable or function.
    Unknown(String),
    Other(String),
}

/// What went wrong, without the values: the interpreter's own text repeats them, and they may be secrets,
/// which do not belong into a status or an Event.
fn what(error: &cel::ExecutionError) -> &'static str {
    use cel::ExecutionError as Error;
    match error {
        Error::IndexOutOfBounds(_) => "an item is out of bounds",
        Error::DivisionByZero(_) | Error::RemainderByZero(_) => "it divides by zero",
        Error::Overflow(..) => "a number is too large",
        _ => "a value has another type",
    }
}

#[cfg(test)]
mod tests;
