//! The variables of an expression.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, Value};
use serde_json::Value as Json;

/// An expression with a loop is evaluated for at most so many values, all variables together.
pub const LOOP_MAX_VALUES: usize = 1000;
/// And for at most so many bytes of text in them.
pub const LOOP_MAX_BYTES: usize = 64 * 1024;

/// The standard functions; there are many of them.
static FUNCTIONS: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Values for the variables of expressions, read once for any number of them.
pub struct Bindings {
    context: Context<'static, 'static>,
    size: Size,
}

/// How much there is to loop over.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

// === impl Bindings ===

impl Bindings {
    /// Adds a variable.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: &Json) -> Self {
        let value = self.size.read(value);
        self.context.add_variable_from_value(name, value);
        self
    }

    /// Adds a variable that is an object of these fields.
    #[must_use]
    pub fn object<'a>(
        mut self,
        name: &'static str,
        fields: impl IntoIterator<Item = (&'a str, &'a Json)>,
    ) -> Self {
        let mut read = HashMap::new();
        for (field, value) in fields {
            read.insert(field.to_owned(), self.size.read(value));
        }
        self.context.add_variable_from_value(name, read);
        self
    }

    /// Whether they are few enough for a loop.
    #[must_use]
    pub fn fit_a_loop(&self) -> bool {
        self.size.values <= LOOP_MAX_VALUES && self.size.bytes <= LOOP_MAX_BYTES
    }

    pub(super) fn context(&self) -> &Context<'static, 'static> {
        &self.context
    }
}

impl Default for Bindings {
    fn default() -> Self {
        Self {
            context: empty(),
            size: Size::default(),
        }
    }
}

impl std::fmt::Debug for Bindings {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bindings").field(&self.size).finish()
    }
}

// === impl Size ===

impl Size {
    /// As Kubernetes has it: a whole number is an int.
    fn read(&mut self, json: &Json) -> Value {
        self.values += 1;
        match json {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(*yes),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Value::Int(int),
                (None, Some(large)) => Value::UInt(large),
                (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => {
                self.bytes += text.len();
                Value::String(Arc::new(text.clone()))
            }
            Json::Array(items) => {
                Value::List(Arc::new(items.iter().map(|item| self.read(item)).collect()))
            }
            Json::Object(fields) => {
                let mut read = HashMap::with_capacity(fields.len());
                for (name, value) in fields {
                    self.bytes += name.len();
                    read.insert(name.clone(), self.read(value));
                }
                read.into()
            }
        }
    }
}

/// A context with the standard functions and no variable.
pub(crate) fn empty() -> Context<'static, 'static> {
    Context::with_env(FUNCTIONS.clone())
}

/// A value as expressions see it.
pub(crate) fn to_cel(json: &Json) -> Value {
    Size::default().read(json)
}
