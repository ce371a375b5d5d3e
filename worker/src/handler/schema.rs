//! The schemas of a handler's types, as a service file takes them.

use schemars::{JsonSchema, generate::SchemaSettings, transform::RestrictFormats};
use serde::Serialize;
use serde_json::Value;

/// The keys of a service file that say what a handler takes and gives back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schemas {
    #[serde(rename = "paramsSchema")]
    pub(crate) params: Value,
    /// None for a handler without a result.
    #[serde(rename = "resultSchema", skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
}

// === impl Schemas ===

impl Schemas {
    pub(super) fn of<P: JsonSchema, R: JsonSchema>() -> Self {
        let result = schema::<R>(settings().for_serialize());
        Self {
            params: schema::<P>(settings().for_deserialize()),
            result: Some(result).filter(|schema| schema["type"] != "null"),
        }
    }

    /// As lines of a service file.
    ///
    /// # Errors
    /// When a service file could not have them.
    pub(crate) fn to_yaml(&self) -> Result<String, String> {
        use isc_runtime::services::Schema;
        for (key, schema) in [
            ("paramsSchema", Some(&self.params)),
            ("resultSchema", self.result.as_ref()),
        ] {
            let compiled = schema.map_or(Ok(()), |schema| Schema::compile(schema).map(drop));
            compiled.map_err(|why| format!("its type makes no `{key}` that can be used: {why}"))?;
        }
        serde_saphyr::to_string(self).map_err(|error| error.to_string())
    }
}

/// Without the formats that only this generator knows, such as `uint32`: a service file refuses them.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with_transform(RestrictFormats::default())
}

fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
