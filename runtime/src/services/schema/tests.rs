//! What a schema may say, what it says of values, and what a check may cost.

mod cost;

use serde_json::json;

use super::*;

/// What no answer may contain.
const SECRET: &str = "s3cr3t-v4lu3";

#[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
fn schema(schema: Value) -> Schema {
    Schema::compile(&schema).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
fn refused(schema: Value) -> String {
    Schema::compile(&schema).unwrap_err()
}

fn digest() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["digest"],
        "additionalProperties": false,
        "properties": {
            "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
            "copies": {"type": "integer", "minimum": 1, "maximum": 3},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    })
}

#[test]
fn each_broken_rule_is_told_with_its_place_and_what_is_expected() {
    let schema = schema(digest());
    let good = format!("sha256:{}", "0".repeat(64));
    assert_eq!(schema.check(&json!({"digest": good, "copies": 2})), Ok(()));
    for (params, wanted) in [
        (json!({}), "/digest is missing"),
        (
            json!({"digest": 7}),
            "/digest: this is not of type \"string\"",
        ),
        (
            json!({"digest": "md5"}),
            "/digest: this does not match \"^sha256:[0-9a-f]{64}$\"",
        ),
        (
            json!({"digest": good, "copies": 9}),
            "/copies: this is greater than the maximum of 3",
        ),
        (json!({"digest": good, "a/b": 1}), "/a~1b is not allowed"),
        (
            json!({"digest": good, "labels": {"x~y": 1}}),
            "/labels/x~0y: this is not of type \"string\"",
        ),
    ] {
        assert_eq!(schema.check(&params), Err(wanted.to_owned()), "{params}");
    }
    let none = Schema::compile(&json!({"additionalProperties": false})).unwrap();
    let wanted = "the whole: no property is allowed";
    assert_eq!(none.check(&json!({"a": 1})), Err(wanted.into()));
    let whole = Schema::compile(&json!({"minProperties": 1})).unwrap();
    let wanted = "the whole: this has less than 1 property";
    assert_eq!(whole.check(&json!({})), Err(wanted.into()));
}

#[test]
fn a_few_broken_rules_are_told_and_the_others_counted() {
    let schema = schema(json!({"required": ["a", "b", "c", "d", "e"]}));
    let told = schema.check(&json!({})).unwrap_err();
    assert_eq!(
        told,
        "/a is missing; /b is missing; /c is missing; and 2 more"
    );
    let wide = super::Schema::compile(&json!({"items": {"type": "string"}})).unwrap();
    let told = wide.check(&json!(vec![1; 100_000])).unwrap_err();
    assert_eq!(told, "/0: this is not of type \"string\"");
}

#[test]
fn an_answer_is_short_whatever_is_sent() {
    let schema = schema(json!({
        "patternProperties": {"^": {"enum": ["x".repeat(500), "y".repeat(500), "z"]}},
    }));
    let name = |n: u32| format!("{n}{}", "ä".repeat(5000));
    let params: Value = (0..40).map(|n| (name(n), json!(n))).collect();
    let told = schema.check(&params).unwrap_err();
    assert!(told.len() <= ANSWER_MAX_BYTES, "{}", told.len());
    assert!(
        told.starts_with("/0ä") && told.ends_with("and 37 more"),
        "{told}"
    );
}

#[test]
fn no_answer_contains_a_value_whatever_rule_it_breaks() {
    let text = json!(SECRET);
    let inside = json!({"x": SECRET, "y": [SECRET, SECRET]});
    let list = json!([SECRET, SECRET]);
    for (rule, value) in [
        (json!({"type": "integer"}), &text),
        (json!({"type": ["integer", "null"]}), &inside),
        (json!({"enum": [1, 2]}), &text),
        (json!({"const": 1}), &inside),
        (json!({"pattern": "^a$"}), &text),
        (json!({"format": "uuid"}), &text),
        (json!({"format": "date-time"}), &text),
        (json!({"maxLength": 1}), &text),
        (json!({"minLength": 100}), &text),
        (json!({"not": {"type": "string"}}), &text),
        (json!({"not": {}}), &inside),
        (
            json!({"anyOf": [{"type": "null"}, {"maxLength": 1}]}),
            &text,
        ),
        (
            json!({"oneOf": [{"type": "null"}, {"maxLength": 1}]}),
            &text,
        ),
        (json!({"oneOf": [{}, {"type": "string"}]}), &text),
        (json!({"allOf": [{"maxLength": 1}]}), &text),
        (
            json!({"if": {"type": "string"}, "then": {"maxLength": 1}}),
            &text,
        ),
        (json!({"uniqueItems": true}), &list),
        (json!({"contains": {"type": "null"}}), &list),
        (json!({"maxItems": 1}), &list),
        (json!({"minItems": 3}), &list),
        (json!({"items": false}), &list),
        (json!({"items": {"type": "null"}}), &list),
        (json!({"prefixItems": [{"const": 1}]}), &list),
        (json!({"prefixItems": [{}], "items": false}), &list),
        (
            json!({"prefixItems": [{}], "unevaluatedItems": false}),
            &list,
        ),
        (json!({"unevaluatedItems": {"type": "null"}}), &list),
        (json!({"unevaluatedProperties": false}), &inside),
        (json!({"unevaluatedProperties": {"type": "null"}}), &inside),
        (json!({"additionalProperties": {"type": "null"}}), &inside),
        (json!({"propertyNames": {"minLength": 3}}), &inside),
        (json!({"properties": {"x": false}}), &inside),
        (json!({"dependentRequired": {"x": ["z"]}}), &inside),
        (
            json!({"dependentSchemas": {"x": {"maxProperties": 1}}}),
            &inside,
        ),
        (json!({"maxProperties": 1}), &inside),
        (json!({"minProperties": 5}), &inside),
    ] {
        let told = schema(rule.clone()).check(value).unwrap_err();
        assert!(!told.contains(SECRET), "{rule}: {told}");
    }
}

#[test]
fn no_answer_contains_a_number() {
    let number = schema(json!({"multipleOf": 7, "maximum": 5, "exclusiveMinimum": 1e9}));
    let told = number.check(&json!(424_242)).unwrap_err();
    assert!(!told.contains("424242"), "{told}");
}

#[test]
fn control_and_bidi_characters_in_names_are_escaped() {
    let schema = schema(json!({"additionalProperties": false, "properties": {"x": {}}}));
    let told = schema
        .check(&json!({"a\u{202e}b\n\u{1b}[31m": 1}))
        .unwrap_err();
    assert_eq!(told, "/a\\u{202e}b\\n\\u{1b}[31m is not allowed");
}

#[test]
fn a_schema_that_would_check_nothing_is_refused() {
    for (wrong, wanted) in [
        (json!(null), "must be an object"),
        (json!(true), "must be an object"),
        (json!("type: object"), "must be an object"),
        (json!({"propertees": {}}), "#/propertees"),
        (
            json!({"properties": {"a/b": {"maxLenght": 1}}}),
            "#/properties/a~1b/maxLenght",
        ),
        (
            json!({"$defs": {"a": {"items": {"unknown": 1}}}}),
            "#/$defs/a/items/unknown",
        ),
        (json!({"type": "strin"}), "/type"),
        (json!({"minLength": "3"}), "/minLength"),
        (json!({"required": "digest"}), "/required"),
        (json!({"properties": []}), "/properties"),
        (json!({"format": "uuidd"}), "uuidd"),
        (json!({"pattern": "("}), "/pattern"),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "2020-12",
        ),
        (
            json!({"items": {"$id": "https://example.com/a"}}),
            "#/items/$id",
        ),
        (json!({"$dynamicRef": "#a"}), "$dynamicRef"),
    ] {
        let why = refused(wrong.clone());
        assert!(why.contains(wanted), "{wrong}: {why}");
    }
    let noted =
        json!({"x-owner": "team", "$comment": "c", "title": "t", "$id": "https://example.com/s"});
    schema(noted);
}

#[test]
fn nothing_is_fetched() {
    for reference in [
        "https://example.com/schema.json",
        "http://127.0.0.1:1/schema.json#/$defs/a",
        "file:///etc/passwd",
        "other.json",
        "https://json-schema.org/draft/2020-12/schema",
        "#name",
        "#/%24defs/a",
    ] {
        let why = refused(json!({"properties": {"a": {"$ref": reference}}, "$defs": {"a": {}}}));
        assert!(
            why.contains("#/properties/a/$ref") && why.contains("nothing is fetched"),
            "{reference}: {why}"
        );
    }
    let why = refused(json!({"$ref": "#/$defs/b", "$defs": {"a": {}}}));
    assert!(why.contains("nothing at that place"), "{why}");
    let inside = schema(json!({
        "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}},
    }));
    assert!(inside.check(&json!({"a": 1})).is_err());
}

#[test]
fn equal_schemas_are_equal() {
    assert_eq!(schema(digest()), schema(digest()));
    assert_ne!(schema(digest()), schema(json!({})));
}
