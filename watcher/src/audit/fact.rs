//! What an audit is told, and the line that it becomes.

use std::sync::Arc;

use isc_core::{
    api::{Artifact, Phase, RequestStatus},
    audit::{AttemptEnd, Audit, Cancel, Judged, What},
};
use jiff::Timestamp;

use super::{
    digest::{self, Sha256},
    line::{About, Line, clip, time},
};

/// Artifacts whose digests a line tells.
const ARTIFACTS: usize = 8;
/// The longest digest of an artifact that is told; SHA-512 in hexadecimal digits takes 135.
const ARTIFACT_DIGEST_MAX: usize = 140;
/// The longest of most names in a line, bytes. With all the others a line stays below 4 KiB.
const NAME_MAX: usize = 256;
/// The longest requester.
const REQUESTER_MAX: usize = 512;
/// The longest path of a file.
const FILE_MAX: usize = 2048;

/// Something to be told.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// A decision on a request; for its end, the digest of its result.
    Request(Box<Audit>, Option<Sha256>),
    /// This watcher decides from now on.
    Serving,
    /// It decides no more; whether everything was written.
    Stopped { clean: bool },
    /// A file of the configuration is another one, and whether it is in force.
    Configuration {
        file: String,
        digest: Option<Sha256>,
        in_force: bool,
    },
    /// So many lines were not told.
    Lost { lines: u64, since: Timestamp },
}

// === impl Fact ===

impl Fact {
    /// Of a decision on a request. Its result is not kept.
    pub(super) fn of(mut audit: Audit) -> Self {
        let mut result = None;
        if let What::Ended { status, .. } = &mut audit.what {
            let taken = status.result.take();
            result = taken.map(|result| digest::of_value(result.into()));
        }
        Self::Request(audit.into(), result)
    }

    /// Bytes of parameters that wait with it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Request(audit, _) => match &audit.what {
                What::Started { params, .. } => params.len(),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// The logical cluster that it is about.
    pub(super) fn cluster(&self) -> Option<&str> {
        match self {
            Self::Request(audit, _) => Some(&audit.address.cluster),
            _ => None,
        }
    }

    /// Appends its line.
    pub(super) fn write(
        &self,
        at: Timestamp,
        (instance, workspace): (&str, Option<&str>),
        to: &mut Vec<u8>,
    ) {
        let mut line = Line::new(self.event(), at, instance);
        match self {
            Self::Request(audit, result) => {
                line.request = Some(about(audit, workspace));
                line.decision(&audit.what);
                line.result_digest = result.as_ref().map(digest::told);
            }
            Self::Serving => line.program = Some(env!("CARGO_PKG_VERSION")),
            Self::Stopped { clean } => line.clean = Some(*clean),
            Self::Configuration {
                file,
                digest,
                in_force,
            } => {
                line.file = Some(clip(file, FILE_MAX));
                line.digest = digest.as_ref().map(digest::told);
                line.result = Some(match (in_force, digest) {
                    (false, _) => "failed",
                    (true, Some(_)) => "ok",
                    (true, None) => "gone",
                });
            }
            Self::Lost { lines, since } => {
                (line.lines, line.since) = (Some(*lines), Some(time(*since)));
            }
        }
        line.write(to);
    }

    fn event(&self) -> &'static str {
        match self {
            Self::Request(audit, _) => match &audit.what {
                What::Accepted(_) => "accepted",
                What::Rejected(..) => "rejected",
                What::Started { .. } => "started",
                What::Adopted { .. } => "adopted",
                What::AttemptEnded { .. } => "attemptEnded",
                What::Cancelled(_) => "cancelled",
                What::Ended { .. } => "ended",
            },
            Self::Serving => "serving",
            Self::Stopped { .. } => "stopped",
            Self::Configuration { .. } => "configuration",
            Self::Lost { .. } => "lost",
        }
    }
}

// === impl Line ===

impl<'a> Line<'a> {
    fn decision(&mut self, what: &'a What) {
        match what {
            What::Accepted(judged) => self.judged(judged.as_ref()),
            What::Rejected(reason, judged) => {
                self.reason = Some(reason.as_str().into());
                self.judged(judged.as_ref());
            }
            What::Started {
                attempt,
                by,
                params,
            } => {
                self.attempt = Some(*attempt);
                self.worker = Some(clip(&by.worker, NAME_MAX));
                self.params_digest = Some(digest::told(&digest::of_json(params)));
            }
            // Its incarnation is part of the fence, and nobody else's to know.
            What::Adopted { attempt, by } => {
                self.attempt = Some(*attempt);
                self.worker = Some(clip(&by.worker, NAME_MAX));
            }
            What::AttemptEnded {
                attempt,
                worker,
                how,
            } => {
                self.attempt = Some(*attempt);
                self.worker = Some(clip(worker, NAME_MAX));
                self.outcome = Some(outcome(*how));
                if let AttemptEnd::Failed(reason) = how {
                    self.reason = Some(reason.as_str().into());
                }
            }
            What::Cancelled(why) => self.by = Some(cancelled_by(*why)),
            What::Ended { status, foreign } => self.end(status, *foreign),
        }
    }

    fn judged(&mut self, judged: Option<&'a Arc<Judged>>) {
        if let Some(judged) = judged {
            self.rule = Some(clip(&judged.rule, NAME_MAX));
            self.params_digest = Some(digest::told(&judged.params));
        }
    }

    fn end(&mut self, status: &'a RequestStatus, foreign: bool) {
        let condition = status.conditions.first();
        self.phase = status.phase.map(phase);
        self.reason = condition.map(|first| clip(&first.reason, NAME_MAX));
        self.attempt = status.attempt;
        (self.failed, self.lost) = (Some(status.failed), Some(status.lost));
        let text = |text: &'a Option<String>| text.as_deref().map(|text| clip(text, NAME_MAX));
        self.worker = text(&status.worker);
        self.attached_to = text(&status.attached_to);
        let artifacts = &status.artifacts;
        self.artifacts = Some(artifacts.len()).filter(|n| *n > 0);
        let digests = artifacts.iter().filter(|artifact| is_digest(artifact));
        let digests = digests.take(ARTIFACTS).map(|a| a.digest.as_str().into());
        self.artifact_digests = digests.collect();
        self.foreign = foreign.then_some(true);
    }
}

fn about<'a>(audit: &'a Audit, workspace: Option<&'a str>) -> About<'a> {
    let address = &audit.address;
    let name = |text: &'a str| clip(text, NAME_MAX);
    About {
        uid: clip(&audit.uid.0, 64),
        kind: name(&address.kind),
        endpoint: name(&address.endpoint),
        cluster: clip(&address.cluster, 64),
        workspace: workspace.map(name),
        namespace: clip(&address.namespace, 64),
        name: name(&address.name),
        service: clip(&audit.service, 64),
        requester: clip(&audit.requester, REQUESTER_MAX),
    }
}

/// What a worker gives as a digest may be anything.
fn is_digest(artifact: &Artifact) -> bool {
    let is_word = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+.=/".contains(&byte);
        !word.is_empty() && word.bytes().all(plain)
    };
    let parts = artifact.digest.split_once(':');
    artifact.digest.len() <= ARTIFACT_DIGEST_MAX
        && parts.is_some_and(|(algorithm, value)| is_word(algorithm) && is_word(value))
}

fn phase(phase: Phase) -> String {
    format!("{phase:?}")
}

fn outcome(how: AttemptEnd) -> &'static str {
    match how {
        AttemptEnd::Succeeded => "succeeded",
        AttemptEnd::Failed(_) => "failed",
        AttemptEnd::Cancelled => "cancelled",
        AttemptEnd::Interrupted => "interrupted",
        AttemptEnd::Lost => "lost",
        AttemptEnd::Void => "void",
        AttemptEnd::Overtaken => "overtaken",
    }
}

fn cancelled_by(why: Cancel) -> &'static str {
    match why {
        Cancel::Asked => "request",
        Cancel::Deleted => "deletion",
        Cancel::Replaced => "replacement",
        Cancel::Deadline => "deadline",
        Cancel::Vanished => "vanished",
        Cancel::Released => "release",
    }
}

#[cfg(test)]
mod tests;
