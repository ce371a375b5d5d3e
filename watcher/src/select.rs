//! Which requests this instance serves, where several share one API.
//!
//! Pure. Whose a request is that somebody serves already is told by its status, and the engine's business.

use std::collections::{BTreeMap, BTreeSet};

use isc_core::api::RequestStatus;
use isc_runtime::{config::ConfigError, services::is_dns_label};

use crate::{
    config::{LabelOperator, LabelRule, LabelSelector, WatcherConfig},
    policy::Glob,
};

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// What an instance selects.
#[derive(Debug, Default)]
pub(crate) struct Select {
    /// The instance, and those that it takes over from.
    names: BTreeSet<String>,
    labels: LabelSelector,
    workspaces: Option<Vec<Glob>>,
    clusters: Option<Vec<Glob>>,
    services: Option<Vec<Glob>>,
}

/// What of a request is selected by.
pub(crate) struct Candidate<'a> {
    pub(crate) labels: &'a Labels,
    /// The path of its workspace, when that is known.
    pub(crate) workspace: Option<&'a str>,
    pub(crate) cluster: &'a str,
    pub(crate) service: &'a str,
}

// === impl Select ===

impl Select {
    /// What that configuration says.
    ///
    /// # Errors
    /// The first mistake, with its key.
    pub(crate) fn new(config: &WatcherConfig) -> Result<Self, ConfigError> {
        check_adopts(&config.adopts, &config.instance)?;
        let select = config.select.clone().unwrap_or_default();
        for rule in &select.labels.match_expressions {
            rule.check()?;
        }
        let names = config.adopts.iter().chain([&config.instance]);
        Ok(Self {
            names: names.cloned().collect(),
            labels: select.labels,
            workspaces: globs("workspaces", select.workspaces, Glob::path)?,
            clusters: globs("clusters", select.clusters, Glob::name)?,
            services: globs("services", select.services, Glob::name)?,
        })
    }

    /// Whether labels matter; where not, they need not be read.
    pub(crate) fn asks_for_labels(&self) -> bool {
        !self.labels.match_labels.is_empty() || !self.labels.match_expressions.is_empty()
    }

    /// Whether the paths of workspaces matter.
    pub(crate) fn asks_for_paths(&self) -> bool {
        self.workspaces.is_some()
    }

    /// Whether it serves such requests. One whose path is not known matches no pattern of paths.
    pub(crate) fn selects(&self, found: &Candidate<'_>) -> bool {
        matches(self.services.as_deref(), Some(found.service))
            && matches(self.clusters.as_deref(), Some(found.cluster))
            && matches(self.workspaces.as_deref(), found.workspace)
            && self.labels.matches(found.labels)
    }

    /// Whether a status names this instance, or one that it takes over from.
    pub(crate) fn is_named(&self, status: Option<&RequestStatus>) -> bool {
        let name = status.and_then(|status| status.controller.as_deref());
        name.is_some_and(|name| self.names.contains(name))
    }
}

fn matches(globs: Option<&[Glob]>, value: Option<&str>) -> bool {
    let any = |globs: &[Glob]| value.is_some_and(|value| globs.iter().any(|g| g.matches(value)));
    globs.is_none_or(any)
}

fn globs(
    key: &str,
    texts: Option<Vec<String>>,
    glob: fn(&str) -> Result<Glob, String>,
) -> Result<Option<Vec<Glob>>, ConfigError> {
    let wrong = |why: String| ConfigError::Rule(format!("`select.{key}`: {why}"));
    let Some(texts) = texts else {
        return Ok(None);
    };
    if texts.is_empty() {
        return Err(wrong(
            "an empty list selects nothing: leave the key out".into(),
        ));
    }
    let globs = texts.iter().map(|text| glob(text).map_err(wrong));
    globs.collect::<Result<_, _>>().map(Some)
}

fn check_adopts(adopts: &[String], instance: &str) -> Result<(), ConfigError> {
    let odd = |name: &&String| !is_dns_label(name) || *name == instance;
    match adopts.iter().find(odd) {
        Some(odd) => Err(ConfigError::Rule(format!(
            "`adopts` has `{odd}`: name other instances, which are no more"
        ))),
        None => Ok(()),
    }
}

// === impl LabelSelector ===

impl LabelSelector {
    fn matches(&self, labels: &Labels) -> bool {
        let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(equal)
            && self.match_expressions.iter().all(|rule| rule.holds(labels))
    }
}

// === impl LabelRule ===

impl LabelRule {
    fn check(&self) -> Result<(), ConfigError> {
        let compares = matches!(self.operator, LabelOperator::In | LabelOperator::NotIn);
        if !self.key.is_empty() && compares != self.values.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Rule(format!(
            "`select.labels.matchExpressions` has {:?} of `{}` with {} values: In and NotIn need some, Exists \
             and DoesNotExist none, and each a key",
            self.operator,
            self.key,
            self.values.len()
        )))
    }

    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => listed,
            LabelOperator::NotIn => !listed,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests;
