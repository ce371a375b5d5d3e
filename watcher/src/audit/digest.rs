//! Digests for an audit, which anybody can compute again.

use ring::digest::{SHA256, digest};
use serde_json::Value;

/// A SHA-256.
pub(crate) type Sha256 = [u8; 32];

/// Of these bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> Sha256 {
    let mut sha256 = Sha256::default();
    sha256.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sha256
}

/// Of a JSON value: its text with the fields of all objects in order and no blanks.
pub(crate) fn of_value(mut value: Value) -> Sha256 {
    value.sort_all_objects();
    of_bytes(value.to_string().as_bytes())
}

/// Of JSON text, as of its value; of the text itself where it cannot be read.
pub(crate) fn of_json(text: &str) -> Sha256 {
    serde_json::from_str(text).map_or_else(|_| of_bytes(text.as_bytes()), of_value)
}

/// As a line tells it: `sha256:` and hexadecimal digits.
pub(crate) fn told(sha256: &Sha256) -> String {
    let digits = sha256.iter().map(|byte| format!("{byte:02x}"));
    digits.fold("sha256:".to_owned(), |told, digits| told + &digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_is_that_of_the_sorted_text_whatever_the_order_and_the_blanks() {
        // printf '{"a":[1,{"x":"ü","y":null}],"b":true}' | sha256sum
        let wanted = of_bytes(r#"{"a":[1,{"x":"ü","y":null}],"b":true}"#.as_bytes());
        let text = r#" { "b": true, "a": [1, {"y": null, "x": "\u00fc"}] } "#;
        assert_eq!(of_json(text), wanted);
        let value = json!({"b": true, "a": [1, {"y": null, "x": "ü"}]});
        assert_eq!(of_value(value), wanted);
        assert_eq!(
            told(&of_json("{ }")),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
        assert_eq!(of_json("{"), of_bytes(b"{"), "what is no JSON, as it is");
    }
}
