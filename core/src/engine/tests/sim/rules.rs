//! Each rule is needed: without it some seed goes wrong, and soon.
//!
//! `ISC_OFF=LongerLease ISC_SEED=47 cargo test -p isc-core sim` tells how.

use super::{Rule, simulate};

/// What a pipeline or a tenant would notice first.
const TWICE: &str = "two runs at once";
const STUCK: &str = "it never ends";
const MISCOUNTED: &str = "count as lost, but at most";

/// Of the seeds of one plan, so many at most have to be run without the rule until that goes wrong.
fn is_caught(rule: Rule, plan: u64, within: u64, what: &str) {
    let mut others = vec![];
    for (n, seed) in (0..within).map(|n| (n + 1, n * 8 + plan)) {
        match simulate(seed, Some(rule)) {
            Err(wrong) if wrong.what.contains(what) => {
                eprintln!(
                    "{rule:?}: seed {seed}, the {n}. of its plan: {}",
                    wrong.what
                );
                return;
            }
            Err(wrong) => others.push(wrong.what),
            Ok(_) => {}
        }
    }
    others.truncate(3);
    panic!("nobody misses {rule:?} in {within} seeds; what went wrong else: {others:#?}");
}

/// The rule of that name.
pub(super) fn named(name: &str) -> Option<Rule> {
    let mut rules = ALL.iter();
    rules.find(|rule| format!("{rule:?}") == name).copied()
}

macro_rules! each_is_needed {
    ($($name:ident: $rule:ident, plan $plan:literal, within $within:literal, $what:expr;)*) => {
        const ALL: &[Rule] = &[$(Rule::$rule),*];
        $(
            #[test]
            fn $name() {
                is_caught(Rule::$rule, $plan, $within, $what);
            }
        )*
    };
}

// Plans: 0 everything, 1 leaders, 2 streams, 3 API, 4 workers, 5 objects, 6 broker.
each_is_needed! {
    // 1
    a_heartbeat_lists_unanswered_claims: HeartbeatListsClaims, plan 2, within 60000, TWICE;
    a_greeting_drops_unanswered_claims: GreetingDropsClaims, plan 2, within 1500, "";
    a_granted_claim_that_is_not_listed_returns: UnlistedGrantReturns, plan 2, within 1500, STUCK;
    a_granted_claim_that_is_not_listed_counts_as_nothing: UnlistedGrantIsUncounted, plan 2, within 1500, MISCOUNTED;
    // 2
    a_heartbeat_is_acknowledged_after_the_renewal: AckAfterRenewal, plan 1, within 6000, TWICE;
    // 3, and that the worker fences itself
    the_watchers_lease_is_longer: LongerLease, plan 4, within 1500, TWICE;
    a_kill_is_quicker_than_the_difference: KillIsQuick, plan 4, within 1500, TWICE;
    the_warden_kills_for_a_frozen_worker: WardenKills, plan 4, within 1500, TWICE;
    a_worker_kills_at_its_leases_end: WorkerFencesItself, plan 2, within 1500, TWICE;
    no_job_starts_past_the_lease: StartsUnderLease, plan 4, within 1500, TWICE;
    // 4
    what_is_forgotten_is_waited_for: GoneIsWaitedFor, plan 5, within 1500, TWICE;
    what_comes_back_meanwhile_is_waited_for: ReturnedIsWaitedFor, plan 5, within 1500, TWICE;
    what_a_new_leader_did_not_see_is_waited_for: OlderIsWaitedFor, plan 5, within 20000, TWICE;
    // 5
    a_leader_checks_its_lead: LeadIsChecked, plan 1, within 1500, TWICE;
    a_leader_checks_its_lead_before_it_grants: LeadIsCheckedBeforeGrants, plan 1, within 1500, TWICE;
    a_leader_checks_its_lead_before_it_acknowledges: LeadIsCheckedBeforeAcks, plan 1, within 6000, TWICE;
    a_leader_checks_its_lead_before_it_counts_and_writes: LeadIsCheckedBeforeWrites, plan 1, within 6000, "";
    a_lead_that_was_over_is_lost: LapsedLeadIsLost, plan 1, within 20000, "";
    // 6, and the take-over
    the_first_list_is_made_after_winning: FirstListAfterWinning, plan 3, within 1500, TWICE;
    every_list_is_consistent: ListsAreConsistent, plan 3, within 1500, "taken for gone";
    a_new_leader_waits_for_one_lease: TakeoverWaits, plan 3, within 1500, TWICE;
    only_a_true_mark_is_left: MarkIsTrue, plan 3, within 1500, TWICE;
    // 7
    what_comes_on_an_old_stream_is_void: OldStreamIsVoid, plan 2, within 1500, TWICE;
    an_assignment_counts_on_the_stream_of_its_claim: AssignmentOnItsStream, plan 2, within 1500, TWICE;
    // 8
    a_foreign_end_stands: ForeignEndStands, plan 3, within 1500, "an end is written over";
    an_own_write_is_known: OwnWriteIsKnown, plan 3, within 1500, "a write changes nothing";
    a_foreign_live_status_is_the_new_base: ForeignLiveIsBase, plan 3, within 20000, "a count falls";
    // What must be durable before what
    an_outcome_is_durable_before_it_is_recorded: DurableBeforeRecorded, plan 0, within 1500, "is recorded, but the API has";
    counts_are_durable_before_the_next_ticket: DurableBeforeTicket, plan 4, within 1500, "is on offer, but the next durable";
}
