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
fn a_greeting_with_absurd_numbers_or_names_is_refused() {
    let refused = |change: fn(&mut v1::Hello)| match hello(greeting(change)) {
        Err(WireError::Field(field)) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(|hello| hello.slots = u32::MAX), "slots");
    assert_eq!(refused(|hello| hello.worker = "a\nb".into()), "worker");
    assert_eq!(refused(|hello| hello.worker = "\u{202e}b".into()), "worker");
    assert_eq!(
        refused(|hello| hello.services = vec!["\u{0}".into()]),
        "services"
    );
    let many = |uid: &str| {
        let id = v1::AttemptId {
            uid: uid.into(),
            attempt: 1,
        };
        vec![id; LISTED_MAX + 1]
    };
    assert!(matches!(
        hello(greeting(|hello| hello.running = many("a"))),
        Err(WireError::Field("running"))
    ));
    let long = attempt_id(
        v1::AttemptId {
            uid: "u".repeat(UID_MAX + 1),
            attempt: 1,
        },
        "id",
    );
    assert!(matches!(long, Err(WireError::Field("id"))));
}
