//! `paramsSchema` and `resultSchema`: what a service takes and what it gives back, as JSON Schema 2020-12.
//!
//! The values that are checked come from tenants and jobs, so a check must end soon whatever they are:
//! patterns run on an engine that needs time in proportion to the text, nothing is fetched, and `bounds`
//! refuses a schema that could do more work than its text promises. What a check says names places and
//! what is expected there, never a value: parameters may be secret.

mod bounds;
#[cfg(test)]
mod tests;
mod words;

use std::{fmt, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// The largest schema, bytes of JSON.
pub const SCHEMA_MAX_BYTES: usize = 64 * 1024;
/// The longest answer to a value that breaks its schema, bytes: with what is put before it, 1 KiB.
pub const ANSWER_MAX_BYTES: usize = 960;
/// So many broken rules are told at once.
const TOLD: usize = 3;
/// Of a value with more parts than this only the first broken rule is looked for: all of them are collected
/// before the first can be told.
const PARTS_MAX: usize = 2000;
/// A compiled pattern may take so many bytes.
const PATTERN_MAX_BYTES: usize = 1024 * 1024;
/// The only dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A compiled schema. Cheap to clone; two are equal when their texts are.
#[derive(Clone)]
pub struct Schema {
    text: Arc<str>,
    validator: Arc<Validator>,
}

// === impl Schema ===

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it and where, for the operator.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        if !schema.is_object() {
            return Err("it must be an object, as in {type: object, required: [digest]}".into());
        }
        let text = schema.to_string();
        if text.len() > SCHEMA_MAX_BYTES {
            return Err(format!(
                "it has {} bytes, more than {SCHEMA_MAX_BYTES}",
                text.len()
            ));
        }
        if let Some(dialect) = schema.get("$schema").filter(|named| *named != DIALECT) {
            return Err(format!(
                "`$schema` is {dialect}, and only {DIALECT} is known"
            ));
        }
        bounds::check(schema)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_MAX_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(schema)
            .map_err(|error| words::of_schema(&error))?;
        Ok(Self {
            text: text.into(),
            validator: Arc::new(validator),
        })
    }

    /// Its JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first few rules that it breaks, each with the JSON pointer of the place and what is expected
    /// there, at most [`ANSWER_MAX_BYTES`] in all. No part of the value is in it but names of properties.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let broken = if parts(value, PARTS_MAX) < PARTS_MAX {
            let mut all = self.validator.iter_errors(value);
            let told: Vec<_> = all.by_ref().take(TOLD).collect();
            words::of_value(&told, all.count())
        } else {
            let first = self.validator.validate(value).err();
            words::of_value(first.as_slice(), 0)
        };
        Err(broken)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schema {}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.text).finish()
    }
}

/// How many values a value is made of, counted up to `most`.
fn parts(value: &Value, most: usize) -> usize {
    let mut left = most;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        left = left.saturating_sub(1);
        if left == 0 {
            break;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().take(left)),
            Value::Object(fields) => open.extend(fields.values().take(left)),
            _ => {}
        }
    }
    most - left
}
