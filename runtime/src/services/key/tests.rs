//! Which expressions can be keys, and what they give.

use serde_json::json;

use super::*;

fn key(text: &str) -> Result<Option<Arc<str>>, KeyError> {
    let params = json!({
        "repo": "a", "n": 7, "list": [1, 2], "none": null, "yes": true, "half": 1.5,
        "deep": {"x": "y"}, "long": "x".repeat(300),
    });
    KeyExpression::compile(text).unwrap().evaluate(&params)
}

#[test]
fn parameters_give_their_key() {
    for (text, wanted) in [
        ("params.repo", Some("a")),
        ("params.repo + '/' + params.deep.x", Some("a/y")),
        ("params.n % 4", Some("3")),
        ("params.yes", Some("true")),
        ("params.half", Some("1.5")),
        ("has(params.branch) ? params.branch : 'main'", Some("main")),
        ("params.none", None),
    ] {
        assert_eq!(key(text).unwrap().as_deref(), wanted, "{text}");
    }
}

#[test]
fn parameters_that_give_none_say_why() {
    for (text, wanted) in [
        ("params.branch", "there is no `branch`"),
        ("params.list", "gives a list"),
        ("params.long", "300 bytes"),
        ("params.list[7]", "bounds"),
        ("params.n / 0", "zero"),
        ("params.long + 1", "another type"),
        ("params.long < 1", "another type"),
    ] {
        let error = key(text).unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains(text),
            "{text}: {error}"
        );
        // The message goes into a status, and values may be secrets.
        assert!(!error.contains("xx"), "{text}: {error}");
    }
}

#[test]
fn an_expression_that_cannot_work_is_refused() {
    let long = format!("params.{}", "a".repeat(250));
    let deep = format!("{}params.a", "(".repeat(25));
    for (text, wanted) in [
        ("params.", "yntax error"),
        ("", "yntax error"),
        ("repo", "`repo`"),
        ("'fixed'", "params"),
        ("params.list.map(x, x)", "loops"),
        ("nope(params)", "nope"),
        (long.as_str(), "257 bytes"),
        (deep.as_str(), "25 brackets and operators"),
    ] {
        let error = KeyExpression::compile(text).unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}
#[test]
fn the_deepest_expressions_fit_into_a_threads_stack() {
    let brackets = format!("{}params.n{}", "(".repeat(24), ")".repeat(24));
    let lists = format!("params.n{}", "[0]".repeat(24));
    let choices = format!("params.n{}", "?1:2".repeat(24));
    let sum = format!("params.n{}", "+1".repeat(24));
    let fields = format!("params{}", ".n".repeat(125));
    let not = format!("{}params.n", "!".repeat(240));
    for text in [brackets, lists, choices, sum, fields, not] {
        // What it gives does not matter.
        let _result = KeyExpression::compile(&text).map(|key| key.evaluate(&json!({"n": 1})));
    }
}
