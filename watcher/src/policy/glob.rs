//! Patterns of names and of workspace paths.

use std::fmt;

/// The longest pattern, bytes.
const MAX_BYTES: usize = 1024;

/// A pattern. In a name `*` stands for any characters. In a workspace path it stands for any characters
/// within one segment, and `**` in place of a segment for any number of segments, one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    text: String,
    parts: Parts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parts {
    Name(Name),
    Path(Vec<Segment>),
}

/// What is between the stars.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name(Vec<String>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    One(Name),
    /// `**`
    Any,
}

// === impl Glob ===

impl Glob {
    /// A pattern of names.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn name(text: &str) -> Result<Self, String> {
        check(text)?;
        if text.contains("**") {
            return Err(format!(
                "`{text}` has `**`, which is for workspace paths: `*` stands for any characters"
            ));
        }
        let parts = Parts::Name(Name::new(text));
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// A pattern of workspace paths.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn path(text: &str) -> Result<Self, String> {
        check(text)?;
        let segment = |segment: &str| match segment {
            "" => Err(format!(
                "`{text}` has an empty segment; a path is as `root:org:team-a`"
            )),
            "**" => Ok(Segment::Any),
            odd if odd.contains("**") => Err(format!(
                "`{text}`: `**` must be a whole segment, as in `root:org:**`"
            )),
            one => Ok(Segment::One(Name::new(one))),
        };
        let parts = Parts::Path(text.split(':').map(segment).collect::<Result<_, _>>()?);
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether it matches. Takes no longer than the product of the two lengths.
    pub(crate) fn matches(&self, value: &str) -> bool {
        match &self.parts {
            Parts::Name(name) => name.matches(value),
            Parts::Path(segments) => path_matches(segments, value),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Name ===

impl Name {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    /// The first part is where the value starts, the last where it ends, the others are found between
    /// them in order; the earliest place leaves the most to the next.
    fn matches(&self, value: &str) -> bool {
        let [first, between @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|only| only == value);
        };
        let rest = value.strip_prefix(first.as_str());
        let rest = rest.and_then(|rest| rest.strip_suffix(last.as_str()));
        let Some(mut rest) = rest else {
            return false;
        };
        for part in between {
            let Some(at) = rest.find(part.as_str()) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

fn check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("an empty pattern matches nothing".into());
    }
    if text.len() > MAX_BYTES {
        return Err(format!("a pattern has more than {MAX_BYTES} bytes"));
    }
    Ok(())
}

/// Segment by segment; after a mismatch the last `**` takes one segment more.
fn path_matches(pattern: &[Segment], value: &str) -> bool {
    let segments: Vec<&str> = value.split(':').collect();
    let (mut at, mut of) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < segments.len() {
        match pattern.get(of) {
            Some(Segment::Any) => {
                (at, of) = (at + 1, of + 1);
                retry = Some((at, of));
            }
            Some(Segment::One(name)) if name.matches(segments[at]) => (at, of) = (at + 1, of + 1),
            _ => match retry {
                None => return false,
                Some((took, next)) => {
                    retry = Some((took + 1, next));
                    (at, of) = (took + 1, next);
                }
            },
        }
    }
    of == pattern.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_name_stands_for_any_characters() {
        for (pattern, value, wanted) in [
            ("sign", "sign", true),
            ("sign", "signs", false),
            ("*", "", true),
            ("*", "a:b", true),
            ("team-*", "team-", true),
            ("team-*", "Team-a", false),
            ("*-prod", "a-prod", true),
            ("a*a", "a", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "abb", false),
            (
                "system:serviceaccount:ci:*",
                "system:serviceaccount:ci:bot",
                true,
            ),
        ] {
            let glob = Glob::name(pattern).unwrap();
            assert_eq!(glob.matches(value), wanted, "{pattern} {value}");
        }
    }

    #[test]
    fn a_star_in_a_path_stays_in_its_segment_and_two_do_not() {
        for (pattern, value, wanted) in [
            ("root:org:*", "root:org:team-a", true),
            ("root:org:*", "root:org", false),
            ("root:org:*", "root:org:team-a:sub", false),
            ("root:org:*", "", false),
            ("root:org:team-*", "root:org:team-a", true),
            ("root:org:team-*", "root:org:evil:team-a", false),
            ("root:org:**", "root:org:team-a:sub:sub", true),
            ("root:org:**", "root:org", false),
            ("root:org:**", "root:organ:a", false),
            ("**", "root", true),
            ("**:prod", "root:a:b:prod", true),
            ("**:prod", "prod", false),
            ("root:**:x:**:y", "root:a:x:x:b:y", true),
            ("root:**:x:**:y", "root:a:x:y", false),
            ("root:*:x", "root:a:b:x", false),
        ] {
            let glob = Glob::path(pattern).unwrap();
            assert_eq!(glob.matches(value), wanted, "{pattern} {value}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_meant_is_refused() {
        for (text, wanted) in [
            ("", "empty"),
            ("root::a", "empty segment"),
            ("root:team-**", "whole segment"),
        ] {
            let error = Glob::path(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert!(Glob::name("a**").unwrap_err().contains("workspace paths"));
        assert!(Glob::name(&"a".repeat(1025)).is_err());
    }

    #[test]
    fn the_worst_values_take_no_time() {
        let name = Glob::name(&format!("{}b", "a*".repeat(500))).unwrap();
        let path = Glob::path(&format!("{}b", "**:a:".repeat(200))).unwrap();
        let started = std::time::Instant::now();
        assert!(!name.matches(&"a".repeat(100_000)));
        assert!(!path.matches(&"a:".repeat(10_000)));
        assert!(started.elapsed().as_secs() < 5);
    }
}
