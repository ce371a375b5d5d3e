//! What becomes of a handler, whatever it does.

mod fit;
mod stop;

use std::collections::BTreeMap;

use isc_proto::v1::FailureClass;
use isc_runtime::{services::ANSWER_MAX_BYTES, trace::Context};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    executor::{End, Executor as _, Job},
    testing::{Ended, Trial},
};

const SECRET: &str = "s3cr3t-v4lu3";

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

async fn add(params: Add, job: JobContext) -> Result<Sum, Failure> {
    job.progress(50, "half way").await;
    job.progress(130, "all").await;
    let sum = params.a + params.b;
    Ok(Sum { sum })
}

/// What the worker would report.
async fn end_of<P, R, F>(
    handler: impl Fn(P, JobContext) -> F + Send + Sync + 'static,
    params_json: &str,
) -> End
where
    P: DeserializeOwned + JsonSchema + 'static,
    R: Serialize + JsonSchema + 'static,
    F: Future<Output = Result<R, Failure>> + Send + 'static,
{
    let handlers = Handlers::new().on("a", handler);
    let executor = handlers.executor("a", &Handler { grace_seconds: 1 });
    let job = Job {
        result_max: 100,
        ..Job::alone("a", params_json.into())
    };
    let never = tokio_util::sync::CancellationToken::new();
    crate::alone::run(&executor.unwrap(), job, &never, |_| ()).await
}

fn failure(end: End) -> (FailureClass, &'static str, String) {
    match end {
        End::Failed(failure) => (failure.class, failure.reason, failure.message),
        other => panic!("it must fail: {other:?}"),
    }
}

#[tokio::test]
async fn parameters_and_result_have_types_and_progress_is_told_in_order() {
    let report = Trial::new(json!({"a": 1, "b": 2})).run(add).await;
    assert_eq!(report.ended, Ended::Succeeded(Sum { sum: 3 }));
    assert_eq!(
        report.progress,
        [(50, "half way".into()), (100, "all".into())]
    );
    let end = end_of(add, r#"{"a": 1, "b": 2}"#).await;
    let result_json = r#"{"sum":3}"#.into();
    assert_eq!(end, End::Succeeded { result_json });
}

#[tokio::test]
async fn what_does_not_fit_is_named_by_its_place_and_never_quoted() {
    let long = json!({"a": SECRET.repeat(400), "b": SECRET}).to_string();
    for (params, wanted) in [
        (
            r#"{"a": "s3cr3t-v4lu3", "b": 1}"#,
            "spec.params: /a: this is not of type",
        ),
        (r#"{"a": 1}"#, "spec.params: /b is missing"),
        ("", "spec.params: /a is missing"),
        (r#"["s3cr3t-v4lu3", 2]"#, "not a JSON object"),
        (&long, "/a: this is not of type"),
        (
            r#"{"a": 99999999999999999999999, "b": 1}"#,
            "line 1, column",
        ),
    ] {
        let (class, reason, message) = failure(end_of(add, params).await);
        assert_eq!(
            (class, reason),
            (FailureClass::Invalid, "InvalidParams"),
            "{params}"
        );
        assert!(message.contains(wanted), "{params}: {message}");
        assert!(
            !message.contains(SECRET) && !message.contains("9999"),
            "{message}"
        );
        assert!(message.len() <= ANSWER_MAX_BYTES + 64, "{}", message.len());
    }
}

#[tokio::test]
async fn a_result_is_an_object_of_its_size_or_none() {
    async fn back<R: Serialize + JsonSchema + Clone + Send + Sync + 'static>(result: R) -> End {
        let give = move |_: Value, _| std::future::ready(Ok(result.clone()));
        end_of(give, "{}").await
    }
    let none = End::Succeeded {
        result_json: String::new(),
    };
    assert_eq!(back(()).await, none);
    let large = "x".repeat(101);
    for (end, wanted, part) in [
        (back(vec![1, 2]).await, "InvalidResult", "not a JSON object"),
        (back("text").await, "InvalidResult", "not a JSON object"),
        (
            back(json!({"large": large})).await,
            "ResultTooLarge",
            "100 bytes",
        ),
        (
            back(BTreeMap::from([((1, 2), 3)])).await,
            "InvalidResult",
            "cannot be written",
        ),
    ] {
        let (class, reason, message) = failure(end);
        assert_eq!(
            (class, reason),
            (FailureClass::Permanent, wanted),
            "{message}"
        );
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_handler_says_whether_another_try_may_help() {
    let failures = [
        (
            Failure::retryable("away"),
            FailureClass::Retryable,
            "JobFailed",
        ),
        (
            Failure::permanent("broken"),
            FailureClass::Permanent,
            "JobFailed",
        ),
        (
            Failure::invalid("no such repo"),
            FailureClass::Invalid,
            "InvalidParams",
        ),
    ];
    for (said, class, reason) in failures {
        let give = {
            let said = said.clone();
            move |_: Value, _| std::future::ready(Err::<(), _>(said.clone()))
        };
        let told = Trial::new(json!({})).run(give).await.failure();
        assert_eq!(told, said);
        assert_eq!((told.class, told.reason), (class, reason));
    }
    let error = "x".parse::<u8>().map_err(Failure::retryable).unwrap_err();
    assert!(error.message.contains("invalid digit"), "{error}");
}

#[tokio::test]
async fn a_panic_fails_the_job_and_says_nothing_of_the_inside() {
    async fn later(_: Value, _: JobContext) -> Result<(), Failure> {
        panic!("boom")
    }
    fn at_once(_: Value, _: JobContext) -> std::future::Ready<Result<(), Failure>> {
        panic!("boom")
    }
    async fn inside(_: Value, job: JobContext) -> Result<(), Failure> {
        job.blocking(|| panic!("boom")).await
    }
    for end in [
        end_of(later, "{}").await,
        end_of(at_once, "{}").await,
        end_of(inside, "{}").await,
    ] {
        let (class, reason, message) = failure(end);
        assert_eq!((class, reason), (FailureClass::Permanent, "JobFailed"));
        assert!(
            message.contains("panicked") && !message.contains("boom"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_handler_finds_all_that_a_program_finds() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut trial = Trial::new(json!({}));
    trial.job = Job {
        uid: "u1".into(),
        attempt: 3,
        failed: 1,
        service: "trial".into(),
        cluster: "c1".into(),
        namespace: "default".into(),
        name: "sign-1".into(),
        requester: "alice".into(),
        idempotency_key: "k1".into(),
        trace: Context::parse(trace, "a=b"),
        left: Some(std::time::Duration::from_secs(7)),
        ..trial.job
    };
    let tell = |_: Value, job: JobContext| async move {
        Ok(json!({
            "ids": [job.uid(), job.attempt(), job.failed(), job.service()],
            "address": [job.cluster(), job.namespace(), job.name()],
            "asked": [job.requester(), job.idempotency_key()],
            "trace": [job.traceparent(), job.tracestate()],
            "limit": job.limit().as_secs(),
        }))
    };
    let wanted = json!({
        "ids": ["u1", 3, 1, "trial"],
        "address": ["c1", "default", "sign-1"],
        "asked": ["alice", "k1"],
        "trace": [trace, "a=b"],
        "limit": 7,
    });
    assert_eq!(trial.run(tell).await.result(), wanted);
    let none = |_: Value, job: JobContext| async move {
        Ok(json!({"told": [job.idempotency_key(), job.traceparent(), job.tracestate()]}))
    };
    let told = Trial::new(json!({})).run(none).await.result();
    assert_eq!(told, json!({"told": [null, null, null]}));
}
