//! What a schema may cost.
//!
//! The text of a schema says little about the work of a check: thirty lines that each refer twice to the
//! next one are a billion checks, and a schema that refers to itself is as deep as whoever sends the value
//! likes. So references stay inside the schema, never lead back, and the schema is counted as if each
//! reference were the text that it stands for.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The deepest schema, references included.
const DEPTH_MAX: usize = 64;
/// The largest schema, counted in schemas inside of it, references and repeated checks included.
const COST_MAX: u64 = 10_000;

/// Keywords whose value is a schema.
const ONE: [&str; 12] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$ref",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is schemas by name.
const NAMED: [&str; 3] = ["dependentSchemas", "patternProperties", "properties"];
/// Schemas by name that count only where something refers to them.
const SHELVES: [&str; 2] = ["$defs", "definitions"];
/// Keywords whose schemas are looked at twice: whether they hold, and what they would have said.
const TWICE: [&str; 5] = ["anyOf", "contains", "if", "not", "oneOf"];
/// Keywords that look at all the others once more.
const REST: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];
/// Keywords without a schema in their value.
const PLAIN: [&str; 33] = [
    "$comment",
    "$id",
    "$schema",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];

/// What a schema costs, its references replaced by what they stand for.
#[derive(Clone, Copy, Default)]
struct Weight {
    cost: u64,
    depth: usize,
}

struct Walk<'a> {
    root: &'a Value,
    /// By place in memory; none while it is being looked at.
    known: HashMap<*const Value, Option<Weight>>,
}

/// Refuses a schema that could do more work than it seems.
///
/// # Errors
/// What is too much or unknown, and where.
pub(super) fn check(root: &Value) -> Result<(), String> {
    let mut walk = Walk {
        root,
        known: HashMap::new(),
    };
    walk.visit(root, "#", 0).map(drop)
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn visit(&mut self, schema: &'a Value, at: &str, above: usize) -> Result<Weight, String> {
        let Value::Object(fields) = schema else {
            // What it must be instead is told when it is compiled.
            return Ok(Weight { cost: 1, depth: 1 });
        };
        match self.known.get(&std::ptr::from_ref(schema)) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => {
                return Err(format!(
                    "{at} leads back to itself: a schema that contains itself has no bound"
                ));
            }
            None => {}
        }
        if above >= DEPTH_MAX {
            return Err(format!("{at} is deeper than {DEPTH_MAX} schemas"));
        }
        self.known.insert(schema, None);
        let weight = self.inside(fields, at, above)?;
        if weight.depth > DEPTH_MAX {
            return Err(format!("{at} is deeper than {DEPTH_MAX} schemas"));
        }
        if weight.cost > COST_MAX {
            return Err(format!(
                "{at} takes more than {COST_MAX} checks, counting each `$ref` as the schema that it names"
            ));
        }
        self.known.insert(schema, Some(weight));
        Ok(weight)
    }

    fn inside(
        &mut self,
        fields: &'a Map<String, Value>,
        at: &str,
        above: usize,
    ) -> Result<Weight, String> {
        let mut sum = Weight { cost: 1, depth: 0 };
        for (keyword, value) in fields {
            let name = keyword.as_str();
            let at = format!("{at}/{}", super::words::escaped(name));
            let times = if TWICE.contains(&name) { 2 } else { 1 };
            let mut within = Weight::default();
            for (inner, at) in self.schemas(name, value, &at)? {
                let weight = self.visit(inner, &at, above + 1)?;
                within.cost = within.cost.saturating_add(weight.cost);
                within.depth = within.depth.max(weight.depth);
            }
            if !SHELVES.contains(&name) {
                sum.cost = sum.cost.saturating_add(within.cost.saturating_mul(times));
                sum.depth = sum.depth.max(within.depth);
            }
        }
        if REST.iter().any(|name| fields.contains_key(*name)) {
            sum.cost = sum.cost.saturating_mul(2);
        }
        Ok(Weight {
            cost: sum.cost,
            depth: sum.depth + 1,
        })
    }

    /// The schemas in a keyword's value, each with its place.
    fn schemas(
        &self,
        keyword: &str,
        value: &'a Value,
        at: &str,
    ) -> Result<Vec<(&'a Value, String)>, String> {
        if keyword == "$ref" {
            return Ok(vec![(self.target(value, at)?, at.into())]);
        }
        if keyword == "$id" && at != "#/$id" {
            return Err(format!("{at}: only the whole schema can have an `$id`"));
        }
        if ONE.contains(&keyword) {
            return Ok(vec![(value, at.into())]);
        }
        if LIST.contains(&keyword) {
            let list = value.as_array().into_iter().flatten();
            let numbered = list.enumerate().map(|(n, s)| (s, format!("{at}/{n}")));
            return Ok(numbered.collect());
        }
        if NAMED.contains(&keyword) || SHELVES.contains(&keyword) {
            let named = value.as_object().into_iter().flatten();
            let place = |name: &str| format!("{at}/{}", super::words::escaped(name));
            return Ok(named.map(|(name, s)| (s, place(name))).collect());
        }
        if PLAIN.contains(&keyword) || keyword.starts_with("x-") {
            return Ok(vec![]);
        }
        Err(format!(
            "{at} is no keyword that is known here: a mistyped one would check nothing (notes go into \
             `$comment` or a key that starts with x-)"
        ))
    }

    fn target(&self, reference: &Value, at: &str) -> Result<&'a Value, String> {
        let text = reference.as_str().unwrap_or_default();
        let inside = text.strip_prefix('#').filter(|p| !p.contains('%'));
        let Some(pointer) = inside.filter(|p| p.is_empty() || p.starts_with('/')) else {
            return Err(format!(
                "{at} is {reference}: nothing is fetched, so a reference must lead to a place in the same \
                 schema, as in \"#/$defs/digest\""
            ));
        };
        self.root
            .pointer(pointer)
            .ok_or_else(|| format!("{at} is {reference}, and there is nothing at that place"))
    }
}
