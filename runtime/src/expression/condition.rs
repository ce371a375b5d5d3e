//! A condition: an expression that is true or false.

use std::{collections::BTreeMap, sync::Arc};

use cel::{ExecutionError, Program, Value};

use super::{
    Bindings, LOOP_MAX_BYTES, LOOP_MAX_VALUES, first_line, guarded, operators, parse, shape::Shape,
};

/// The longest expression, bytes.
pub const CONDITION_MAX_BYTES: usize = 2048;
/// The most brackets and operators in it, counted by character.
const OPERATORS_MAX: usize = 128;
/// The most expressions inside of each other: evaluating takes up to 40 KB of stack for each (cel 0.15,
/// debug).
const DEPTH_MAX: usize = 24;
/// What can be called. An unknown name would only show when it is reached.
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
];
const NO_BOOL: &str = "neither true nor false";
/// The longest text on why it cannot be evaluated, bytes.
const WHY_MAX: usize = 256;

/// The fields that variables have: `None` for one that is no object.
pub type Variables = BTreeMap<&'static str, Option<&'static [&'static str]>>;

/// A compiled condition. Its evaluation takes no longer than its variables are large, and its loops run
/// over a limited number of values.
#[derive(Clone)]
pub struct Condition {
    text: String,
    program: Arc<Program>,
    uses: Vec<&'static str>,
    loops: bool,
}

/// Why a condition is neither true nor false for some values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Failure {
    /// What went wrong, from a closed list: fit for logs.
    pub what: &'static str,
    /// The interpreter's own words. They can repeat the values, which may be secrets: for the operator's
    /// own eyes, not for logs.
    pub why: String,
}

// === impl Condition ===

impl Condition {
    /// Compiles a condition over these variables.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn compile(text: &str, variables: &Variables) -> Result<Self, String> {
        if text.len() > CONDITION_MAX_BYTES {
            let bytes = text.len();
            return Err(format!(
                "it has {bytes} bytes, more than {CONDITION_MAX_BYTES}"
            ));
        }
        let operators = operators(text);
        if operators > OPERATORS_MAX {
            return Err(format!(
                "it has {operators} brackets and operators, more than {OPERATORS_MAX}"
            ));
        }
        let program = parse(text)?;
        let shape = Shape::of(program.expression());
        check(&shape, variables)?;
        let appears = |name: &&'static str| {
            shape.whole.contains(name) || shape.fields.iter().any(|(of, _)| of == name)
        };
        let uses = variables.keys().copied().filter(appears).collect();
        let loops = shape.loops > 0;
        let condition = Self {
            text: text.to_owned(),
            uses,
            loops,
            program: Arc::new(program),
        };
        condition.check_kind()?;
        Ok(condition)
    }

    /// The expression.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it reads that variable.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.uses.contains(&variable)
    }

    /// Whether it is true for these values.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn holds(&self, bindings: &Bindings) -> Result<bool, Failure> {
        if self.loops && !bindings.fit_a_loop() {
            return Err(Failure {
                what: "too many values for a loop",
                why: format!(
                    "more than {LOOP_MAX_VALUES} values or {LOOP_MAX_BYTES} bytes of text"
                ),
            });
        }
        let executed = guarded(|| self.program.execute(bindings.context()));
        let executed = executed.map_err(|why| Failure {
            what: "the interpreter failed",
            why,
        })?;
        match executed {
            Ok(Value::Bool(yes)) => Ok(yes),
            Ok(other) => Err(Failure {
                what: NO_BOOL,
                why: format!("it gives a {}", other.type_of()),
            }),
            Err(error) => Err(Failure::of(&error)),
        }
    }

    /// One that is a number for an empty request is one for every request, as a rule.
    fn check_kind(&self) -> Result<(), String> {
        let nothing = serde_json::json!({});
        let bindings = Bindings::default();
        let uses = self.uses.iter();
        let bindings = uses.fold(bindings, |all, name| all.value(name, &nothing));
        match self.holds(&bindings) {
            Err(Failure { what: NO_BOOL, why }) => Err(format!("{why}, and must be true or false")),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

// === impl Failure ===

impl Failure {
    fn of(error: &ExecutionError) -> Self {
        let what = match error {
            ExecutionError::NoSuchKey(_) => "a field that is not there",
            ExecutionError::IndexOutOfBounds(_) => "an item that is not there",
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "a division by zero"
            }
            ExecutionError::Overflow(..) => "a number that is too large",
            _ => "a value of another type",
        };
        let why = first_line(error);
        Self {
            what,
            why: why[..why.floor_char_boundary(WHY_MAX)].to_owned(),
        }
    }
}

fn check(shape: &Shape<'_>, variables: &Variables) -> Result<(), String> {
    if shape.depth > DEPTH_MAX {
        return Err(format!(
            "it is {} expressions deep, more than {DEPTH_MAX}: split it into several rules",
            shape.depth
        ));
    }
    let unknown = |name: &&&str| !FUNCTIONS.contains(name);
    if let Some(name) = shape.functions.iter().find(unknown) {
        let known = FUNCTIONS.join(", ");
        return Err(format!("there is no function `{name}`; there are {known}"));
    }
    if shape.loops > 1 {
        return Err("it has a loop (all, exists, map, filter) inside of a loop".into());
    }
    let named = shape.fields.iter().map(|(name, _)| *name);
    for name in named.chain(shape.whole.iter().copied()) {
        if !variables.contains_key(name) {
            let known: Vec<&str> = variables.keys().copied().collect();
            return Err(format!(
                "there is no `{name}`; there are {}",
                known.join(", ")
            ));
        }
    }
    for (name, field) in &shape.fields {
        if let Some(Some(fields)) = variables.get(name)
            && !fields.contains(field)
        {
            let known = fields.join(", ");
            return Err(format!("`{name}` has no `{field}`; it has {known}"));
        }
    }
    Ok(())
}
