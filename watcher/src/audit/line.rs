//! One line of an audit: a JSON object in plain ASCII, so that nothing in it can break a line or act on a
//! terminal. Its fields are a contract: docs/audit.md. A new field may come; a change of one, or of what it
//! means, needs another [`VERSION`].

use std::{borrow::Cow, io};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::ser::Formatter;

/// Of the fields' meaning.
const VERSION: u32 = 1;

/// The fields, in order. Which of them an event has is in docs/audit.md.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    version: u32,
    time: String,
    instance: &'a str,
    event: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<About<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) params_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worker: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifacts: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) artifact_digests: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attached_to: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) foreign: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) program: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clean: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
}

/// Which request, and whose.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About<'a> {
    pub(super) uid: Cow<'a, str>,
    pub(super) kind: Cow<'a, str>,
    pub(super) endpoint: Cow<'a, str>,
    pub(super) cluster: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workspace: Option<Cow<'a, str>>,
    pub(super) namespace: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) service: Cow<'a, str>,
    pub(super) requester: Cow<'a, str>,
}

/// Leaves nothing but printable ASCII in a string.
struct Ascii;

// === impl Line ===

impl<'a> Line<'a> {
    /// A line with nothing in it yet.
    pub(super) fn new(event: &'static str, at: Timestamp, instance: &'a str) -> Self {
        Self {
            version: VERSION,
            time: time(at),
            instance,
            event,
            ..Self::default()
        }
    }

    /// Appends it, with its line break.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let mut json = serde_json::Serializer::with_formatter(&mut *to, Ascii);
        self.serialize(&mut json)
            .expect("strings and numbers into memory");
        to.push(b'\n');
    }
}

/// A moment as lines tell it: RFC 3339, UTC, milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// At most so many bytes of a text, as a line writes it; one that was cut ends with ` ...`.
pub(super) fn clip(text: &str, max: usize) -> Cow<'_, str> {
    const CUT: &str = " ...";
    let (mut bytes, mut keep) = (0, 0);
    for (at, c) in text.char_indices() {
        bytes += match c {
            '"' | '\\' => 2,
            ' '..='~' => 1,
            c => 6 * c.len_utf16(),
        };
        if bytes > max {
            return format!("{}{CUT}", &text[..keep]).into();
        }
        if bytes + CUT.len() <= max {
            keep = at + c.len_utf8();
        }
    }
    text.into()
}

// === impl Ascii ===

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                write!(to, "{c}")?;
                continue;
            }
            for unit in c.encode_utf16(&mut units) {
                write!(to, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &Line<'_>) -> String {
        let mut bytes = vec![];
        line.write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_one_line_of_ascii_whatever_is_in_it() {
        let evil = "a\"b\\c\nd\r\u{85}e\u{2028}f\u{202e}g\u{1b}[2J\u{7f}h\u{0}ü🚀";
        let mut line = Line::new("configuration", Timestamp::UNIX_EPOCH, "isc");
        line.file = Some(evil.into());
        let text = written(&line);
        let inner = text.strip_suffix('\n').unwrap();
        assert!(
            inner.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text}"
        );
        let read: serde_json::Value = serde_json::from_str(inner).unwrap();
        assert_eq!(read["file"], evil, "and nothing is lost");
        assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_text_is_cut_by_what_it_takes_in_a_line() {
        assert_eq!(clip("short", 5), "short");
        assert_eq!(clip("too long", 7), "too ...");
        assert_eq!(clip("üü", 12), "üü");
        assert_eq!(clip("üü", 11), "ü ...");
        assert_eq!(clip("\n\n\n\n", 16), "\n\n ...");
    }
}
