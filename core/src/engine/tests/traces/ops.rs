//! Events as a random trace has them.

use proptest::prelude::*;

use super::keys::Family;
use crate::api::OnConflict;

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Observe {
        uid: usize,
        cancel: bool,
    },
    ForeignEnd {
        uid: usize,
    },
    Gone {
        uid: usize,
    },
    Relist {
        present: [bool; 3],
    },
    Slice {
        there: bool,
    },
    Hello {
        worker: usize,
        runs: [bool; 3],
        ended: bool,
    },
    Close {
        worker: usize,
    },
    Beat {
        worker: usize,
        honest: bool,
    },
    Report {
        worker: usize,
        uid: usize,
        attempt: u32,
        what: Report,
    },
    Answer {
        how: u8,
    },
    ParamsRead {
        uid: usize,
        attempt: u32,
        ok: bool,
    },
    Unplaced {
        uid: usize,
        attempt: u32,
    },
    BrokerUp,
    ForeignCount {
        uid: usize,
        lost: bool,
    },
    /// A whole attempt, from the claim to its end.
    Runs {
        worker: usize,
        uid: usize,
        how: u8,
    },
    Deleted {
        gone: bool,
    },
    StatusRead {
        ok: bool,
    },
    HandedOver,
    Wait {
        seconds: u64,
    },
}

/// What a worker says of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    Claim,
    Progress(u32),
    Outcome(u8),
}

/// A key that all of them share, or none.
pub(super) fn family() -> impl Strategy<Value = Option<Family>> {
    let how = || {
        prop_oneof![
            3 => Just(OnConflict::Attach),
            2 => Just(OnConflict::Replace),
            1 => Just(OnConflict::Reject),
        ]
    };
    prop::option::weighted(0.7, [how(), how(), how()])
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        3 => Just(Report::Claim),
        1 => (0..100u32).prop_map(Report::Progress),
        2 => (0..5u8).prop_map(Report::Outcome),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let (uid, worker) = (|| 0..3usize, || 0..2usize);
    // The current attempt more often than not: 0 stands for it.
    let attempt = || prop_oneof![4 => Just(0u32), 1 => 1..4u32];
    let b = any::<bool>;
    prop_oneof![
        4 => (uid(), prop::bool::weighted(0.1)).prop_map(|(uid, cancel)| Op::Observe { uid, cancel }),
        1 => uid().prop_map(|uid| Op::ForeignEnd { uid }),
        1 => uid().prop_map(|uid| Op::Gone { uid }),
        1 => [b(), b(), b()].prop_map(|present| Op::Relist { present }),
        1 => b().prop_map(|there| Op::Slice { there }),
        2 => (worker(), [b(), b(), b()], b())
            .prop_map(|(worker, runs, ended)| Op::Hello { worker, runs, ended }),
        1 => worker().prop_map(|worker| Op::Close { worker }),
        3 => (worker(), prop::bool::weighted(0.8))
            .prop_map(|(worker, honest)| Op::Beat { worker, honest }),
        12 => (worker(), uid(), attempt(), report())
            .prop_map(|(worker, uid, attempt, what)| Op::Report { worker, uid, attempt, what }),
        6 => (0..8u8).prop_map(|how| Op::Answer { how }),
        4 => (uid(), attempt(), prop::bool::weighted(0.8))
            .prop_map(|(uid, attempt, ok)| Op::ParamsRead { uid, attempt, ok }),
        1 => (uid(), attempt()).prop_map(|(uid, attempt)| Op::Unplaced { uid, attempt }),
        1 => Just(Op::BrokerUp),
        3 => (worker(), uid(), 0..5u8).prop_map(|(worker, uid, how)| Op::Runs { worker, uid, how }),
        1 => (uid(), b()).prop_map(|(uid, lost)| Op::ForeignCount { uid, lost }),
        1 => b().prop_map(|gone| Op::Deleted { gone }),
        1 => b().prop_map(|ok| Op::StatusRead { ok }),
        5 => prop_oneof![3 => 0..3u64, 1 => 10..60u64].prop_map(|seconds| Op::Wait { seconds }),
    ]
}
