//! One rule: what it says, and whether it applies to a request.

use isc_runtime::expression::{Condition, Failure};

use super::{
    asked::{Asked, Facts, REQUESTER},
    glob::Glob,
};

/// What becomes of a request that a rule applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is accepted.
    Accept,
    /// It is not.
    Reject,
}

/// What a rule can look at besides its expression, in the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Kinds,
    Services,
    Workspaces,
    Clusters,
    Namespaces,
    Requesters,
    Groups,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Unique among the rules.
    pub(crate) name: String,
    pub(crate) effect: Effect,
    /// For the caller, in place of the usual message.
    pub(crate) message: Option<String>,
    /// All of them must match; of each, one pattern.
    pub(super) names: Vec<(Key, Vec<Glob>)>,
    pub(super) when: Option<Condition>,
}

/// What a rule says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It decides.
    Applies,
    /// One of its keys does not match.
    Differs(Key),
    /// Its expression is false.
    False,
    /// Its expression cannot be evaluated.
    Failed(Failure),
}

// === impl Effect ===

impl Effect {
    /// As in the file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
        }
    }
}

// === impl Key ===

impl Key {
    pub(super) const ALL: [Self; 7] = [
        Self::Kinds,
        Self::Services,
        Self::Workspaces,
        Self::Clusters,
        Self::Namespaces,
        Self::Requesters,
        Self::Groups,
    ];

    /// As in the file.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Kinds => "kinds",
            Self::Services => "services",
            Self::Workspaces => "workspaces",
            Self::Clusters => "clusters",
            Self::Namespaces => "namespaces",
            Self::Requesters => "requesters",
            Self::Groups => "groups",
        }
    }

    /// A pattern of it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn glob(self, text: &str) -> Result<Glob, String> {
        match self {
            Self::Workspaces => Glob::path(text),
            _ => Glob::name(text),
        }
    }

    /// What a request has there; nothing when that is not known.
    pub(super) fn values<'a>(self, asked: &Asked<'a>) -> impl Iterator<Item = &'a str> {
        let (one, many) = match self {
            Self::Kinds => (Some(asked.kind), [].as_slice()),
            Self::Services => (Some(asked.spec.service.as_str()), [].as_slice()),
            Self::Workspaces => (asked.workspace, [].as_slice()),
            Self::Clusters => (Some(asked.cluster), [].as_slice()),
            Self::Namespaces => (Some(asked.namespace), [].as_slice()),
            Self::Requesters => (asked.spec.requester.as_deref(), [].as_slice()),
            Self::Groups => (None, asked.groups),
        };
        let one = one.filter(|value| !value.is_empty());
        one.into_iter().chain(many.iter().map(String::as_str))
    }
}

// === impl Rule ===

impl Rule {
    /// Whether it applies.
    pub(super) fn judge(&self, asked: &Asked<'_>, facts: &Facts<'_>) -> Verdict {
        for (key, globs) in &self.names {
            let matches = |value: &str| globs.iter().any(|glob| glob.matches(value));
            if !key.values(asked).any(matches) {
                return Verdict::Differs(*key);
            }
        }
        let Some(when) = &self.when else {
            return Verdict::Applies;
        };
        match facts.bindings().and_then(|bindings| when.holds(bindings)) {
            Ok(true) => Verdict::Applies,
            Ok(false) => Verdict::False,
            Err(failure) => Verdict::Failed(failure),
        }
    }

    /// Whether a verdict of this rule ends the search. A request must not slip past a rule that rejects
    /// by making its expression fail.
    pub(super) fn decides(&self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Applies => true,
            Verdict::Failed(_) => self.effect == Effect::Reject,
            Verdict::Differs(_) | Verdict::False => false,
        }
    }

    /// The first key that rests on who asks.
    pub(super) fn asks_who(&self) -> Option<&'static str> {
        let of_names = self.names.iter().map(|(key, _)| *key);
        let named = of_names
            .filter(|key| matches!(key, Key::Requesters | Key::Groups))
            .map(Key::word);
        let when = self.when.iter().filter(|when| when.uses(REQUESTER));
        named.chain(when.map(|_| "when")).next()
    }

    /// Whether it applies to every request.
    pub(super) fn is_for_all(&self) -> bool {
        self.names.is_empty() && self.when.is_none()
    }

    /// The patterns of a key.
    pub(super) fn globs(&self, wanted: Key) -> &[Glob] {
        let found = self.names.iter().find(|(key, _)| *key == wanted);
        found.map_or(&[], |(_, globs)| globs)
    }
}
