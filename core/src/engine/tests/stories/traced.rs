//! The caller's trace goes wherever spans are made.

use crate::trace::Trace;

use super::*;

#[test]
fn a_trace_goes_with_tickets_assignments_and_writes_and_is_not_kept_after_the_end() {
    let kept = Arc::new(Trace {
        id: [1; 16],
        span: [2; 8],
        sampled: true,
        state: None,
    });
    let trace = Some(kept.clone());
    let mut story = Story::settled();
    let mut observation = story.observation("a", None, false);
    observation.trace.clone_from(&trace);
    let mut effects = story.tell(Event::Observed(Box::new(observation)));
    let id = attempt("a", 1);
    effects.extend(story.tell(Event::Claim(ONE, id.clone())));
    if reads_params(&effects) {
        effects.extend(story.tell(Event::ParamsRead(id.clone(), Some("{}".into()))));
    }
    effects.extend(story.fails(ONE, &id));
    let carried = |effect: &Effect| match effect {
        Effect::Publish { trace, .. } => Some(("ticket", trace.clone())),
        Effect::Send(_, ToWorker::Assignment(granted)) => {
            assert!(granted.due.mono.is_some(), "when it was accepted is known");
            Some(("assignment", granted.trace.clone()))
        }
        Effect::Write(write) => Some(("write", write.trace.clone())),
        _ => None,
    };
    let carried: Vec<_> = effects.iter().filter_map(carried).collect();
    let wanted = ["ticket", "assignment", "write"].map(|to| (to, trace.clone()));
    assert_eq!(carried, wanted);
    drop((carried, wanted, effects, trace));
    story.written("a");
    assert_eq!(Arc::strong_count(&kept), 1, "nothing of it is kept");
}
