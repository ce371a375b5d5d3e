//! What the spans of a request say.

use isc_core::{
    api::{Condition, RequestStatus},
    reason::Reason,
    writes::Urgency,
};

use super::*;

fn ended(phase: Phase, reason: Reason) -> Write {
    let condition = Condition {
        kind: "Succeeded".into(),
        status: "False".into(),
        reason: reason.as_str().into(),
        message: "stderr: the password is x".into(),
        last_transition_time: None,
        observed_generation: None,
    };
    Write {
        uid: Uid::new("u"),
        address: Address {
            endpoint: "https://kcp".into(),
            kind: "requests.internal.services".into(),
            cluster: "1abc".into(),
            namespace: "default".into(),
            name: "a".into(),
        },
        resource_version: "7".into(),
        status: RequestStatus {
            phase: Some(phase),
            conditions: vec![condition],
            ..RequestStatus::default()
        },
        service: "sign".into(),
        idempotency_key: Some("secret".into()),
        urgency: Urgency::Now,
        news: true,
        trace: None,
        queued: Moment::told(jiff::Timestamp::UNIX_EPOCH),
    }
}

#[test]
fn a_request_tells_how_it_ended_and_nothing_that_people_wrote() {
    let of = |phase, reason| {
        request(
            &ended(phase, reason),
            SystemTime::UNIX_EPOCH,
            SystemTime::now(),
        )
    };
    let failed = of(Phase::Failed, Reason::JobFailed);
    assert_eq!(
        (&*failed.name, failed.error.as_deref()),
        ("request sign", Some("JobFailed"))
    );
    let told = format!("{failed:?}");
    assert!(
        !told.contains("password") && !told.contains("secret"),
        "{told}"
    );
    assert_eq!(of(Phase::Cancelled, Reason::Cancelled).error, None);
    let rejected = of(Phase::Rejected, Reason::UnknownService);
    assert_eq!(rejected.name, "request", "names of spans are few");
}

#[test]
fn times_are_exact_where_this_process_saw_them() {
    let seen = Moment {
        mono: Some(Duration::from_secs(3)),
        ..Moment::told(jiff::Timestamp::UNIX_EPOCH)
    };
    let ago = SystemTime::now().duration_since(time(seen, Duration::from_secs(5)));
    let ago = ago.unwrap().as_secs_f64();
    assert!((1.9..10.0).contains(&ago), "{ago}");
    let told = Moment::told(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(time(told, Duration::from_secs(5)), SystemTime::UNIX_EPOCH);
}
