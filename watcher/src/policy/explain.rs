//! A decision in words, for the operator: which rule decided, and why each earlier one did not.

use std::fmt::Write as _;

use super::{
    Effect, Policy, Rule, Verdict,
    asked::{Asked, Facts},
    rule::Key,
};

/// So many patterns are shown.
const SHOWN: usize = 8;

// === impl Policy ===

impl Policy {
    /// Whether a request is accepted, and how each rule up to the one that decided looked at it.
    pub(super) fn explain(&self, asked: &Asked<'_>) -> (bool, String) {
        let facts = Facts::of(asked);
        let mut lines = String::new();
        for (rule, number) in self.rules.iter().zip(1..) {
            let verdict = rule.judge(asked, &facts);
            let decides = rule.decides(&verdict);
            let (name, effect) = (&rule.name, rule.effect.word());
            // Writing to a text cannot fail.
            let _infallible = writeln!(
                lines,
                "  {number:>3}  {effect}  {name}: {}",
                why(rule, &verdict, asked)
            );
            if decides {
                let accepted = rule.effect == Effect::Accept;
                let end = if accepted { "accepted" } else { "rejected" };
                let left = self.rules.len() - number;
                if left > 0 {
                    let _infallible = writeln!(lines, "       ({left} more not looked at)");
                }
                return (
                    accepted,
                    format!("{end} by rule {number} `{name}`\n{lines}"),
                );
            }
        }
        let head = "rejected: no rule applies, and what no rule accepts is rejected";
        (false, format!("{head}\n{lines}"))
    }
}

fn why(rule: &Rule, verdict: &Verdict, asked: &Asked<'_>) -> String {
    let when = rule.when.as_ref().map_or("", |when| when.text());
    match verdict {
        Verdict::Applies if rule.is_for_all() => "applies to every request".into(),
        Verdict::Applies => "applies".into(),
        Verdict::Differs(key) => differs(rule, *key, asked),
        Verdict::False => format!("no, `when` is false: {when}"),
        Verdict::Failed(failure) => {
            let so = match rule.effect {
                Effect::Accept => "so it does not accept",
                Effect::Reject => "so it rejects: nothing may slip past it",
            };
            format!("`when` cannot be evaluated, {so}: {failure}: {when}")
        }
    }
}

fn differs(rule: &Rule, key: Key, asked: &Asked<'_>) -> String {
    let word = key.word();
    let values: Vec<&str> = key.values(asked).collect();
    let globs = rule.globs(key);
    let shown: Vec<String> = globs.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if globs.len() > SHOWN { ", ..." } else { "" };
    let patterns = format!("{}{more}", shown.join(", "));
    match (values.as_slice(), key) {
        ([], Key::Workspaces) => {
            format!("no, `{word}` ({patterns}): the path of the workspace is not known")
        }
        ([], _) => format!("no, `{word}` ({patterns}): the request tells none"),
        _ => format!("no, `{word}`: {} is not in {patterns}", values.join(", ")),
    }
}
