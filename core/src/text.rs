//! Texts of strangers: what of them may stand in a status, in an Event, or in a name.
//!
//! A worker's message ends up on a terminal, so no character in it may move a cursor, break a line, or
//! turn the order of what is read around.

/// What ends a text that was cut.
const CUT: &str = " ...";
/// What stands for a character that is not shown.
const HIDDEN: char = '\u{fffd}';

/// A text for people, of at most `max` bytes (4 at least): one that is longer ends with ` ...`. Line breaks
/// and tabs become blanks; other control characters and those that set a writing direction become U+FFFD.
#[must_use]
pub fn clean(text: &str, max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        clean.push(shown(c));
        // What follows is not looked at, however much it is.
        if clean.len() > max {
            clean.truncate(clean.floor_char_boundary(max.saturating_sub(CUT.len())));
            clean.push_str(CUT);
            break;
        }
    }
    clean
}

/// Whether a name can be shown as it is: it has no blank and nothing that [`clean`] would replace.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    name.chars().all(|c| !c.is_whitespace() && shown(c) == c)
}

/// Whether a character can do more to a terminal or a log than show itself: it controls, separates lines, or
/// sets the direction of writing.
#[must_use]
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        c if is_active(c) => HIDDEN,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_breaks_a_line_moves_a_cursor_or_turns_the_reading_around() {
        let cases = [
            (
                "half done: 50 %, für alle 🚀",
                "half done: 50 %, für alle 🚀",
            ),
            ("a\nb\tc\r\u{2028}d", "a b c  d"),
            (
                "\u{1b}[31mred\u{7}\u{0}\u{9b}2J\u{7f}",
                "\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}2J\u{fffd}",
            ),
            (
                "\u{202e}gpj.exe\u{2066}\u{200f}",
                "\u{fffd}gpj.exe\u{fffd}\u{fffd}",
            ),
        ];
        for (dirty, wanted) in cases {
            assert_eq!(clean(dirty, 100), wanted, "{dirty:?}");
            assert_eq!(clean(wanted, 100), wanted, "cleaning twice changes nothing");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_with_a_mark() {
        assert_eq!(clean("short", 10), "short");
        assert_eq!(clean("exactly 10", 10), "exactly 10");
        assert_eq!(clean("äääääää", 10), "äää ...");
        // Each of them grows to three bytes.
        let grown = clean(&"\u{0}".repeat(1_000_000), 100);
        assert!(grown.len() <= 100 && grown.ends_with(CUT), "{grown}");
    }

    #[test]
    fn a_name_is_plain_when_it_can_stand_in_any_line() {
        for name in ["worker-1", "Rechner.für.alles", "a_b:c"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["a b", "a\nb", "a\u{1b}[2Jb", "a\u{202e}b", "a\u{a0}b"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
