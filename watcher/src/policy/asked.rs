//! What a rule is asked about.

use std::{cell::OnceCell, collections::BTreeMap};

use isc_core::api::RequestSpec;
use isc_runtime::expression::{Bindings, Failure, Variables};
use serde_json::Value;

/// A request that nobody has accepted yet. What a stranger wrote of it is only its spec, its parameters and
/// its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Its identity, for the log and so that it is judged once.
    pub(crate) uid: &'a str,
    /// The resource and group of its kind, as in `requests.internal.services`.
    pub(crate) kind: &'a str,
    /// The path of its workspace, when that is known.
    pub(crate) workspace: Option<&'a str>,
    /// The logical cluster.
    pub(crate) cluster: &'a str,
    /// The namespace.
    pub(crate) namespace: &'a str,
    /// The object's name.
    pub(crate) name: &'a str,
    /// The spec; its parameters may be missing.
    pub(crate) spec: &'a RequestSpec,
    /// The parameters; null when they cannot be read. Needed only where a rule has a condition.
    pub(crate) params: &'a Value,
    /// The groups of the requester, where the kind tells them.
    pub(crate) groups: &'a [String],
}

/// What an expression can name, made when the first one asks.
pub(super) struct Facts<'a> {
    asked: &'a Asked<'a>,
    bindings: OnceCell<Bindings>,
}

/// The fields of `request` in an expression. The requester is not among them: it is a variable of its own,
/// so that it shows which expressions rest on it.
const REQUEST: [&str; 13] = [
    "kind",
    "name",
    "service",
    "params",
    "priority",
    "idempotencyKey",
    "onConflict",
    "queueTimeoutSeconds",
    "timeoutSeconds",
    "deadlineSeconds",
    "retries",
    "ttlSecondsAfterFinished",
    "cancel",
];
const WORKSPACE: [&str; 3] = ["path", "cluster", "namespace"];

/// The variable that says who asks.
pub(super) const REQUESTER: &str = "requester";

/// What an expression can name.
pub(super) fn variables() -> Variables {
    BTreeMap::from([
        ("request", Some(REQUEST.as_slice())),
        ("workspace", Some(WORKSPACE.as_slice())),
        (REQUESTER, None),
    ])
}

// === impl Asked ===

impl Asked<'_> {
    /// Who asks; empty when that is not told.
    pub(super) fn requester(&self) -> &str {
        self.spec.requester.as_deref().unwrap_or_default()
    }
}

// === impl Facts ===

impl<'a> Facts<'a> {
    pub(super) fn of(asked: &'a Asked<'a>) -> Self {
        Self {
            asked,
            bindings: OnceCell::new(),
        }
    }

    /// # Errors
    /// When the parameters cannot be read: then nothing can be said of the request.
    pub(super) fn bindings(&self) -> Result<&Bindings, Failure> {
        if !self.asked.params.is_object() {
            return Err(Failure {
                what: "parameters that cannot be read",
                why: "they are no object, or nested too deeply".into(),
            });
        }
        Ok(self.bindings.get_or_init(|| self.bind()))
    }

    fn bind(&self) -> Bindings {
        let asked = self.asked;
        let spec = RequestSpec {
            params: None,
            requester: None,
            ..asked.spec.clone()
        };
        // Its fields are texts and numbers.
        let mut fields = serde_json::to_value(spec).unwrap_or_default();
        fields["kind"] = asked.kind.into();
        fields["name"] = asked.name.into();
        let path = Value::from(asked.workspace.unwrap_or_default());
        let (cluster, namespace) = (Value::from(asked.cluster), Value::from(asked.namespace));
        let place = [
            ("path", &path),
            ("cluster", &cluster),
            ("namespace", &namespace),
        ];
        let fields = fields.as_object().into_iter().flatten();
        let fields = fields.map(|(name, value)| (name.as_str(), value));
        Bindings::default()
            .object("request", fields.chain([("params", asked.params)]))
            .object("workspace", place)
            .value(REQUESTER, &asked.requester().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_spec_can_be_named_but_the_requester() {
        let schema = serde_json::to_value(schemars::schema_for!(RequestSpec)).unwrap();
        let mut fields: Vec<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.retain(|field| *field != "requester");
        for field in &fields {
            assert!(REQUEST.contains(field), "{field}");
        }
        assert_eq!(fields.len() + 2, REQUEST.len());
    }
}
