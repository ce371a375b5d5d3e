//! The schedule and the naive model, side by side through the same events.

use super::{
    model::{At, Model},
    *,
};

pub(super) const SERVICES: [&str; 2] = ["sign", "copy"];

#[derive(Clone, Debug)]
pub(super) enum Op {
    Push(Ask),
    Again { pick: usize },
    Aside { pick: usize },
    Occupy(Ask),
    Pop(usize),
    Express(usize),
    Hold { pick: usize },
    Remove { pick: usize },
    Wait { ms: u64 },
    Configure { pause: Pause },
}

/// The schedule and the model side by side.
pub(super) struct Pair {
    schedule: Schedule,
    pub(super) model: Model,
    now: Duration,
    next: u32,
}

impl Pair {
    pub(super) fn new(flow: Flow, in_flight: Option<u32>) -> Self {
        let tenants = Tenants {
            in_flight,
            ..Tenants::default()
        };
        let mut pair = Self {
            schedule: Schedule::default(),
            model: Model {
                flow,
                tenants,
                ..Model::default()
            },
            now: Duration::ZERO,
            next: 0,
        };
        pair.configure(Pause::default());
        pair
    }

    fn configure(&mut self, pause: Pause) {
        let flows = SERVICES.map(|name| (name.into(), self.model.flow.clone()));
        self.model.pause = pause.clone();
        let tenants = self.model.tenants;
        self.schedule.configure(flows, tenants, pause, self.now);
    }

    /// One of those, if there is any.
    fn pick(&self, pick: usize, wanted: impl Fn(At) -> bool) -> Option<(Uid, Ask)> {
        let items = self.model.items.iter();
        let found: Vec<_> = items.filter(|(_, item)| wanted(item.at)).collect();
        let (uid, item) = found.get(pick % found.len().max(1))?;
        Some(((*uid).clone(), item.ask.clone()))
    }

    fn new_uid(&mut self) -> Uid {
        self.next += 1;
        uid(format!("{:04}", self.next))
    }

    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::Push(ask) => {
                let uid = self.new_uid();
                self.schedule.push(&uid, &ask);
                self.model.put(&uid, &ask, At::Line);
            }
            Op::Occupy(ask) => {
                let uid = self.new_uid();
                self.schedule.occupy(&uid, &ask);
                self.model.put(&uid, &ask, At::Held);
            }
            Op::Again { pick } => {
                let Some((uid, ask)) = self.pick(pick, |_| true) else {
                    return;
                };
                self.schedule.push(&uid, &ask);
                self.model.put(&uid, &ask, At::Line);
            }
            Op::Aside { pick } => {
                if let Some((uid, ask)) = self.pick(pick, |_| true) {
                    self.schedule.set_aside(&uid, &ask);
                    self.model.put(&uid, &ask, At::Aside);
                }
            }
            Op::Remove { pick } => {
                if let Some((uid, _)) = self.pick(pick, |_| true) {
                    self.schedule.remove(&uid);
                    self.model.items.remove(&uid);
                }
            }
            Op::Pop(service) => self.pop(SERVICES[service]),
            Op::Express(service) => self.express(SERVICES[service]),
            Op::Hold { pick } => self.hold(pick),
            Op::Wait { ms } => self.now += Duration::from_millis(ms),
            Op::Configure { pause } => self.configure(pause),
        }
    }

    /// What is popped is allowed, and what is allowed is popped.
    fn pop(&mut self, service: &str) {
        let candidates = self.model.candidates(service, self.now);
        let waits_for_express = self.model.express_out(service) > 0;
        let Some(uid) = self.schedule.pop(service, self.now) else {
            let idle = candidates.is_empty() || waits_for_express;
            assert!(idle, "{candidates:?} may start, but nothing does");
            return;
        };
        assert!(
            candidates.contains(&uid),
            "{uid} is not one of {candidates:?}"
        );
        let line = |uid: &Uid| {
            let ask = &self.model.items[uid].ask;
            (ask.tenant.clone(), ask.priority)
        };
        let mut before = candidates.iter().filter(|other| **other < uid);
        let overtaken = before.find(|other| line(other) == line(&uid));
        assert_eq!(overtaken, None, "{uid} came later to the same line");
        self.model.items.get_mut(&uid).unwrap().at = At::Offered;
    }

    fn express(&mut self, service: &str) {
        let (now, model) = (self.now, &self.model);
        let (held, out) = (model.of(service, At::Held), model.express_out(service));
        let room = below(held + out, model.flow.concurrency) && model.tokens(service, now) > out;
        let Some(uid) = self.schedule.express(service, now) else {
            return;
        };
        let item = &model.items[&uid];
        let same =
            |i: &model::Item| i.ask.tenant == item.ask.tenant && i.ask.service == item.ask.service;
        let busy = model.count(|i| same(i) && matches!(i.at, At::Offered | At::Held));
        let able = model.has_room(&item.ask) && item.at == At::Line;
        assert!(room && able && busy == 0, "{uid} must not overtake anyone");
        assert_eq!(item.ask.priority, Priority::High);
        let item = self.model.items.get_mut(&uid).unwrap();
        (item.at, item.express) = (At::Offered, true);
    }

    fn hold(&mut self, pick: usize) {
        let Some((uid, ask)) = self.pick(pick, |at| at != At::Held) else {
            return;
        };
        let (service, item) = (&*ask.service, &self.model.items[&uid]);
        let held = self.model.of(service, At::Held);
        let offered = self.model.of(service, At::Offered);
        let room = if item.at == At::Offered {
            below(held, self.model.flow.concurrency)
        } else {
            below(held + offered, self.model.flow.concurrency) && self.model.has_room(&ask)
        };
        let tokens = self.model.tokens(service, self.now);
        match self.schedule.hold(&uid, self.now) {
            Ok(()) => {
                assert!(room && tokens > 0, "{uid} must not start");
                self.model.items.get_mut(&uid).unwrap().at = At::Held;
                let start = (ask.service.clone(), self.now);
                self.model.starts.push(start);
            }
            Err(NotNow::OutOfTurn) => assert!(self.model.express_out(service) > 0),
            Err(NotNow::Unknown) => panic!("{uid} is known"),
            Err(_) => {}
        }
    }

    pub(super) fn check(&self) {
        self.schedule.audit();
        for (uid, item) in &self.model.items {
            let in_line = item.at == At::Line;
            assert_eq!(self.schedule.is_in_line(uid), in_line, "{uid}");
            assert_eq!(self.schedule.is_held(uid), item.at == At::Held, "{uid}");
        }
        assert_eq!(self.schedule.requests.len(), self.model.items.len());
        for (name, tenant) in &self.schedule.tenants {
            let waits =
                |i: &&model::Item| i.ask.tenant == *name && matches!(i.at, At::Aside | At::Line);
            let waiting: Vec<_> = self.model.items.values().filter(waits).collect();
            assert_eq!(tenant.waiting as usize, waiting.len(), "{name}");
            let bytes: u64 = waiting.iter().map(|item| u64::from(item.ask.bytes)).sum();
            assert_eq!(tenant.bytes, bytes, "{name}");
        }
    }

    /// Once the limits are off, all that waits in line comes out, each exactly once.
    pub(super) fn drain(mut self) {
        self.model.flow = Flow::default();
        self.model.tenants.in_flight = None;
        self.configure(Pause::default());
        let waits = |item: &model::Item| item.at == At::Line;
        let items = self.model.items.iter().filter(|(_, item)| waits(item));
        let mut left: BTreeSet<Uid> = items.map(|(uid, _)| uid.clone()).collect();
        // So that nothing makes way for what is out.
        self.now += seconds(3600);
        for uid in self.model.items.keys().filter(|uid| !left.contains(uid)) {
            self.schedule.remove(uid);
        }
        for service in SERVICES {
            while let Some(uid) = self.schedule.pop(service, self.now) {
                assert!(left.remove(&uid), "{uid} came twice, or from nowhere");
            }
        }
        assert!(left.is_empty(), "{left:?} are lost");
    }
}
