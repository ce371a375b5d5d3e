//! Outcomes as workers report them.

use isc_core::{
    api::Artifact,
    life::{FailureClass, Outcome},
    reason::Reason,
    status, text,
};
use isc_proto::{
    ARTIFACT_TEXT_MAX_BYTES, ARTIFACTS_MAX,
    v1::{self, outcome},
};
use serde_json::{Map, Value};

/// How an attempt ended, with nothing in it that a status could not hold.
pub(super) fn outcome(wire: outcome::Outcome) -> Outcome {
    match wire {
        outcome::Outcome::Succeeded(succeeded) => {
            let artifacts = artifacts(succeeded.artifacts);
            match result(&succeeded.result_json).and_then(|result| Ok((result, artifacts?))) {
                Ok((result, artifacts)) => Outcome::Succeeded { result, artifacts },
                Err(message) => Outcome::Failed {
                    class: FailureClass::Permanent,
                    reason: Reason::InvalidResult,
                    message,
                },
            }
        }
        outcome::Outcome::Failed(failed) => Outcome::Failed {
            class: match failed.class() {
                v1::FailureClass::Retryable => FailureClass::Retryable,
                v1::FailureClass::Invalid => FailureClass::Invalid,
                v1::FailureClass::TimedOut => FailureClass::TimedOut,
                v1::FailureClass::Deadline => FailureClass::Deadline,
                v1::FailureClass::Permanent | v1::FailureClass::Unspecified => {
                    FailureClass::Permanent
                }
            },
            reason: Reason::of_failure(&failed.reason),
            message: text::clean(&failed.message, status::MESSAGE_MAX),
        },
        outcome::Outcome::Cancelled(_) => Outcome::Cancelled,
        outcome::Outcome::Interrupted(_) => Outcome::Interrupted,
    }
}

fn result(json: &str) -> Result<Option<Map<String, Value>>, String> {
    if json.is_empty() {
        return Ok(None);
    }
    // The error's text may quote all of the result; only the place goes into a status.
    let at = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        format!("the result is not a JSON object (line {line}, column {column})")
    };
    serde_json::from_str(json).map(Some).map_err(at)
}

fn artifacts(wire: Vec<v1::Artifact>) -> Result<Vec<Artifact>, String> {
    if wire.len() > ARTIFACTS_MAX {
        return Err(format!(
            "there are {} artifacts, more than {ARTIFACTS_MAX}",
            wire.len()
        ));
    }
    wire.into_iter().map(artifact).collect()
}

/// What the schema of the status would refuse is refused here, where the request can still end.
fn artifact(wire: v1::Artifact) -> Result<Artifact, String> {
    let v1::Artifact {
        name,
        uri,
        digest,
        media_type,
        size,
    } = wire;
    for part in [&name, &uri, &digest, &media_type] {
        if part.len() > ARTIFACT_TEXT_MAX_BYTES || part.contains(text::is_active) {
            return Err(format!(
                "an artifact has a name, uri, digest or mediaType of more than {ARTIFACT_TEXT_MAX_BYTES} bytes or \
                 with control characters"
            ));
        }
    }
    if i64::try_from(size).is_err() {
        return Err(format!("an artifact cannot have {size} bytes"));
    }
    Ok(Artifact {
        name,
        uri,
        digest,
        media_type,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_wrong_result_is_told_by_its_place_and_never_by_its_content() {
        for json in ["\"s3cret\"", "{\"s3cret\": \"\\ud800\"}", "{\"s3cret\""] {
            let error = result(json).unwrap_err();
            assert!(
                !error.contains("s3cret") && error.contains("line 1"),
                "{error}"
            );
        }
    }

    #[test]
    fn artifacts_that_a_status_could_not_hold_are_refused() {
        let good = v1::Artifact {
            name: "log".into(),
            uri: "https://example.com/ä".into(),
            ..v1::Artifact::default()
        };
        assert_eq!(
            artifacts(vec![good.clone(); ARTIFACTS_MAX]).unwrap().len(),
            ARTIFACTS_MAX
        );
        assert!(artifacts(vec![good.clone(); ARTIFACTS_MAX + 1]).is_err());
        for change in [
            |wire: &mut v1::Artifact| wire.size = u64::MAX,
            |wire: &mut v1::Artifact| wire.uri = "u".repeat(ARTIFACT_TEXT_MAX_BYTES + 1),
            |wire: &mut v1::Artifact| wire.name = "\u{1b}[2J".into(),
        ] {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(artifact(bad).is_err());
        }
    }
}
