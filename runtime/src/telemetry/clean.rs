//! A writer that lets no stranger's character act on a terminal or a log.
//!
//! What is logged holds words of tenants, workers, jobs, brokers and API servers. One place makes sure
//! that a line stays a line, whoever worded a part of it.

use std::{fmt::Write as _, io};

use tracing_subscriber::fmt::MakeWriter;

/// Makes [`Clean`] writers over those of `M`.
#[derive(Clone, Copy, Debug)]
pub(super) struct CleanWriters<M> {
    /// Where clean lines go.
    pub(super) inner: M,
    /// The logger's own colours are left in.
    pub(super) colours: bool,
}

/// A writer whose every `write` is one whole event, as the formatter has it: control characters, line
/// separators and characters that set a writing direction are written as `\uXXXX`, which is right inside
/// of JSON as well. Only the line's own end stays.
#[derive(Debug)]
pub(super) struct Clean<W> {
    inner: W,
    colours: bool,
}

// === impl CleanWriters ===

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for CleanWriters<M> {
    type Writer = Clean<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Clean {
            inner: self.inner.make_writer(),
            colours: self.colours,
        }
    }
}

// === impl Clean ===

impl<W: io::Write> io::Write for Clean<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        match cleaned(&text, self.colours) {
            Some(clean) => self.inner.write_all(clean.as_bytes())?,
            None => self.inner.write_all(event)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The event without active characters; none when there are none to be replaced.
fn cleaned(event: &str, colours: bool) -> Option<String> {
    let line = event.strip_suffix('\n').unwrap_or(event);
    let first = line.find(is_active)?;
    let mut clean = line[..first].to_owned();
    let mut rest = &line[first..];
    while let Some(c) = rest.chars().next() {
        let length = if colours { colour(rest) } else { 0 };
        if length > 0 {
            clean.push_str(&rest[..length]);
        } else if is_active(c) {
            let _infallible = write!(clean, "\\u{:04x}", u32::from(c));
        } else {
            clean.push(c);
        }
        rest = &rest[length.max(c.len_utf8())..];
    }
    clean.push_str(&event[line.len()..]);
    Some(clean)
}

/// The length of the escape sequence that a text begins with, if all that it does is to set a colour or a
/// style.
fn colour(text: &str) -> usize {
    let Some(inside) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let end = inside.find(|c: char| !c.is_ascii_digit() && c != ';');
    match end {
        Some(end) if inside[end..].starts_with('m') => "\u{1b}[".len() + end + 1,
        _ => 0,
    }
}

/// See `isc_core::text::is_active`: this crate knows nothing of core.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn written(event: &str, colours: bool) -> String {
        let mut clean = Clean {
            inner: Vec::new(),
            colours,
        };
        clean.write_all(event.as_bytes()).unwrap();
        String::from_utf8(clean.inner).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        assert_eq!(written("all well: ä 🚀\n", false), "all well: ä 🚀\n");
        assert_eq!(
            written("a\nERROR forged\r\u{1b}[2J\u{0}\u{9b}\u{202e}b\n", false),
            "a\\u000aERROR forged\\u000d\\u001b[2J\\u0000\\u009b\\u202eb\n"
        );
    }

    #[test]
    fn a_line_of_json_stays_json() {
        let line = written("{\"message\":\"a\u{7f}\u{202e}b\"}\n", false);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["message"], "a\u{7f}\u{202e}b");
        assert!(line.is_ascii(), "{line}");
    }

    #[test]
    fn on_a_terminal_colours_stay_and_nothing_else_does() {
        assert_eq!(
            written(
                "\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7}\n",
                true
            ),
            "\u{1b}[1;31mred\u{1b}[0m \\u001b[2J\\u001b]0;title\\u0007\n"
        );
    }
}
