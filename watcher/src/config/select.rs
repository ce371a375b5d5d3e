//! The `select` section: which requests this instance serves, where several share one API. What it means is
//! `crate::select`'s.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The `select` section: a request is served when all of these hold. What is absent holds; an empty list of
/// patterns is a mistake.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SelectConfig {
    /// What the labels of a request must be, as in Kubernetes.
    pub labels: LabelSelector,
    /// Patterns of the workspace's path, of which one must match, as in a policy: `*` stands for any
    /// characters of a segment, `**` in place of a segment for one or more of them.
    pub workspaces: Option<Vec<String>>,
    /// Patterns of the logical cluster's name, of which one must match: `*` stands for any characters.
    pub clusters: Option<Vec<String>>,
    /// Patterns of the service's name, likewise.
    pub services: Option<Vec<String>>,
}

/// A label selector: all of it must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels with their values.
    pub match_labels: BTreeMap<String, String>,
    /// Rules for labels.
    pub match_expressions: Vec<LabelRule>,
}

/// A rule for one label.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRule {
    /// The label.
    pub key: String,
    /// The rule.
    pub operator: LabelOperator,
    /// What `In` and `NotIn` compare with.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What a rule demands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum LabelOperator {
    /// The label is there with one of the values.
    In,
    /// The label is not there, or has another value.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}
