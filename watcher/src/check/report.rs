//! What was tried, and how it went.

use std::fmt;

/// The findings, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Report {
    lines: Vec<(Verdict, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// It works, but somebody may want to know.
    Note,
    Missing,
}

// === impl Report ===

impl Report {
    /// Whether a watcher can do its work.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.lines
            .iter()
            .all(|(verdict, _)| *verdict != Verdict::Missing)
    }

    pub(crate) fn fine(&mut self, text: String) {
        self.lines.push((Verdict::Fine, text));
    }

    pub(crate) fn note(&mut self, text: String) {
        self.lines.push((Verdict::Note, text));
    }

    pub(crate) fn missing(&mut self, text: String) {
        self.lines.push((Verdict::Missing, text));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (verdict, text) in &self.lines {
            let verdict = match verdict {
                Verdict::Fine => "ok     ",
                Verdict::Note => "note   ",
                Verdict::Missing => "MISSING",
            };
            writeln!(f, "{verdict}  {text}")?;
        }
        let end = if self.is_fine() {
            "Nothing is missing."
        } else {
            "Something is missing."
        };
        writeln!(f, "{end}")
    }
}
