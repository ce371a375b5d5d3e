//! What a long run of tests says of those that failed, told again at its end.

use std::collections::BTreeMap;

/// Lines of what one test printed that are told again: its message is among the first.
const LINES: usize = 30;

/// Reads what `cargo test` prints, line by line.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// What those that failed printed, by name.
    found: BTreeMap<String, Vec<String>>,
    /// Between "failures:" and the result of a program.
    listing: bool,
    section: Option<String>,
}

// === impl Failures ===

impl Failures {
    /// The next line.
    pub(crate) fn read(&mut self, line: &str) {
        if line == "failures:" {
            (self.listing, self.section) = (true, None);
        } else if line.starts_with("test result:") {
            (self.listing, self.section) = (false, None);
        } else if let Some(name) = section(line).filter(|_| self.listing) {
            self.section = Some(name.to_owned());
        } else if let Some(said) = self.section.as_ref().filter(|_| !line.is_empty()) {
            let said = self.found.entry(said.clone()).or_default();
            if said.len() < LINES {
                said.push(line.to_owned());
            }
        }
    }

    /// The text, empty when nothing failed.
    pub(crate) fn told_again(&self) -> String {
        let each = self.found.iter().map(|(name, said)| {
            let said: Vec<String> = said.iter().map(|line| format!("    {line}\n")).collect();
            format!("  {name}\n{}", said.concat())
        });
        let all: Vec<String> = each.collect();
        if all.is_empty() {
            return String::new();
        }
        format!("\n==> {} failed:\n{}", all.len(), all.concat())
    }
}

/// The name in "---- name stdout ----".
fn section(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
running 2 tests
test good ... ok
test bad ... FAILED

failures:

---- bad stdout ----
seed 7
thread 'bad' panicked: nothing started for 3 s

failures:
    bad

test result: FAILED. 1 passed; 1 failed
running 1 test
test other ... ok
test result: ok. 1 passed; 0 failed
";

    #[test]
    fn each_that_failed_is_told_with_what_it_printed() {
        let mut failures = Failures::default();
        PRINTED.lines().for_each(|line| failures.read(line));
        assert_eq!(
            failures.told_again(),
            "\n==> 1 failed:\n  bad\n    seed 7\n    thread 'bad' panicked: nothing started for 3 s\n"
        );
    }

    #[test]
    fn nothing_is_told_when_all_is_well_and_little_of_one_that_says_much() {
        let mut failures = Failures::default();
        assert_eq!(failures.told_again(), "");
        for line in ["failures:", "---- loud stdout ----"] {
            failures.read(line);
        }
        (0..1000).for_each(|_| failures.read("again"));
        assert_eq!(failures.told_again().lines().count(), LINES + 3);
    }
}
