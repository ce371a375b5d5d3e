//! Random events, sensible or not, in any order.

mod api;
mod keys;
mod ops;
mod trace;

use proptest::prelude::*;

use super::*;
use crate::{api::Progress, life::State};
use ops::{Op, family, op};
use trace::{Trace, outcome};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_books_agree_and_an_end_is_the_end(
        settled_first in any::<bool>(), handed_over in any::<bool>(), family in family(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut trace = Trace::new(settled_first).with_key(family);
        if handed_over {
            trace.run(Op::HandedOver);
        }
        for op in ops {
            trace.run(op);
        }
    }

    #[test]
    fn a_foreign_fence_changes_nothing(
        ops in prop::collection::vec(op(), 1..60), uid in 0..3usize, how in 0..5u8, other in 1..4u32,
    ) {
        let mut trace = Trace::new(true);
        for op in ops {
            trace.run(op);
        }
        trace.run(Op::Relist { present: [true; 3] });
        let session = SessionId(999);
        let stranger = hello(&holder("stranger", 1), 1, vec![], vec![]);
        trace.step(Event::Hello(session, stranger));
        for attempt in [0, other] {
            let id = trace.id(uid, attempt);
            let before = trace.life(&id.uid).filter(|life| life.state != State::Recovering);
            let Some(before) = before else { return Ok(()) };
            let progress = Progress { percent: 1, message: String::new() };
            trace.step(Event::Progress(session, id.clone(), progress));
            let effects = trace.step(Event::Outcome(session, id.clone(), outcome(how)));
            prop_assert_eq!(trace.life(&id.uid), Some(before));
            prop_assert_eq!(sent(&effects, session), vec![ToWorker::Stale(id)]);
        }
    }

    #[test]
    fn with_time_alone_every_request_ends(
        settled_first in any::<bool>(), family in family(), ops in prop::collection::vec(op(), 0..60),
    ) {
        let mut trace = Trace::new(settled_first).with_key(family);
        for op in ops {
            trace.run(op);
        }
        let wakes = trace.time_alone();
        prop_assert!(wakes < 300, "{wakes} wake-ups");
    }
}
