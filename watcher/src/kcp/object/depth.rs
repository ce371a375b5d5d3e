//! How deep parameters are nested. Whoever reads them recurses, and gives up at some depth: 128 in this
//! process, something else in a job. So nobody is given what is deeper than anybody needs.

/// The most levels of parameters.
const DEPTH_MAX: usize = 100;

/// Whether parameters, as JSON text, are not nested too deeply.
///
/// # Errors
/// That they are, for whoever asks.
pub(super) fn checked(params: &str) -> Result<(), String> {
    if is_too_deep(params) {
        return Err(format!(
            "the parameters are nested more than {DEPTH_MAX} levels deep"
        ));
    }
    Ok(())
}

/// Whether JSON text is nested deeper than that.
fn is_too_deep(json: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_outside_of_strings_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(&nested(DEPTH_MAX)));
        assert!(is_too_deep(&nested(DEPTH_MAX + 1)));
        assert!(!is_too_deep(&format!("[{}]", vec!["{}"; 1000].join(","))));
        assert!(!is_too_deep(&format!(
            "{{\"a\": \"\\\"{}\"}}",
            "[".repeat(1000)
        )));
    }
}
