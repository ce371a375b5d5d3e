//! Which workers may run which services, by the names in their certificates.

use isc_core::engine::Hello;
use isc_runtime::config::ConfigError;

use crate::{
    config::{GrpcConfig, WorkerRule},
    policy::Glob,
};

/// The rules of `grpc.workers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Nobody knows who connects.
    Anybody,
    /// By certificate; what no rule allows is refused.
    By(Vec<Rule>),
}

/// One rule, its patterns ready to be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    identities: Vec<Glob>,
    services: Vec<Glob>,
    names: Vec<Glob>,
}

// === impl Allowed ===

impl Allowed {
    /// From a configuration.
    ///
    /// # Errors
    /// A pattern that is none, with its key.
    pub(crate) fn new(config: &GrpcConfig) -> Result<Self, ConfigError> {
        if config.plaintext {
            return Ok(Self::Anybody);
        }
        let rules = config.workers.iter().enumerate();
        let rules = rules.map(|(at, rule)| Rule::new(at, rule));
        Ok(Self::By(rules.collect::<Result<_, _>>()?))
    }

    /// Whether a worker whose certificate has these names may be what it says it is.
    ///
    /// # Errors
    /// Why not, for the worker's operator: nothing of the rules, or of other workers.
    pub(crate) fn judge(&self, identities: &[String], hello: &Hello) -> Result<(), String> {
        let Self::By(rules) = self else {
            return Ok(());
        };
        let shown = format!("a certificate with the names [{}]", identities.join(", "));
        let ask = "ask the watcher's operators for a rule in its `grpc.workers`";
        let of_identity = || rules.iter().filter(|rule| rule.is_for(identities));
        if of_identity().next().is_none() {
            return Err(format!("{shown} may not connect: {ask}"));
        }
        let worker = &hello.holder.worker;
        let named = || of_identity().filter(|rule| any(&rule.names, worker));
        if named().next().is_none() {
            return Err(format!(
                "{shown} may not be the worker `{worker}`: change `name`, or {ask}"
            ));
        }
        let allowed = |service: &str| named().any(|rule| any(&rule.services, service));
        match hello.services.iter().find(|service| !allowed(service)) {
            None => Ok(()),
            Some(service) => Err(format!(
                "{shown} may not run the service `{service}` as the worker `{worker}`: leave it out in `services`, \
                 or {ask}"
            )),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn new(at: usize, rule: &WorkerRule) -> Result<Self, ConfigError> {
        let globs = |key: &str, texts: &[String]| -> Result<Vec<Glob>, ConfigError> {
            let wrong = |why: String| {
                ConfigError::Rule(format!("`grpc.workers[{at}].{key}` is wrong: {why}"))
            };
            if texts.is_empty() {
                return Err(wrong("it is empty, so that the rule is for nobody".into()));
            }
            let globs = texts.iter().map(|text| Glob::name(text).map_err(wrong));
            globs.collect()
        };
        Ok(Self {
            identities: globs("identities", &rule.identities)?,
            services: globs("services", &rule.services)?,
            names: globs("names", &rule.names)?,
        })
    }

    fn is_for(&self, identities: &[String]) -> bool {
        // A pattern of hosts matches no URI: authorities may be limited to hosts, and are not for URIs.
        let same_kind = |glob: &Glob, name: &str| is_uri(&glob.to_string()) == is_uri(name);
        identities.iter().any(|name| {
            let mut globs = self.identities.iter();
            globs.any(|glob| same_kind(glob, name) && glob.matches(name))
        })
    }
}

fn is_uri(name: &str) -> bool {
    name.contains("://")
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

#[cfg(test)]
mod tests {
    use isc_core::ids::Holder;

    use super::*;

    fn allowed(workers: &str) -> Result<Allowed, String> {
        let workers = serde_json::from_str(workers).map_err(|error| error.to_string())?;
        let config = GrpcConfig {
            workers,
            ..GrpcConfig::default()
        };
        Allowed::new(&config).map_err(|error| error.to_string())
    }

    fn hello(worker: &str, services: &[&str]) -> Hello {
        Hello {
            holder: Holder {
                worker: worker.into(),
                incarnation: "1".into(),
            },
            services: services.iter().map(|&service| service.into()).collect(),
            slots: 1,
            running: vec![],
            outcomes: vec![],
            greeting: 1,
        }
    }

    #[test]
    fn what_no_rule_allows_is_refused_and_named() {
        let allowed = allowed(
            r#"[{"identities": ["sign.workers", "spiffe://corp/*/sign"], "services": ["sign", "attest-*"]},
                {"identities": ["*pub.workers"], "services": ["*"], "names": ["pub-*"]}]"#,
        )
        .unwrap();
        let judge = |identity: &str, worker, services: &[&str]| {
            allowed.judge(&["other".into(), identity.into()], &hello(worker, services))
        };
        assert_eq!(judge("sign.workers", "a", &["sign", "attest-x"]), Ok(()));
        assert_eq!(judge("spiffe://corp/ns/sign", "a", &["sign"]), Ok(()));
        assert_eq!(judge("pub.workers", "pub-1", &["publish", "sign"]), Ok(()));
        for (identity, worker, services, word) in [
            ("nobody", "a", ["sign"], "may not connect"),
            ("sign.workers", "a", ["publish"], "service `publish`"),
            ("pub.workers", "sign-1", ["publish"], "worker `sign-1`"),
            ("spiffe://corp/ns/other", "a", ["sign"], "may not connect"),
            ("x://a/pub.workers", "pub-1", ["publish"], "may not connect"),
        ] {
            let why = judge(identity, worker, &services).unwrap_err();
            assert!(why.contains(word) && why.contains(identity), "{why}");
        }
    }

    #[test]
    fn a_rule_of_one_identity_lends_nothing_to_another() {
        let allowed = allowed(
            r#"[{"identities": ["a"], "services": ["sign"]}, {"identities": ["b"], "services": ["publish"]}]"#,
        )
        .unwrap();
        assert!(
            allowed
                .judge(&["a".into()], &hello("w", &["publish"]))
                .is_err()
        );
        let both = ["a".into(), "b".into()];
        assert_eq!(
            allowed.judge(&both, &hello("w", &["sign", "publish"])),
            Ok(())
        );
        assert!(allowed.judge(&[], &hello("w", &[])).is_err());
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        for (workers, wanted) in [
            (
                r#"[{"identities": [], "services": ["a"]}]"#,
                "grpc.workers[0].identities",
            ),
            (
                r#"[{"identities": ["a"], "services": ["**"]}]"#,
                "grpc.workers[0].services",
            ),
            (r#"[{"identities": ["a"]}]"#, "services"),
        ] {
            let error = allowed(workers).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
