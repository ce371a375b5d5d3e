//! What the wire may and may not say.

use super::*;

fn message(message: FromWire) -> v1::WorkerMessage {
    v1::WorkerMessage {
        message: Some(message),
    }
}

fn greeting(change: impl FnOnce(&mut v1::Hello)) -> v1::WorkerMessage {
    let mut hello = v1::Hello {
        protocol: PROTOCOL,
        worker: "w".into(),
        incarnation: "i".into(),
        ..v1::Hello::default()
    };
    change(&mut hello);
    message(FromWire::Hello(hello))
}

#[test]
fn a_greeting_is_checked() {
    assert!(hello(greeting(|_| ())).is_ok());
    let error = hello(greeting(|hello| hello.protocol = 9))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("protocol 9") && error.contains("one version"),
        "{error}"
    );
    assert!(matches!(
        hello(greeting(|hello| hello.worker.clear())),
        Err(WireError::Field("worker"))
    ));
    assert!(matches!(
        hello(v1::WorkerMessage { message: None }),
        Err(WireError::Order)
    ));
    assert!(matches!(
        event(SessionId(1), greeting(|_| ())),
        Err(WireError::Order)
    ));
}

#[test]
fn a_result_that_is_no_object_fails_the_attempt() {
    let succeeded = |json: &str| {
        outcome(outcome::Outcome::Succeeded(v1::Succeeded {
            result_json: json.into(),
            artifacts: vec![],
        }))
    };
    assert!(matches!(
        succeeded(""),
        Outcome::Succeeded { result: None, .. }
    ));
    assert!(matches!(
        succeeded(r#"{"a":null}"#),
        Outcome::Succeeded {
            result: Some(_),
            ..
        }
    ));
    assert!(matches!(
        succeeded("[1]"),
        Outcome::Failed {
            reason: Reason::InvalidResult,
            ..
        }
    ));
}

#[test]
fn a_reason_that_is_not_on_the_list_becomes_job_failed() {
    let failed = |reason: &str| v1::Failed {
        class: 2,
        reason: reason.into(),
        message: String::new(),
    };
    let reason = |wire| match outcome(outcome::Outcome::Failed(wire)) {
        Outcome::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(failed("TimedOut")), Reason::TimedOut);
    assert_eq!(reason(failed("Succeeded")), Reason::JobFailed);
    assert_eq!(reason(failed("Whatever")), Reason::JobFailed);
}

#[test]
fn long_texts_are_cut_with_a_mark() {
    assert_eq!(cut("short".into(), 10), "short");
    assert_eq!(cut("äääääää".into(), 10), "äää ...");
}
