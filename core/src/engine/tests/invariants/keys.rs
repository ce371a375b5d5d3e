//! What holds of requests with an idempotency key.

use super::{super::*, State};

/// Who waits does so for someone whose end it will hear of; of each key at most one may start.
pub(super) fn keys_agree(engine: &Engine) {
    let keys = &engine.keyed.keys;
    for uid in keys.members() {
        let there = engine.entries.contains_key(uid);
        assert!(there || engine.keyed.is_lingering(uid), "{uid} is kept");
    }
    for uid in engine.keyed.lingering() {
        assert!(
            keys.contains(uid),
            "{uid} runs, and its key may be given away"
        );
    }
    for (uid, entry) in &engine.entries {
        let Entry::Live(request) = entry else {
            continue;
        };
        if let State::Behind { earlier, attached } = &request.life.state {
            let wanted = Some((earlier.clone(), *attached));
            assert_eq!(keys.waits_for(uid), wanted, "{uid}");
            is_heard_of(engine, uid, earlier);
        }
        if may_start(&request.life.state) && keys.contains(uid) {
            assert_eq!(keys.waits_for(uid), None, "{uid} is to wait");
            assert!(!keys.is_open(uid), "{uid} has no place yet");
            let starts = |other: &Uid| {
                let other = engine.live(other);
                other.is_some_and(|other| may_start(&other.life.state))
            };
            assert!(!keys.others(uid).any(starts), "{uid} and another one");
        }
    }
}

fn may_start(state: &State) -> bool {
    matches!(
        state,
        State::Waiting | State::Offered { .. } | State::Reserved { .. }
    )
}

fn is_heard_of(engine: &Engine, uid: &Uid, earlier: &Uid) {
    match engine.entries.get(earlier) {
        Some(Entry::Live(_)) => {}
        Some(Entry::Finished(_)) => {
            let read = engine.reads.awaits(earlier) || engine.keyed.is_lingering(earlier);
            assert!(read, "{uid} waits for a result that nobody reads");
        }
        None => assert!(engine.keyed.is_lingering(earlier), "{uid} waits for ever"),
    }
}
