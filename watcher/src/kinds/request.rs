//! The built-in kind: its spec is what the engine wants, but for the parameters, which stay text.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use super::{Asked, NO_PARAMS};

/// The spec without its parameters, and these.
pub(super) fn asked(spec: Option<&RawValue>) -> Asked<'_> {
    let text = spec.map_or("{}", RawValue::get);
    let mut fields: BTreeMap<String, &RawValue> = match serde_json::from_str(text) {
        Ok(fields) => fields,
        Err(error) => {
            return Asked {
                spec: Err(error.to_string()),
                params: NO_PARAMS,
                ignored: None,
            };
        }
    };
    let params = fields.remove("params");
    let rest = serde_json::to_string(&fields).and_then(|rest| serde_json::from_str(&rest));
    Asked {
        spec: rest.map_err(|error| error.to_string()),
        params: params_text(params),
        ignored: None,
    }
}

/// No parameters are an empty object.
pub(super) fn params_text(params: Option<&RawValue>) -> Cow<'_, str> {
    match params.map(RawValue::get) {
        None | Some("null") => NO_PARAMS,
        Some(text) => text.into(),
    }
}
