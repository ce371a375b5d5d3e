//! Rules from YAML, strictly: every mistake names the rule and the key.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use isc_runtime::{expression::Condition, services::is_dns_label};
use serde_json::{Map, Value};

use super::{
    Policy,
    asked::variables,
    rule::{Effect, Key, Rule},
};

/// The most rules.
const RULES_MAX: usize = 1000;
/// The longest message of a rule, bytes.
const MESSAGE_MAX: usize = 1024;
/// What metrics and logs call the end of the list, where no rule applied.
pub(crate) const NO_RULE: &str = "none";

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read the policy file {path} (`policy.file`): {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is wrong.
    #[error("the policy ({origin}) is wrong: {why}")]
    Wrong {
        /// Where it was read from.
        origin: String,
        /// What is wrong.
        why: String,
    },
}

// === impl Policy ===

impl Policy {
    /// The rules of a list; `requesters` says whether rules about who asks count.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn of_rules(
        origin: &str,
        rules: &[Value],
        requesters: bool,
    ) -> Result<Self, PolicyError> {
        let wrong = |why| PolicyError::Wrong {
            origin: origin.to_owned(),
            why,
        };
        if rules.len() > RULES_MAX {
            let why = format!("it has {} rules, more than {RULES_MAX}", rules.len());
            return Err(wrong(why));
        }
        let numbered = rules.iter().zip(1..);
        let rules: Vec<Rule> = numbered
            .map(|(rule, number)| read(rule, number))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        check(&rules, requesters).map_err(wrong)?;
        Ok(Self {
            origin: origin.to_owned(),
            rules,
        })
    }

    /// The rules of a file that holds nothing else.
    ///
    /// # Errors
    /// When it cannot be read, or the first mistake.
    pub(crate) fn of_file(path: &Path, requesters: bool) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?;
        let origin = path.display().to_string();
        let wrong = |why: String| PolicyError::Wrong {
            origin: origin.clone(),
            why,
        };
        let file: Map<String, Value> =
            serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if let Some(odd) = file.keys().find(|key| *key != "rules") {
            return Err(wrong(format!(
                "there is no key `{odd}`; there is `rules` (`requesterPolicyInstalled` belongs into the \
                 watcher's own configuration)"
            )));
        }
        let rules = file.get("rules").and_then(Value::as_array);
        let rules = rules.ok_or_else(|| wrong("`rules` must be a list of rules".into()))?;
        Self::of_rules(&origin, rules, requesters)
    }
}

fn read(rule: &Value, number: usize) -> Result<Rule, String> {
    let fields = rule
        .as_object()
        .ok_or_else(|| format!("rule {number} must be an object, as in {{effect: accept}}"))?;
    let named = fields.get("name").and_then(Value::as_str);
    let called = named.map_or(String::new(), |name| format!(" (`{name}`)"));
    rule_of(fields, number).map_err(|why| format!("rule {number}{called}: {why}"))
}

fn rule_of(fields: &Map<String, Value>, number: usize) -> Result<Rule, String> {
    let mut rule = Rule {
        name: format!("rule-{number}"),
        effect: Effect::Accept,
        message: None,
        names: vec![],
        when: None,
    };
    for (key, value) in fields {
        match key.as_str() {
            "name" => rule.name = name(value)?,
            "effect" => rule.effect = effect(value)?,
            "message" => rule.message = Some(message(value)?),
            "when" => rule.when = Some(condition(value)?),
            other => {
                let known = Key::ALL.into_iter().find(|key| key.word() == other);
                let key = known.ok_or_else(|| unknown(other))?;
                rule.names.push((key, globs(key, value)?));
            }
        }
    }
    rule.names.sort_by_key(|(key, _)| *key);
    if !fields.contains_key("effect") {
        return Err("`effect` is missing: it must be `accept` or `reject`".into());
    }
    if rule.effect == Effect::Accept && rule.message.is_some() {
        return Err("`message` is for callers that are rejected; this rule accepts".into());
    }
    Ok(rule)
}

fn unknown(key: &str) -> String {
    let names = Key::ALL.map(Key::word).join(", ");
    format!("there is no key `{key}`; there are name, effect, message, {names}, when")
}

fn name(value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some(NO_RULE) => Err(format!("`name`: `{NO_RULE}` stands for no rule at all")),
        Some(name) if is_dns_label(name) => Ok(name.to_owned()),
        _ => Err("`name` must be of a-z, 0-9 and -, at most 63 characters".into()),
    }
}

fn effect(value: &Value) -> Result<Effect, String> {
    match value.as_str() {
        Some("accept") => Ok(Effect::Accept),
        Some("reject") => Ok(Effect::Reject),
        _ => Err(format!(
            "`effect` is {value}; it must be `accept` or `reject`"
        )),
    }
}

fn message(value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| {
        let printable = !text.chars().any(char::is_control);
        !text.is_empty() && text.len() <= MESSAGE_MAX && printable
    });
    let wanted = || format!("`message` must be one line of text of at most {MESSAGE_MAX} bytes");
    text.map(str::to_owned).ok_or_else(wanted)
}

fn condition(value: &Value) -> Result<Condition, String> {
    let text = value
        .as_str()
        .ok_or("`when` must be a text, a CEL expression; put it in quotes")?;
    Condition::compile(text, &variables()).map_err(|why| {
        format!("`when` is no condition over request, workspace and requester: {why}")
    })
}

fn globs(key: Key, value: &Value) -> Result<Vec<super::glob::Glob>, String> {
    let word = key.word();
    let wanted = || format!("`{word}` must be a list of texts, as in `{word}: [\"a-*\"]`");
    let patterns = value.as_array().ok_or_else(wanted)?;
    if patterns.is_empty() {
        return Err(format!(
            "`{word}` is empty and would match nothing; leave it out to match everything"
        ));
    }
    let glob = |pattern: &Value| {
        let text = pattern.as_str().ok_or_else(wanted)?;
        key.glob(text).map_err(|why| format!("`{word}`: {why}"))
    };
    patterns.iter().map(glob).collect()
}

fn check(rules: &[Rule], requesters: bool) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (rule, number) in rules.iter().zip(1..) {
        if !names.insert(rule.name.as_str()) {
            let name = &rule.name;
            return Err(format!(
                "rule {number} (`{name}`): `name` is taken by an earlier rule"
            ));
        }
        if let Some(key) = rule.asks_who().filter(|_| !requesters) {
            return Err(format!(
                "rule {number} (`{}`): `{key}` rests on who asks, and any caller can put any name into \
                 spec.requester unless the requester policy is installed: apply \
                 deploy/kcp/requester-policy.yaml in the provider workspace (deploy/kubernetes/\
                 requester-policy.yaml in a plain cluster), then set `policy.requesterPolicyInstalled: true`",
                rule.name
            ));
        }
    }
    Ok(())
}
