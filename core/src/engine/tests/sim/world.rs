//! The simulated world: one clock, one agenda, and everything that passes between the parts.

use std::collections::{BTreeMap, VecDeque};

use super::{
    super::*,
    LOST_MAX,
    action::{Action, Change, Input, Order},
    api::Api,
    dice::Dice,
    election::Lease,
    jobs::Job,
    ledger::Ledger,
    plan::Plan,
    streams::Stream,
    tale::Tale,
    watcher::Watcher,
    worker::Worker,
};
use crate::rules::{Rule, Rules};

/// When all must be over.
const PATIENCE: Duration = Duration::from_secs(3000);
/// More than ever happens.
const STEPS: u64 = 200_000;

/// When an action is due, its rank at that moment, and when it came first: what waited keeps its order.
type Turn = (Duration, u8, Duration, u64);

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rules: Rules,
    /// No rule is switched off.
    pub(super) all_rules: bool,
    pub(super) config: Config,
    pub(super) dice: Dice,
    pub(super) now: Duration,
    agenda: BTreeMap<Turn, Action>,
    actions: u64,
    steps: u64,
    pub(super) api: Api,
    pub(super) lease: Lease,
    pub(super) watchers: Vec<Watcher>,
    pub(super) workers: Vec<Worker>,
    pub(super) streams: Vec<Stream>,
    pub(super) queue: VecDeque<AttemptId>,
    pub(super) tickets: u64,
    /// What truly runs.
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) runs: u64,
    /// How jobs that ended by themselves did.
    pub(super) finished: BTreeSet<(Uid, &'static str)>,
    pub(super) ledger: Ledger,
    /// How requests ended.
    pub(super) ends: BTreeSet<String>,
    pub(super) tale: Tale,
    /// What went wrong first, and with which request.
    pub(super) failure: Option<(Option<Uid>, String)>,
}

// === impl World ===

impl World {
    pub(super) fn new(seed: u64, off: Option<Rule>, tale: Tale) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::of(seed, &mut dice);
        let workers = (0..plan.workers).map(|_| Worker::new(0, 1 + u32::from(dice.chance(50))));
        let workers = workers.collect();
        let watchers = (0..plan.watchers).map(|_| Watcher::default()).collect();
        let mut world = Self {
            plan,
            rules: off.map_or_else(Rules::default, Rules::without),
            all_rules: off.is_none(),
            // Every third world has several instances.
            config: Config {
                lost_max: LOST_MAX,
                claims: seed.is_multiple_of(3),
                audit: true,
                ..config()
            },
            dice,
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            actions: 0,
            steps: 0,
            api: Api::default(),
            lease: Lease::default(),
            watchers,
            workers,
            streams: vec![],
            queue: VecDeque::new(),
            tickets: 0,
            jobs: BTreeMap::new(),
            runs: 0,
            finished: BTreeSet::new(),
            ledger: Ledger::default(),
            ends: BTreeSet::new(),
            tale,
            failure: None,
        };
        Plan::limit(&mut world.config, &mut world.dice);
        world.begin();
        world
    }

    fn begin(&mut self) {
        for slot in 0..self.watchers.len() {
            self.later(0, 3000, Action::StartWatcher { slot });
        }
        for slot in 0..self.workers.len() {
            self.later(1, 5000, Action::StartWorker { slot });
        }
        let last = u64::try_from(self.plan.faults_until.as_millis()).unwrap() * 3 / 4;
        for n in 0..self.plan.requests {
            // Tenants and sizes of parameters differ by the length and the letters.
            let uid = Uid::new(&"x".repeat(n + 1));
            let create = self.dice.between(0, last);
            self.at(create, Action::Object(Change::Create(uid.clone())));
            let later = create + self.dice.between(0, 60_000);
            match self.dice.below(10) {
                0 | 1 => self.at(later, Action::Object(Change::Cancel(uid))),
                2 => {
                    self.at(later, Action::Object(Change::Delete(uid.clone())));
                    let again = later + self.dice.between(0, 20_000);
                    let again_uid = Uid::new(&format!("{uid}y"));
                    self.at(again, Action::Object(Change::Create(again_uid)));
                }
                _ => {}
            }
        }
        self.at(Duration::from_secs(1), Action::Fault);
        self.at(Duration::from_secs(1), Action::Survey);
    }

    pub(super) fn at(&mut self, at: Duration, action: Action) {
        // What waits at one moment: the rest of a step, then heartbeats; expiries are judged last.
        let rank = match &action {
            Action::Watcher(_, Input::Effects(_))
            | Action::Worker(_, Order::Effects(_))
            | Action::Warden(_) => 0,
            Action::Up { event, .. } if matches!(**event, Event::Heartbeat { .. }) => 1,
            Action::Watcher(_, Input::Wake { .. }) => 3,
            _ => 2,
        };
        self.actions += 1;
        self.agenda.insert((at, rank, at, self.actions), action);
    }

    /// After some milliseconds.
    pub(super) fn later(&mut self, from: u64, to: u64, action: Action) {
        let at = self.now + self.dice.between(from, to);
        self.at(at, action);
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.now < self.plan.faults_until
    }

    /// So often, while things go wrong.
    pub(super) fn bad_luck(&mut self, percent: u64) -> bool {
        self.is_faulty() && self.dice.chance(percent)
    }

    /// How many milliseconds something takes at most.
    pub(super) fn slow(&mut self, percent: u64, slow: u64, normal: u64) -> u64 {
        if self.bad_luck(percent) { slow } else { normal }
    }

    pub(super) fn tell(&mut self, about: Option<&Uid>, text: impl FnOnce() -> String) {
        self.tale.about(self.now, || (about.cloned(), text()));
    }

    /// What must hold does not.
    pub(super) fn fail(&mut self, about: Option<&Uid>, wrong: String) {
        let told = wrong.clone();
        self.tell(about, || format!("WRONG: {told}"));
        self.failure.get_or_insert((about.cloned(), wrong));
    }

    /// Runs until all is over or something is wrong.
    pub(super) fn run(&mut self) {
        while self.failure.is_none() {
            let Some(((at, rank, came, number), action)) = self.agenda.pop_first() else {
                break;
            };
            self.now = at;
            self.steps += 1;
            if self.steps > STEPS {
                self.fail(None, "somebody is busy for nothing".into());
            }
            if at > PATIENCE {
                self.never_ends();
                break;
            }
            if let Some(until) = self.waits(&action) {
                self.agenda.insert((until, rank, came, number), action);
            } else if matches!(action, Action::Survey) {
                if self.survey() {
                    self.check_wakes();
                    break;
                }
            } else {
                self.act(action);
            }
        }
    }

    fn never_ends(&mut self) {
        let mut objects = self.api.objects.iter();
        let stuck = objects.find(|(_, object)| !object.is_over());
        let stuck = stuck.map(|(uid, _)| uid.clone());
        let jobs = &self.jobs;
        let wrong = format!("it never ends: {stuck:?} is stuck; what runs: {jobs:?}");
        self.fail(stuck.as_ref(), wrong);
    }

    /// Every second.
    fn survey(&mut self) -> bool {
        if !self.rules.hold(Rule::FirstListAfterWinning)
            || !self.rules.hold(Rule::ListsAreConsistent)
        {
            self.api.keep_view();
        }
        self.at(self.now + Duration::from_secs(1), Action::Survey);
        !self.is_faulty() && self.is_over()
    }
}
