//! A check ends soon, whatever the schema and the value.

use std::time::{Duration, Instant};

use super::*;

/// Thirty lines, each of which refers twice to the next.
fn doubling(keyword: &str, lines: usize) -> Value {
    let mut defs = serde_json::Map::new();
    for n in 0..lines {
        let next = json!({"$ref": format!("#/$defs/{}", n + 1)});
        defs.insert(n.to_string(), json!({keyword: [next, next]}));
    }
    defs.insert(lines.to_string(), json!({"type": "object"}));
    json!({"$ref": "#/$defs/0", "$defs": defs})
}

/// One inside the other.
fn nested(keyword: &str, depth: usize) -> Value {
    (0..depth).fold(
        json!({"type": "string"}),
        |inner, _| json!({keyword: inner}),
    )
}

#[test]
fn a_schema_that_explodes_is_refused_when_it_is_read() {
    let began = Instant::now();
    let billion = |keyword| doubling(keyword, 30);
    for (wrong, wanted) in [
        (billion("allOf"), "checks"),
        (billion("anyOf"), "checks"),
        (billion("oneOf"), "checks"),
        (billion("prefixItems"), "checks"),
        (nested("not", 30), "checks"),
        (nested("items", 100), "deeper than 64"),
        (json!({"$ref": "#"}), "leads back"),
        (json!({"properties": {"next": {"$ref": "#"}}}), "leads back"),
        (
            json!({"$ref": "#/$defs/a", "$defs": {
                "a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}},
            }}),
            "leads back",
        ),
        (
            json!({"enum": ["x".repeat(SCHEMA_MAX_BYTES)]}),
            "more than 65536",
        ),
        (json!({"pattern": "((((a{99}){99}){99}){99})"}), "pattern"),
    ] {
        let why = refused(wrong);
        assert!(why.contains(wanted), "{wanted}: {why}");
    }
    // Debug builds, and other tests beside it.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn nesting_that_is_looked_at_twice_on_each_level_is_counted() {
    let mut inner = json!({"properties": {"a": {}}, "unevaluatedProperties": false});
    for _ in 0..30 {
        inner = json!({"allOf": [inner], "unevaluatedProperties": false});
    }
    let why = refused(inner);
    assert!(why.contains("checks"), "{why}");
}

#[test]
fn what_is_just_allowed_is_checked_in_a_moment() {
    let deepest = nested("items", 63);
    let deep = (0..120).fold(json!(1), |inner, _| json!([inner]));
    let costly = doubling("allOf", 11);
    let crowd: Value = (0..5000).map(|n| (format!("k{n}"), json!(n))).collect();
    let began = Instant::now();
    let small_stack = std::thread::Builder::new().stack_size(512 * 1024);
    let checking = small_stack.spawn(move || {
        assert!(schema(deepest).check(&deep).is_err());
        schema(costly).check(&crowd)
    });
    assert_eq!(checking.unwrap().join().unwrap(), Ok(()));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_pattern_takes_time_in_proportion_to_the_text() {
    let evil = schema(json!({"items": {"pattern": "^(a+)+$"}}));
    let text = format!("{}!", "a".repeat(100_000));
    let began = Instant::now();
    assert!(evil.check(&json!([text])).is_err());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let why = refused(json!({"pattern": "^(?=a)b"}));
    assert!(
        why.contains("pattern"),
        "looking around needs the other engine: {why}"
    );
}

/// Twenty fields as a real service has them, and parameters that fit.
fn realistic() -> (Value, Value) {
    let mut properties = serde_json::Map::new();
    let mut params = serde_json::Map::new();
    for n in 0..5 {
        properties.insert(
            format!("name{n}"),
            json!({"type": "string", "minLength": 1, "maxLength": 63}),
        );
        params.insert(format!("name{n}"), json!(format!("release-{n}")));
        let pattern = json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"});
        properties.insert(format!("digest{n}"), pattern);
        params.insert(
            format!("digest{n}"),
            json!(format!("sha256:{}", "0a".repeat(32))),
        );
        properties.insert(
            format!("size{n}"),
            json!({"type": "integer", "minimum": 0, "maximum": 1_000_000}),
        );
        params.insert(format!("size{n}"), json!(n * 1000));
        let tags =
            json!({"type": "array", "maxItems": 10, "items": {"enum": ["prod", "stage", "test"]}});
        properties.insert(format!("tags{n}"), tags);
        params.insert(format!("tags{n}"), json!(["prod", "stage"]));
    }
    let required: Vec<_> = properties.keys().cloned().collect();
    let schema = json!({
        "type": "object", "required": required, "additionalProperties": false, "properties": properties,
    });
    (schema, params.into())
}

/// `cargo test --release -p isc-runtime a_check_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement; only a release build says something"]
fn a_check_costs_a_few_microseconds() {
    const TIMES: u32 = 20_000;
    let (rules, good) = realistic();
    let schema = schema(rules);
    let text = good.to_string();
    let mut bad = good.clone();
    bad["size3"] = json!(-1);
    let measure = |what: &str, work: &dyn Fn() -> bool| {
        let began = Instant::now();
        assert!((0..TIMES).all(|_| work()));
        let each = began.elapsed() / TIMES;
        println!("{what}: {each:?}");
        each
    };
    let whole = measure("20 fields, parsed and checked", &|| {
        let value: Value = serde_json::from_str(&text).unwrap();
        schema.check(&value).is_ok()
    });
    measure("20 fields, checked", &|| schema.check(&good).is_ok());
    measure("20 fields, checked and found wrong", &|| {
        schema.check(&bad).is_err()
    });
    assert!(whole < Duration::from_micros(50), "{whole:?}");
}
