//! Who may ask for what: ordered rules, of which the first that applies decides. What no rule accepts is
//! rejected.
//!
//! Pure: rules and a request in, a decision out. When a request is judged, and what its caller is told, is
//! `crate::admission`'s.

mod asked;
mod explain;
mod glob;
mod load;
mod rule;
#[cfg(test)]
mod tests;
mod trial;

use isc_runtime::expression::Failure;

pub(crate) use asked::Asked;
use asked::Facts;
pub(crate) use glob::Glob;
pub(crate) use load::NO_RULE;
pub use load::PolicyError;
use rule::{Effect, Key, Rule, Verdict};
pub use trial::{Trial, TrialError};

/// An ordered list of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    origin: String,
    rules: Vec<Rule>,
}

/// What a policy says of a request.
#[derive(Debug)]
pub(crate) struct Decision<'p> {
    /// Whether it is accepted.
    pub(crate) accepted: bool,
    /// The rule that decided; `None`: no rule applied.
    rule: Option<&'p Rule>,
    /// Rules whose expression could not be evaluated, and why.
    pub(crate) failures: Vec<(&'p str, Failure)>,
}

// === impl Policy ===

impl Policy {
    /// Decides.
    pub(crate) fn decide(&self, asked: &Asked<'_>) -> Decision<'_> {
        let facts = Facts::of(asked);
        let mut failures = vec![];
        for rule in &self.rules {
            let verdict = rule.judge(asked, &facts);
            let decides = rule.decides(&verdict);
            if let Verdict::Failed(failure) = verdict {
                failures.push((rule.name.as_str(), failure));
            }
            if decides {
                return Decision {
                    accepted: rule.effect == Effect::Accept,
                    rule: Some(rule),
                    failures,
                };
            }
        }
        Decision {
            accepted: false,
            rule: None,
            failures,
        }
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Where they were read from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The rules' names and what each could decide, as metrics tell it.
    pub(crate) fn results(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let rules = self.rules.iter().map(|rule| {
            let result = result(rule.effect == Effect::Accept);
            (rule.name.as_str(), result)
        });
        rules.chain([(NO_RULE, result(false))])
    }

    /// Whether decisions depend on parameters.
    pub(crate) fn reads_params(&self) -> bool {
        self.rules.iter().any(|rule| rule.when.is_some())
    }

    /// What is odd about it though it can be used.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = vec![];
        if self.rules.is_empty() {
            warnings.push(
                "the policy has no rule, so every request is rejected with NotAccepted: write rules \
                 (docs/policy.md), as in `policy: {rules: [{effect: accept, services: [echo]}]}`"
                    .into(),
            );
        }
        let groups = self
            .rules
            .iter()
            .filter(|rule| !rule.globs(Key::Groups).is_empty());
        warnings.extend(groups.map(|rule| {
            format!(
                "the policy's rule `{}` never applies: `groups` are told by no kind of request that is served",
                rule.name
            )
        }));
        let first = self.rules.iter().position(Rule::is_for_all);
        if let Some(at) = first.filter(|at| at + 1 < self.rules.len()) {
            warnings.push(format!(
                "the policy's rules behind `{}` are never reached: it applies to every request",
                self.rules[at].name
            ));
        }
        warnings
    }
}

// === impl Decision ===

impl Decision<'_> {
    /// The name of the rule that decided, or that none did.
    pub(crate) fn by(&self) -> &str {
        self.rule.map_or(NO_RULE, |rule| rule.name.as_str())
    }

    /// As metrics and logs tell it.
    pub(crate) fn result(&self) -> &'static str {
        result(self.accepted)
    }

    /// The rule's own message for the caller.
    pub(crate) fn message(&self) -> Option<&str> {
        self.rule?.message.as_deref()
    }
}

fn result(accepted: bool) -> &'static str {
    if accepted { "accepted" } else { "rejected" }
}
