//! Pointers into an object's spec: JSON text in, JSON text out, so that nothing is built of what is not asked for.

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;

use super::duration;

/// The longest clock, seconds: a year, as in a Request.
pub(super) const CLOCK_MAX: u32 = 31_536_000;

/// A JSON pointer below `/spec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// As people write fields: `spec.a.b`.
    field: String,
    /// What follows `/spec`.
    segments: Vec<String>,
}

/// A spec's text, or nothing.
pub(super) type Spec<'a> = Option<&'a RawValue>;

// === impl Pointer ===

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it and what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wanted = "a JSON pointer into the object's spec, as in /spec/artifact";
        let below = match text.strip_prefix("/spec") {
            Some("") => "",
            Some(below) if below.starts_with('/') => below,
            _ => return Err(format!("must be {wanted}, and is {text:?}")),
        };
        let mut segments = vec![];
        for segment in below.split('/').skip(1) {
            let plain = segment.replace("~0", "").replace("~1", "");
            if segment.is_empty() || plain.contains('~') {
                return Err(format!(
                    "must be {wanted}, and is {text:?}: every part names a field, with ~1 for / and ~0 for ~"
                ));
            }
            segments.push(segment.replace("~1", "/").replace("~0", "~"));
        }
        let field = std::iter::once("spec").chain(segments.iter().map(String::as_str));
        Ok(Self {
            field: field.collect::<Vec<_>>().join("."),
            segments,
        })
    }

    /// As people write fields, for messages.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// What is there; `null` is nothing.
    pub(super) fn find<'a>(&self, spec: Spec<'a>) -> Spec<'a> {
        let step = |at: Spec<'a>, segment: &String| {
            let text = at?.get();
            if text.starts_with('[') {
                let items: Vec<&'a RawValue> = serde_json::from_str(text).ok()?;
                return items.get(segment.parse::<usize>().ok()?).copied();
            }
            let fields: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).ok()?;
            fields.get(segment).copied()
        };
        let found = self.segments.iter().fold(spec, step);
        found.filter(|value| value.get() != "null")
    }

    /// A string.
    ///
    /// # Errors
    /// That it is something else, with the field.
    pub(super) fn text(&self, spec: Spec<'_>) -> Result<Option<String>, String> {
        self.read(spec, "a string")
    }

    /// A flag.
    ///
    /// # Errors
    /// That it is something else, with the field.
    pub(super) fn flag(&self, spec: Spec<'_>) -> Result<Option<bool>, String> {
        self.read(spec, "true or false")
    }

    /// A whole number.
    ///
    /// # Errors
    /// That it is something else or too large, with the field.
    pub(super) fn number(&self, spec: Spec<'_>, max: u32) -> Result<Option<u32>, String> {
        let wanted = format!("a whole number from 0 to {max}");
        let found: Option<u32> = self.read(spec, &wanted)?;
        match found {
            Some(number) if number > max => Err(format!("{} must be {wanted}", self.field)),
            found => Ok(found),
        }
    }

    /// A string, number or flag, as a text.
    ///
    /// # Errors
    /// That it is something else, with the field.
    pub(super) fn word(&self, spec: Spec<'_>) -> Result<Option<String>, String> {
        let wanted = "a string, a number or a flag";
        let found: Option<serde_json::Value> = self.read(spec, wanted)?;
        match found {
            Some(serde_json::Value::String(text)) => Ok(Some(text)),
            Some(found @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                Ok(Some(found.to_string()))
            }
            Some(_) => Err(format!("{} must be {wanted}", self.field)),
            None => Ok(None),
        }
    }

    /// A time in seconds: a number of them, or a duration such as `1h30m`, rounded up.
    ///
    /// # Errors
    /// That it is something else, or not from `min` to a year, with the field.
    pub(super) fn seconds(&self, spec: Spec<'_>, min: u32) -> Result<Option<u32>, String> {
        let Some(found) = self.find(spec) else {
            return Ok(None);
        };
        let seconds = if found.get().starts_with('"') {
            let text = self.text(spec)?.unwrap_or_default();
            let time = duration::parse(&text).map_err(|why| format!("{} {why}", self.field))?;
            in_seconds(time)
        } else {
            serde_json::from_str(found.get()).ok()
        };
        let range = min..=CLOCK_MAX;
        let seconds = seconds.filter(|seconds| range.contains(seconds));
        seconds.map(Some).ok_or_else(|| {
            let field = &self.field;
            format!(
                "{field} must be from {min} to {CLOCK_MAX} seconds, or a duration such as 1h30m"
            )
        })
    }

    fn read<'a, T: serde::Deserialize<'a>>(
        &self,
        spec: Spec<'a>,
        wanted: &str,
    ) -> Result<Option<T>, String> {
        let Some(found) = self.find(spec) else {
            return Ok(None);
        };
        let read = serde_json::from_str(found.get());
        read.map(Some)
            .map_err(|_kind| format!("{} must be {wanted}", self.field))
    }
}

/// Rounded up; none when that is more than there can be.
pub(super) fn in_seconds(time: Duration) -> Option<u32> {
    let whole = u32::try_from(time.as_secs()).ok()?;
    whole.checked_add(u32::from(time.subsec_nanos() > 0))
}
