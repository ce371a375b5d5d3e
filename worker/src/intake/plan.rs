//! Which consumers are wanted. Pure.
//!
//! A consumer's prefetch is fixed when it starts, and the broker counts only that consumer's own
//! unsettled tickets against it: those of a consumer that was stopped no longer count anywhere. So a new
//! consumer wants a prefetch of the free slots, and one that has used its prefetch up is started anew
//! when there is more to be had.
//!
//! With one queue that is exact. With several, each is offered every free slot, and a burst on many of
//! them at once brings some tickets in excess. To keep that rare, a worker that had no free slot first
//! *probes*: it gets single tickets queue by queue, in turn, and consumes again only once all are empty.
//! The turns also keep one busy queue from starving the others.

/// What the plan knows of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    /// The consumer's prefetch; `None` when there is no consumer.
    pub(super) prefetch: Option<u32>,
    /// Unsettled tickets that this consumer brought.
    pub(super) held: u32,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Stop these consumers.
    Cancel(Vec<usize>),
    /// Get single tickets in turn; consume when there is none.
    Probe,
    /// Start, or start anew, these consumers with a prefetch of all free slots.
    Consume(Vec<usize>),
}

/// The next step, `None` when all is as it should be. `probed` says that all queues were found empty.
pub(super) fn plan(queues: &[Queue], free: u32, probed: bool) -> Option<Step> {
    if free == 0 {
        let idle = |queue: &Queue| queues.len() > 1 || queue.room() > 0;
        let active = (0..queues.len())
            .filter(|i| queues[*i].prefetch.is_some() && idle(&queues[*i]))
            .collect::<Vec<_>>();
        return (!active.is_empty()).then_some(Step::Cancel(active));
    }
    let stopped = queues.iter().all(|queue| queue.prefetch.is_none());
    if stopped && queues.len() > 1 && !probed {
        return Some(Step::Probe);
    }
    let wanting = (0..queues.len())
        .filter(|i| queues[*i].room() == 0)
        .collect::<Vec<_>>();
    (!wanting.is_empty()).then_some(Step::Consume(wanting))
}

// === impl Queue ===

impl Queue {
    /// How many more tickets its consumer may bring.
    fn room(&self) -> u32 {
        self.prefetch
            .map_or(0, |prefetch| prefetch.saturating_sub(self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(prefetch: Option<u32>, held: u32) -> Queue {
        Queue { prefetch, held }
    }

    #[test]
    fn nothing_is_consumed_without_a_free_slot() {
        let (open, stopped, full) = (queue(Some(2), 1), queue(None, 0), queue(Some(1), 1));
        assert_eq!(plan(&[open], 0, false), Some(Step::Cancel(vec![0])));
        assert_eq!(plan(&[stopped], 0, false), None);
        assert_eq!(
            plan(&[full], 0, false),
            None,
            "the broker sends nothing there"
        );
        assert_eq!(
            plan(&[full, stopped, open], 0, false),
            Some(Step::Cancel(vec![0, 2])),
            "of several queues a full one would get the next slot every time"
        );
    }

    #[test]
    fn one_queue_gets_exactly_the_free_slots() {
        let consume = Some(Step::Consume(vec![0]));
        assert_eq!(plan(&[queue(None, 0)], 4, false), consume);
        assert_eq!(plan(&[queue(Some(4), 1)], 3, false), None);
        assert_eq!(plan(&[queue(Some(1), 1)], 3, false), consume);
    }

    #[test]
    fn several_queues_are_probed_before_they_are_consumed() {
        let stopped = [queue(None, 0), queue(None, 0)];
        assert_eq!(plan(&stopped, 2, false), Some(Step::Probe));
        assert_eq!(plan(&stopped, 2, true), Some(Step::Consume(vec![0, 1])));
        let open = [queue(Some(3), 1), queue(Some(1), 1)];
        assert_eq!(plan(&open, 2, false), Some(Step::Consume(vec![1])));
    }
}
