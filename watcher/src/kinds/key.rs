//! Idempotency keys that are put together from fields and labels.

use std::fmt::Write as _;

use super::{Parts, pointer::Pointer, service::labels};

/// The longest key, bytes; a longer one is told by its digest.
const KEY_MAX: usize = 256;

/// The parts of a key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyParts {
    pub(super) fields: Vec<Pointer>,
    pub(super) labels: Vec<String>,
}

// === impl KeyParts ===

impl KeyParts {
    /// The key of an object; none when it lacks a part.
    ///
    /// # Errors
    /// That a field cannot be a part, with its name.
    pub(super) fn of(&self, object: Parts<'_>) -> Result<Option<String>, String> {
        let mut parts = vec![];
        for field in &self.fields {
            parts.push(field.word(object.spec)?);
        }
        let told = object.labels.filter(|_| !self.labels.is_empty());
        let mut found = labels(told);
        parts.extend(self.labels.iter().map(|label| found.remove(label)));
        let parts: Option<Vec<String>> = parts.into_iter().collect();
        let parts = parts.filter(|parts| !parts.is_empty());
        Ok(parts
            .filter(|parts| !parts.iter().any(String::is_empty))
            .map(|parts| join(&parts)))
    }
}

/// Different parts give different keys.
fn join(parts: &[String]) -> String {
    let whole = match parts {
        [one] => one.clone(),
        parts => {
            let escaped = |part: &String| part.replace('%', "%25").replace('/', "%2F");
            parts.iter().map(escaped).collect::<Vec<_>>().join("/")
        }
    };
    if whole.len() <= KEY_MAX {
        return whole;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, whole.as_bytes());
    let mut text = String::from("sha256:");
    for byte in digest.as_ref() {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[&str]) -> String {
        join(&parts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn different_parts_give_different_keys_of_a_bounded_length() {
        assert_eq!(parts(&["a/b"]), "a/b");
        assert_eq!(parts(&["uid", "sign"]), "uid/sign");
        assert_ne!(parts(&["a/b", "c"]), parts(&["a", "b/c"]));
        assert_ne!(parts(&["a%2Fb", "c"]), parts(&["a/b", "c"]));
        let long = "x".repeat(400);
        assert_eq!(parts(&[&long]).len(), "sha256:".len() + 64);
        assert_ne!(parts(&[&long, "a"]), parts(&[&long, "b"]));
    }
}
