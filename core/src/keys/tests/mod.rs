//! The rules of a key one by one; `random` checks what holds whatever happens.

mod listed;
mod random;
mod world;

use jiff::Timestamp;

use super::*;
use crate::{api::OnConflict, reason::Reason};

fn key() -> Key {
    Key {
        cluster: "team-a".into(),
        namespace: "default".into(),
        kind: "requests.internal.services".into(),
        service: "sign".into(),
        word: "k1".into(),
    }
}

/// A request that was created in that second.
fn member(uid: &str, created: i64, on_conflict: OnConflict) -> Member {
    Member {
        uid: Uid::new(uid),
        created: Some(Timestamp::from_second(created).unwrap()),
        digest: Some([0; 16]),
        on_conflict,
        accepted: false,
    }
}

fn attach(uid: &str, created: i64) -> Member {
    member(uid, created, OnConflict::Attach)
}

fn replace(uid: &str, created: i64) -> Member {
    member(uid, created, OnConflict::Replace)
}

fn accepted(member: Member) -> Member {
    Member {
        accepted: true,
        ..member
    }
}

fn other_params(member: Member) -> Member {
    Member {
        digest: Some([1; 16]),
        ..member
    }
}

fn runs(uid: &str) -> Verdict {
    Verdict::Runs(Uid::new(uid))
}

fn waits(uid: &str, earlier: &str, attached: bool) -> Verdict {
    Verdict::Waits {
        uid: Uid::new(uid),
        earlier: Uid::new(earlier),
        attached,
    }
}

fn shares(uid: &str, of: &str) -> Verdict {
    Verdict::Shares {
        uid: Uid::new(uid),
        of: Uid::new(of),
    }
}

fn rejected(uid: &str, reason: Reason) -> Verdict {
    Verdict::Rejected(Uid::new(uid), reason)
}

fn replaced(uid: &str) -> Verdict {
    Verdict::Replaced(Uid::new(uid))
}

fn ended(keys: &mut Keys, uid: &str, how: Ending) -> Vec<Verdict> {
    keys.ended(&Uid::new(uid), how)
}

/// `a` runs.
fn one_runs() -> Keys {
    let mut keys = Keys::default();
    assert_eq!(keys.join(key(), attach("a", 1)), vec![runs("a")]);
    keys
}

#[test]
fn an_attached_one_ends_as_the_first_one_well_or_not() {
    for how in [Ending::Succeeded, Ending::Failed] {
        let mut keys = one_runs();
        assert_eq!(
            keys.join(key(), attach("b", 2)),
            vec![waits("b", "a", true)]
        );
        assert_eq!(keys.attached_to(&Uid::new("a")), vec![Uid::new("b")]);
        assert_eq!(ended(&mut keys, "a", how), vec![shares("b", "a")]);
        // What failed keeps nothing that could be shared later.
        let kept = how == Ending::Succeeded;
        let earlier = kept.then(|| (Uid::new("a"), true));
        assert_eq!(keys.waits_for(&Uid::new("b")), earlier);
    }
}

#[test]
fn after_a_cancelled_or_deleted_one_the_oldest_attached_runs_and_the_others_attach_to_it() {
    let mut keys = one_runs();
    keys.join(key(), attach("c", 2));
    keys.join(key(), attach("b", 2));
    let verdicts = ended(&mut keys, "a", Ending::Dropped);
    assert_eq!(verdicts, vec![runs("b"), waits("c", "b", true)]);
}

#[test]
fn an_attached_one_that_ends_ends_alone() {
    let mut keys = one_runs();
    keys.join(key(), attach("b", 2));
    assert_eq!(ended(&mut keys, "b", Ending::Dropped), vec![]);
    assert_eq!(ended(&mut keys, "a", Ending::Succeeded), vec![]);
}

#[test]
fn a_late_one_shares_what_succeeded_long_ago_until_that_is_deleted() {
    let mut keys = Keys::default();
    keys.list_succeeded(key(), accepted(attach("a", 1)));
    assert_eq!(keys.join(key(), attach("b", 9)), vec![shares("b", "a")]);
    assert_eq!(keys.waits_for(&Uid::new("b")), Some((Uid::new("a"), true)));
    // Deleted before the result was read.
    assert_eq!(ended(&mut keys, "a", Ending::Dropped), vec![runs("b")]);
}

#[test]
fn a_failed_or_cancelled_one_holds_no_key_and_an_empty_key_takes_no_memory() {
    for how in [Ending::Failed, Ending::Dropped] {
        let mut keys = one_runs();
        assert_eq!(ended(&mut keys, "a", how), vec![]);
        assert!(keys.is_empty(), "{keys:?}");
        let next = other_params(member("b", 2, OnConflict::Reject));
        assert_eq!(keys.join(key(), next), vec![runs("b")]);
    }
}

#[test]
fn a_key_in_use_or_with_other_parameters_is_rejected_also_after_a_success() {
    let mut keys = one_runs();
    for _ in 0..2 {
        let verdicts = keys.join(key(), member("b", 2, OnConflict::Reject));
        assert_eq!(verdicts, vec![rejected("b", Reason::KeyInUse)]);
        for on_conflict in [OnConflict::Attach, OnConflict::Replace, OnConflict::Reject] {
            let verdicts = keys.join(key(), other_params(member("c", 2, on_conflict)));
            assert_eq!(verdicts, vec![rejected("c", Reason::KeyReused)]);
        }
        ended(&mut keys, "a", Ending::Succeeded);
    }
    ended(&mut keys, "a", Ending::Dropped);
    assert!(keys.is_empty(), "{keys:?}");
}

#[test]
fn keys_of_other_workspaces_namespaces_kinds_and_services_are_other_keys() {
    let mut keys = one_runs();
    let (cluster, namespace) = ("team-b".into(), "other".into());
    let (kind, service) = ("others.internal.services".into(), "publish".into());
    for (n, key) in [
        Key { cluster, ..key() },
        Key { namespace, ..key() },
        Key { kind, ..key() },
        Key { service, ..key() },
    ]
    .into_iter()
    .enumerate()
    {
        let uid = format!("b{n}");
        assert_eq!(keys.join(key, attach(&uid, 2)), vec![runs(&uid)]);
    }
}

#[test]
fn a_replacing_one_stops_the_first_and_runs_when_that_has_stopped() {
    let mut keys = one_runs();
    let verdicts = keys.join(key(), replace("r", 2));
    assert_eq!(verdicts, vec![waits("r", "a", false), replaced("a")]);
    assert_eq!(ended(&mut keys, "a", Ending::Dropped), vec![runs("r")]);
    assert!(!keys.is_empty());
    ended(&mut keys, "r", Ending::Failed);
    assert!(keys.is_empty(), "{keys:?}");
}

#[test]
fn of_a_chain_of_replacing_ones_the_newest_runs_and_the_middle_one_ends_at_once() {
    let mut keys = one_runs();
    keys.join(key(), replace("r", 2));
    let verdicts = keys.join(key(), replace("s", 3));
    let wanted = vec![waits("s", "a", false), replaced("r"), replaced("a")];
    assert_eq!(verdicts, wanted);
    assert_eq!(ended(&mut keys, "r", Ending::Dropped), vec![]);
    assert_eq!(ended(&mut keys, "a", Ending::Dropped), vec![runs("s")]);
}

#[test]
fn attached_ones_follow_the_replacing_one_unless_the_first_succeeded_all_the_same() {
    let mut keys = one_runs();
    keys.join(key(), attach("b", 2));
    keys.join(key(), replace("r", 3));
    let verdicts = ended(&mut keys, "a", Ending::Dropped);
    assert_eq!(verdicts, vec![runs("r"), waits("b", "r", true)]);

    let mut keys = one_runs();
    keys.join(key(), attach("b", 2));
    keys.join(key(), replace("r", 3));
    let verdicts = ended(&mut keys, "a", Ending::Succeeded);
    assert_eq!(verdicts, vec![shares("b", "a"), runs("r")]);
}

#[test]
fn what_attaches_behind_a_replacing_one_runs_in_its_stead_when_that_is_cancelled() {
    let mut keys = one_runs();
    keys.join(key(), replace("r", 2));
    assert_eq!(
        keys.join(key(), attach("b", 3)),
        vec![waits("b", "a", true)]
    );
    assert_eq!(ended(&mut keys, "r", Ending::Dropped), vec![]);
    assert_eq!(ended(&mut keys, "a", Ending::Dropped), vec![runs("b")]);
}

#[test]
fn a_replacing_one_after_a_success_runs_and_becomes_the_one_to_attach_to() {
    let mut keys = Keys::default();
    keys.list_succeeded(key(), attach("a", 1));
    assert_eq!(keys.join(key(), replace("r", 2)), vec![runs("r")]);
    assert_eq!(
        keys.join(key(), attach("b", 3)),
        vec![waits("b", "r", true)]
    );
    // Cancelled: what is left is the success of before.
    let verdicts = ended(&mut keys, "r", Ending::Dropped);
    assert_eq!(verdicts, vec![shares("b", "a")]);
}

#[test]
fn a_deleted_one_that_runs_although_it_waited_keeps_the_key_until_it_has_stopped() {
    for how in [Ending::Failed, Ending::Dropped] {
        let mut keys = one_runs();
        keys.join(key(), attach("b", 2));
        keys.gone(&Uid::new("b"));
        assert_eq!(ended(&mut keys, "a", how), vec![runs("b")]);
        let verdicts = keys.join(key(), attach("c", 3));
        assert_eq!(verdicts, vec![waits("c", "b", false)]);
        assert_eq!(ended(&mut keys, "b", Ending::Dropped), vec![runs("c")]);
    }
}

#[test]
fn a_deleted_one_that_was_to_be_next_is_not_dropped_for_a_newer_one_while_it_runs() {
    let mut keys = one_runs();
    keys.join(key(), member("b", 2, OnConflict::Replace));
    keys.gone(&Uid::new("b"));
    let verdicts = keys.join(key(), member("c", 3, OnConflict::Replace));
    assert!(
        !verdicts.contains(&Verdict::Replaced(Uid::new("b"))),
        "{verdicts:?}"
    );
    assert!(keys.contains(&Uid::new("b")));
}

#[test]
fn a_deleted_run_is_waited_for_whatever_the_new_one_asks() {
    for on_conflict in [OnConflict::Attach, OnConflict::Replace, OnConflict::Reject] {
        let mut keys = one_runs();
        keys.gone(&Uid::new("a"));
        let new = other_params(member("b", 2, on_conflict));
        assert_eq!(keys.join(key(), new), vec![waits("b", "a", false)]);
        // Now that one holds the key.
        let verdicts = keys.join(key(), attach("c", 3));
        assert_eq!(verdicts, vec![rejected("c", Reason::KeyReused)]);
        assert_eq!(ended(&mut keys, "a", Ending::Dropped), vec![runs("b")]);
    }
}
