//! What a restarted watcher makes of the requests that it lists.

use super::*;

#[test]
fn places_of_listed_ones_are_decided_when_the_take_over_ends_and_of_new_ones_with_them() {
    let mut keys = Keys::default();
    keys.list(key(), attach("b", 2), false);
    keys.list(key(), attach("a", 1), false);
    assert_eq!(keys.join(key(), attach("c", 3)), vec![]);
    assert!(keys.is_open(&Uid::new("c")));
    let verdicts = keys.settle(&key(), |_| Standing::Idle);
    let wanted = vec![runs("a"), waits("b", "a", true), waits("c", "a", true)];
    assert_eq!(verdicts, wanted);
    assert!(!keys.is_open(&Uid::new("c")));
}

#[test]
fn the_held_one_is_first_then_the_one_that_ran_then_one_that_did_not_wait() {
    let list = |standings: [(Standing, bool); 3]| {
        let mut keys = Keys::default();
        for (uid, created) in [("a", 1), ("b", 2), ("c", 3)] {
            let (_, behind) = standings[usize::try_from(created).unwrap() - 1];
            keys.list(key(), accepted(attach(uid, created)), behind);
        }
        let of = |uid: &Uid| standings["abc".find(&*uid.0).unwrap()].0;
        keys.settle(&key(), of)[0].clone()
    };
    let idle = (Standing::Idle, false);
    assert_eq!(list([idle, idle, (Standing::Held, false)]), runs("c"));
    assert_eq!(list([idle, (Standing::Ran, false), idle]), runs("b"));
    assert_eq!(list([(Standing::Idle, true), idle, idle]), runs("b"));
    assert_eq!(list([idle, idle, idle]), runs("a"));
}

#[test]
fn a_replacing_one_that_runs_already_has_replaced_the_earlier_ones() {
    let mut keys = Keys::default();
    keys.list(key(), accepted(attach("a", 1)), false);
    keys.list(key(), accepted(attach("b", 2)), true);
    keys.list(key(), accepted(replace("r", 3)), true);
    keys.list(key(), accepted(replace("s", 4)), false);
    let held = |uid: &Uid| match &*uid.0 {
        "s" => Standing::Held,
        _ => Standing::Idle,
    };
    let verdicts = keys.settle(&key(), held);
    let wanted = vec![
        runs("s"),
        replaced("a"),
        replaced("r"),
        waits("b", "s", true),
    ];
    assert_eq!(verdicts, wanted);
}

#[test]
fn what_was_accepted_once_is_not_rejected_when_it_comes_second_after_a_restart() {
    let mut keys = Keys::default();
    keys.list(key(), accepted(attach("a", 1)), false);
    keys.list(key(), accepted(member("b", 2, OnConflict::Reject)), false);
    keys.list(key(), accepted(other_params(attach("c", 3))), false);
    keys.list(key(), member("d", 4, OnConflict::Reject), false);
    let verdicts = keys.settle(&key(), |_| Standing::Idle);
    let wanted = vec![
        runs("a"),
        waits("b", "a", true),
        waits("c", "a", false),
        rejected("d", Reason::KeyInUse),
    ];
    assert_eq!(verdicts, wanted);
}

#[test]
fn what_ends_before_the_places_are_decided_counts() {
    let mut keys = Keys::default();
    for (uid, created) in [("a", 1), ("b", 2), ("c", 3)] {
        keys.list(key(), accepted(attach(uid, created)), false);
    }
    assert_eq!(ended(&mut keys, "b", Ending::Succeeded), vec![]);
    assert_eq!(ended(&mut keys, "a", Ending::Dropped), vec![]);
    let verdicts = keys.settle(&key(), |_| Standing::Idle);
    assert_eq!(verdicts, vec![shares("c", "b")]);
}
