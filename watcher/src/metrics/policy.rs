//! What the policy decides.

use prometheus_client::registry::Registry;

use super::{
    Metrics,
    labels::{DecisionLabel, RuleLabel},
};
use crate::policy::{NO_RULE, Policy};

impl Metrics {
    pub(super) fn register_policy(&self, r: &mut Registry) {
        let help = "New requests, by the rule that decided and how";
        r.register("policy_decisions", help, self.decisions.clone());
        let help = "Evaluations of a rule's expression that failed";
        r.register("policy_failures", help, self.rule_failures.clone());
        r.register("policy_rules", "Rules in force", self.rules.clone());
    }

    /// Shows the policy in force; its rules start with 0.
    pub(crate) fn policy(&self, policy: &Policy) {
        self.rules
            .set(i64::try_from(policy.len()).unwrap_or(i64::MAX));
        for (rule, result) in policy.results() {
            let rule = rule.to_owned();
            if rule != NO_RULE {
                let label = RuleLabel { rule: rule.clone() };
                drop(self.rule_failures.get_or_create(&label));
            }
            drop(
                self.decisions
                    .get_or_create(&DecisionLabel { rule, result }),
            );
        }
    }

    /// Counts a decision on a new request.
    pub(crate) fn decision(&self, rule: &str, result: &'static str) {
        let rule = rule.to_owned();
        self.decisions
            .get_or_create(&DecisionLabel { rule, result })
            .inc();
    }

    /// Counts a rule whose expression could not be evaluated.
    pub(crate) fn rule_failed(&self, rule: &str) {
        let rule = rule.to_owned();
        self.rule_failures.get_or_create(&RuleLabel { rule }).inc();
    }
}
