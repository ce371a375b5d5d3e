//! Which service an object asks for: a fixed one, or one that something of the object names.

use std::collections::BTreeMap;

use isc_runtime::services::is_dns_label;
use serde_json::value::RawValue;

use super::{
    Parts,
    pointer::{Pointer, Spec},
};

/// So much of a caller's text is repeated to him, bytes.
const TOLD: usize = 64;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub(super) enum Service {
    Fixed(String),
    Picked { from: Origin, names: Names },
}

/// What names it.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Field(Pointer),
    Label(String),
}

/// From what an object says to services; without a map it says the service itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(pub(super) Option<BTreeMap<String, String>>);

// === impl Service ===

impl Service {
    /// The service of an object.
    ///
    /// # Errors
    /// What the object lacks, with the field or label.
    pub(super) fn of(&self, object: Parts<'_>) -> Result<String, String> {
        let (from, names) = match self {
            Self::Fixed(name) => return Ok(name.clone()),
            Self::Picked { from, names } => (from, names),
        };
        let word = from.word(object)?.filter(|word| !word.is_empty());
        let Some(word) = word else {
            return Err(format!(
                "{} is missing: it says what is asked for",
                from.name()
            ));
        };
        names.service(&word, &from.name())
    }
}

// === impl Origin ===

impl Origin {
    fn word(&self, object: Parts<'_>) -> Result<Option<String>, String> {
        match self {
            Self::Field(pointer) => pointer.text(object.spec as Spec<'_>),
            Self::Label(label) => Ok(labels(object.labels).remove(label)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Field(pointer) => pointer.field().to_owned(),
            Self::Label(label) => format!("the label {label}"),
        }
    }
}

// === impl Names ===

impl Names {
    /// The service of that name; `place` is where the object says it.
    ///
    /// # Errors
    /// That there is none, without a word on which there are.
    pub(super) fn service(&self, word: &str, place: &str) -> Result<String, String> {
        let told = &word[..word.floor_char_boundary(TOLD)];
        match &self.0 {
            Some(map) => map.get(word).cloned().ok_or_else(|| {
                format!("{place} is {told:?}, and nothing of that name is served here")
            }),
            None if is_dns_label(word) => Ok(word.to_owned()),
            None => Err(format!(
                "{place} is {told:?}, and must be a service's name: a-z, 0-9 and -, at most 63 characters"
            )),
        }
    }
}

/// The labels of an object.
pub(super) fn labels(raw: Option<&RawValue>) -> Labels {
    let read = raw.map(|raw| serde_json::from_str(raw.get()).unwrap_or_default());
    read.unwrap_or_default()
}
