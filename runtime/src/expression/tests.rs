//! Which conditions there can be, and that no values of a stranger hurt.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

fn variables() -> Variables {
    Variables::from([
        ("request", Some(["service", "params"].as_slice())),
        ("requester", None),
    ])
}

fn compile(text: &str) -> Result<Condition, String> {
    Condition::compile(text, &variables())
}

fn holds(text: &str, params: impl Into<Value>) -> Result<bool, Failure> {
    let request = json!({"service": "sign", "params": params.into()});
    let bindings = Bindings::default()
        .value("request", &request)
        .value("requester", &json!("alice"));
    compile(text).unwrap().holds(&bindings)
}

#[test]
fn conditions_are_true_or_false() {
    let params = json!({
        "env": "prod", "n": 3, "tags": ["a", "b"], "images": [{"ref": "quay.io/a"}, {"ref": "quay.io/b"}],
    });
    for (text, wanted) in [
        ("request.service == 'sign' && requester == 'alice'", true),
        ("request.params.env in ['test', 'prod']", true),
        ("has(request.params.debug) && request.params.debug", false),
        (
            "request.params.images.all(i, i.ref.startsWith('quay.io/'))",
            true,
        ),
        (
            "request.params.images.filter(i, i.ref.endsWith('b')).size() == 1",
            true,
        ),
        ("request.params.tags.exists(t, t == 'c')", false),
        ("request.params.tags.map(t, t + 'x') == ['ax', 'bx']", true),
        ("size(request.params.tags) <= request.params.n", true),
        ("request['service'] == 'publish'", false),
    ] {
        assert_eq!(holds(text, params.clone()), Ok(wanted), "{text}");
    }
}

#[test]
fn a_condition_that_cannot_work_is_refused() {
    let long = format!("request.params.{}", "a".repeat(2048));
    let deep = format!("request.params.a{}", " + 1".repeat(30));
    let wide = format!("request.params.a in [{}]", "-1,".repeat(130));
    for (text, wanted) in [
        ("request.", "yntax error"),
        ("", "yntax error"),
        ("params.a == 1", "no `params`; there are request, requester"),
        (
            "request.spec.params.a == 1",
            "`request` has no `spec`; it has service, params",
        ),
        ("has(request.requester)", "no `requester`"),
        ("request.service.matches('a+')", "no function `matches`"),
        ("false && nope(request)", "no function `nope`"),
        ("size(request.params)", "no `params`"),
        ("requester", "true or false"),
        (
            "request.params.a.all(x, request.params.b.all(y, x == y))",
            "inside of a loop",
        ),
        ("request.params.a.all(x, other.b == x)", "no `other`"),
        (long.as_str(), "2063 bytes"),
        (deep.as_str(), "split it"),
        (wide.as_str(), "brackets and operators"),
    ] {
        match compile(text) {
            Err(error) => assert!(error.contains(wanted), "{text}: {error}"),
            Ok(condition) if text == "size(request.params)" => {
                // Nothing but its evaluation shows that it is a number.
                let failure =
                    condition.holds(&Bindings::default().value("request", &json!({"params": {}})));
                assert_eq!(failure.unwrap_err().what, "neither true nor false");
            }
            Ok(_) => panic!("{text} was taken"),
        }
    }
}

#[test]
fn values_that_do_not_fit_fail_without_being_repeated() {
    for (text, params, what) in [
        (
            "request.params.a == 1",
            json!({}),
            "a field that is not there",
        ),
        (
            "request.params.a.b == 1",
            json!({"a": "secret"}),
            "a value of another type",
        ),
        (
            "request.params.a > 1",
            json!({"a": "secret"}),
            "a value of another type",
        ),
        (
            "request.params.a[9] == 1",
            json!({"a": []}),
            "an item that is not there",
        ),
        (
            "1 / request.params.a == 1",
            json!({"a": 0}),
            "a division by zero",
        ),
        (
            "request.params.a + 1 > 1",
            json!({"a": i64::MAX}),
            "a number that is too large",
        ),
        (
            "request.params.a",
            json!({"a": "secret"}),
            "neither true nor false",
        ),
        (
            "request.params.a.all(x, x)",
            json!({"a": null}),
            "a value of another type",
        ),
    ] {
        let failure = holds(text, params).unwrap_err();
        assert_eq!(failure.what, what, "{text}: {failure}");
        assert!(!failure.what.contains("secret"));
    }
}

#[test]
fn a_loop_over_too_much_fails_at_once() {
    let text = "request.params.a.all(x, x < 5)";
    assert_eq!(holds(text, json!({"a": vec![1; 900]})), Ok(true));
    for params in [
        json!({"a": vec![1; 100_000]}),
        json!({"a": [], "b": vec![1; 1000]}),
        json!({"a": [], "b": "x".repeat(65_537)}),
    ] {
        let started = Instant::now();
        assert_eq!(
            holds(text, params).unwrap_err().what,
            "too many values for a loop"
        );
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    // Without a loop they do not matter.
    let huge = json!({"a": "x".repeat(1 << 20), "b": vec![1; 100_000]});
    assert_eq!(
        holds("request.params.a.contains('y')", huge.clone()),
        Ok(false)
    );
    assert_eq!(holds("2 in request.params.b", huge), Ok(false));
}

/// Nested as deep as JSON can be read at all.
fn nested(open: &str, inner: &str, close: &str) -> Value {
    let text = [open.repeat(120).as_str(), inner, close.repeat(120).as_str()].concat();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_deepest_values_and_conditions_fit_into_a_threads_stack() {
    let deepest = [nested("[", "1", "]"), nested("{\"a\":", "1", "}")];
    let conditions = [
        "request.params == request.params".to_owned(),
        "[request.params, [request.params]] == [request.params]".to_owned(),
        "request.params in [1, request.params]".to_owned(),
        "request.params > 1".to_owned(),
        format!("request.params{}.b == 1", ".a".repeat(20)),
        format!("{}requester == 'b'{}", "(".repeat(90), ")".repeat(90)),
        format!("requester == {}[0]{}", "[".repeat(20), "]".repeat(20)),
        vec!["requester == 'b'"; 20].join(" || "),
        format!(
            "{}requester == 'b'{}",
            "requester == 'b' ? true : (".repeat(10),
            ")".repeat(10)
        ),
        format!("{}(requester == 'b')", "!".repeat(500)),
        format!(
            "requester.contains({}'b'{}",
            "string(".repeat(18),
            ")".repeat(19)
        ),
    ];
    for params in deepest {
        for text in &conditions {
            match compile(text) {
                Ok(_) => drop(holds(text, params.clone())),
                Err(error) => assert!(error.contains("deep"), "{text}: {error}"),
            }
        }
    }
}
