//! What the `kinds` section must say: each mistake names its key and what would be right.

use isc_core::api::OnConflict;
use isc_runtime::services::is_dns_label;

use super::{
    Kind, Shape,
    key::KeyParts,
    konflux::{Konflux, PIPELINE, PIPELINE_RUN, PipelineService},
    mapping::Mapping,
    pointer::Pointer,
    service::{Names, Origin, Service},
};
use crate::{
    config::{KeyConfig, KindConfig, PickConfig, Profile, ServiceConfig},
    kcp::Served,
};

/// The key below `kinds[n]`, and what is wrong with it.
type Broken = (&'static str, String);

/// A kind as it is configured.
pub(super) fn kind(config: &KindConfig) -> Result<Kind, Broken> {
    let shape = match config.profile {
        Some(Profile::Request) => {
            decided(&pointers(config))?;
            decided(&others(config))?;
            Shape::Request
        }
        Some(Profile::KonfluxInternalRequest) => Shape::Konflux(konflux(config)?),
        None => Shape::Mapped(Box::new(mapping(config)?)),
    };
    Ok(Kind::new(served(config)?, shape))
}

fn served(config: &KindConfig) -> Result<Served, Broken> {
    let slice = config.endpoint_slice.clone();
    if let Some(slice) = slice.as_ref().filter(|name| !is_dns_name(name)) {
        return broken(
            "endpointSlice",
            format!("must be the name of an APIExportEndpointSlice, and is {slice:?}"),
        );
    }
    let is_group = |name: &str| is_dns_name(name) && name.contains('.');
    Ok(Served {
        group: named(
            "group",
            (config.group.as_ref(), known(config, "appstudio.redhat.com")),
            ("an API group such as signing.example.com", is_group),
        )?,
        version: named(
            "version",
            (config.version.as_ref(), known(config, "v1alpha1")),
            ("an API version such as v1alpha1", is_dns_label),
        )?,
        kind: named(
            "kind",
            (config.kind.as_ref(), known(config, "InternalRequest")),
            ("a kind such as SigningRequest", is_kind),
        )?,
        plural: named(
            "plural",
            (config.plural.as_ref(), known(config, "internalrequests")),
            ("as in URLs, such as signingrequests", is_dns_label),
        )?,
        slice,
    })
}

fn is_kind(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn known<'a>(config: &KindConfig, name: &'a str) -> Option<&'a str> {
    let profile = config.profile;
    profile
        .is_some_and(|profile| profile == Profile::KonfluxInternalRequest)
        .then_some(name)
}

fn named(
    key: &'static str,
    (told, default): (Option<&String>, Option<&str>),
    (wanted, is_right): (&str, impl FnOnce(&str) -> bool),
) -> Result<String, Broken> {
    let Some(name) = told.map(String::as_str).or(default) else {
        return broken(key, "is missing: it says which objects are served");
    };
    if is_right(name) {
        return Ok(name.to_owned());
    }
    broken(key, format!("must be {wanted}, and is {name:?}"))
}

fn mapping(config: &KindConfig) -> Result<Mapping, Broken> {
    let Some(service) = &config.service else {
        let why = "is missing: set it to a service's name, or to {field: /spec/..} or {label: ..}";
        return broken("service", why);
    };
    let key = match &config.idempotency_key {
        Some(key) if key.fields.is_empty() && key.labels.is_empty() => {
            return broken(
                "idempotencyKey",
                "has no parts: set `fields` or `labels`, or leave it out",
            );
        }
        Some(key) => key_parts(key)?,
        None => KeyParts::default(),
    };
    if config.on_conflict.is_some() && config.idempotency_key.is_none() {
        return broken(
            "onConflict",
            "means nothing without `idempotencyKey`: set that, or leave this out",
        );
    }
    let at =
        |key, pointer: &Option<String>| pointer.as_ref().map(|p| pointer_at(key, p)).transpose();
    Ok(Mapping {
        service: picked(service)?,
        params: at("params", &config.params)?,
        requester: at("requester", &config.requester)?,
        priority: at("priority", &config.priority)?,
        cancel: at("cancel", &config.cancel)?,
        timeout: at("timeout", &config.timeout)?,
        queue_timeout: at("queueTimeout", &config.queue_timeout)?,
        deadline: at("deadline", &config.deadline)?,
        retries: at("retries", &config.retries)?,
        ttl: at("ttlAfterFinished", &config.ttl_after_finished)?,
        key,
        on_conflict: config.on_conflict,
    })
}

/// What a profile decides can be decided by nobody else.
fn decided(keys: &[(&'static str, bool)]) -> Result<(), Broken> {
    match keys.iter().find(|(_, set)| *set) {
        Some((key, _)) => broken(key, "is decided by `profile`: leave it out"),
        None => Ok(()),
    }
}

fn pointers(config: &KindConfig) -> [(&'static str, bool); 9] {
    [
        ("params", config.params.is_some()),
        ("requester", config.requester.is_some()),
        ("priority", config.priority.is_some()),
        ("cancel", config.cancel.is_some()),
        ("timeout", config.timeout.is_some()),
        ("queueTimeout", config.queue_timeout.is_some()),
        ("deadline", config.deadline.is_some()),
        ("retries", config.retries.is_some()),
        ("ttlAfterFinished", config.ttl_after_finished.is_some()),
    ]
}

fn others(config: &KindConfig) -> [(&'static str, bool); 3] {
    [
        ("service", config.service.is_some()),
        ("idempotencyKey", config.idempotency_key.is_some()),
        ("onConflict", config.on_conflict.is_some()),
    ]
}

/// The profile knows where everything is.
fn konflux(config: &KindConfig) -> Result<Konflux, Broken> {
    decided(&pointers(config))?;
    let service = match &config.service {
        None => PipelineService::Named(Names::default()),
        Some(ServiceConfig::Picked(pick)) => {
            if pick.field.is_some() || pick.label.is_some() {
                let why =
                    "of this `profile` is chosen by the pipeline's name: set only `map` in it";
                return broken("service", why);
            }
            PipelineService::Named(names(pick)?)
        }
        Some(fixed) => PipelineService::Fixed(picked(fixed)?),
    };
    let key = match &config.idempotency_key {
        Some(key) => key_parts(key)?,
        None => KeyParts {
            fields: vec![],
            labels: [PIPELINE_RUN, PIPELINE].map(str::to_owned).to_vec(),
        },
    };
    Ok(Konflux {
        service,
        key,
        on_conflict: config.on_conflict.unwrap_or(OnConflict::Replace),
    })
}

fn picked(service: &ServiceConfig) -> Result<Service, Broken> {
    let pick = match service {
        ServiceConfig::Picked(pick) => pick,
        ServiceConfig::Fixed(name) if is_dns_label(name) => {
            return Ok(Service::Fixed(name.clone()));
        }
        ServiceConfig::Fixed(name) => return broken("service", not_a_service(name)),
    };
    let from = match (&pick.field, &pick.label) {
        (Some(field), None) => Origin::Field(pointer_at("service.field", field)?),
        (None, Some(label)) => Origin::Label(label_at("service.label", label)?),
        (None, None) => return broken("service", "needs `field: /spec/..` or `label: ..`"),
        (Some(_), Some(_)) => {
            return broken("service", "has `field` and `label`: keep one of them");
        }
    };
    Ok(Service::Picked {
        from,
        names: names(pick)?,
    })
}

fn names(pick: &PickConfig) -> Result<Names, Broken> {
    if let Some(map) = &pick.map {
        if map.is_empty() {
            return broken(
                "service.map",
                "is empty: list what objects say and which service that is, or leave it out",
            );
        }
        if let Some(name) = map.values().find(|name| !is_dns_label(name)) {
            return broken("service.map", not_a_service(name));
        }
    }
    Ok(Names(pick.map.clone()))
}

fn key_parts(config: &KeyConfig) -> Result<KeyParts, Broken> {
    let fields = config
        .fields
        .iter()
        .map(|field| pointer_at("idempotencyKey.fields", field));
    let labels = config
        .labels
        .iter()
        .map(|label| label_at("idempotencyKey.labels", label));
    Ok(KeyParts {
        fields: fields.collect::<Result<_, _>>()?,
        labels: labels.collect::<Result<_, _>>()?,
    })
}

fn pointer_at(key: &'static str, text: &str) -> Result<Pointer, Broken> {
    Pointer::parse(text).map_err(|why| (key, why))
}

/// `[domain/]name`.
fn label_at(key: &'static str, label: &str) -> Result<String, Broken> {
    let (domain, name) = label
        .split_once('/')
        .map_or((None, label), |(d, n)| (Some(d), n));
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let outer = |c: char| c.is_ascii_alphanumeric();
    let fine = (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(outer)
        && name.ends_with(outer)
        && domain.is_none_or(is_dns_name);
    if fine {
        return Ok(label.to_owned());
    }
    broken(
        key,
        format!("must be a label such as example.com/pipeline, and is {label:?}"),
    )
}

fn is_dns_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

fn not_a_service(name: &str) -> String {
    format!(
        "must be the name of a service (a-z, 0-9 and -, at most 63 characters), and is {name:?}"
    )
}

fn broken<T>(key: &'static str, why: impl Into<String>) -> Result<T, Broken> {
    Err((key, why.into()))
}
