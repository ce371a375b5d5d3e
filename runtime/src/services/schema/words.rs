//! What is said of a wrong schema and of a value that breaks one.

use std::fmt::Write as _;

use jsonschema::{ValidationError, error::ValidationErrorKind as Kind};

use super::ANSWER_MAX_BYTES;

/// The longest place and the longest expectation, bytes.
const PART_MAX: usize = 200;
/// What stands for a value.
const VALUE: &str = "this";

/// What is wrong with a schema, for the operator.
pub(super) fn of_schema(error: &ValidationError<'_>) -> String {
    let text = plain(&error.to_string(), 2 * PART_MAX);
    match error.instance_path().as_str() {
        "" => text,
        place => format!("{}: {text}", plain(place, PART_MAX)),
    }
}

/// What rules a value breaks, and how many more there are.
pub(super) fn of_value(told: &[ValidationError<'_>], more: usize) -> String {
    let mut text = String::new();
    for error in told {
        let separator = if text.is_empty() { "" } else { "; " };
        let _infallible = write!(text, "{separator}{}", of_rule(error));
    }
    let more = match more {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let room = ANSWER_MAX_BYTES - more.len();
    text.truncate(text.floor_char_boundary(room));
    text + &more
}

fn of_rule(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            format!("{} is missing", at(place, Some(name)))
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let name = unexpected.first().map(String::as_str);
            let others = match unexpected.len() {
                0 | 1 => String::new(),
                more => format!(", nor are {} others beside it", more - 1),
            };
            format!("{} is not allowed{others}", at(place, name))
        }
        Kind::FalseSchema => {
            // Of a schema that names no properties the error tells the object, not the property.
            let every = error
                .schema_path()
                .as_str()
                .ends_with("/additionalProperties");
            let what = if every {
                ": no property is allowed"
            } else {
                " is not allowed"
            };
            format!("{}{what}", at(place, None))
        }
        Kind::PropertyNames { error } => {
            let rule = plain(&expected(error), PART_MAX);
            format!(
                "{}: the name of a property is wrong: {rule}",
                at(place, None)
            )
        }
        _ => format!("{}: {}", at(place, None), plain(&expected(error), PART_MAX)),
    }
}

/// The rule, without the value.
fn expected(error: &ValidationError<'_>) -> String {
    error.masked_with(VALUE).to_string()
}

/// A place: a JSON pointer, or that of a property there.
fn at(place: &str, property: Option<&str>) -> String {
    let pointer = match property {
        Some(name) => format!("{place}/{}", escaped(name)),
        None if place.is_empty() => return "the whole".into(),
        None => place.into(),
    };
    plain(&pointer, PART_MAX)
}

/// A name as part of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Fit for a log line and a terminal: what is not plainly printable is escaped, what is long is cut.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if plain.len() >= most {
            plain.push_str("...");
            break;
        }
        if c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ' {
            plain.push(c);
        } else {
            plain.extend(c.escape_default());
        }
    }
    plain
}
