//! An engine, a worker and an API where nothing goes wrong by itself.

use std::collections::HashSet;

use super::{super::*, Op};
use crate::{
    api::Priority,
    flow::{Flow, Pause},
    life::{Life, Outcome, State},
};

const SESSION: SessionId = SessionId(1);

/// An engine with a worker that takes any number of jobs, and an API that takes every write.
pub(super) struct Shop {
    engine: Engine,
    flow: Flow,
    in_flight: Option<u32>,
    now: Duration,
    version: u64,
    asked: Vec<(Uid, u8, Option<u8>)>,
    starts: Vec<Duration>,
    ended: HashSet<Uid>,
}

impl Shop {
    pub(super) fn new(flow: Flow, in_flight: Option<u32>) -> Self {
        let (engine, now) = settled();
        let mut shop = Self {
            engine,
            flow,
            in_flight,
            now,
            version: 1,
            asked: vec![],
            starts: vec![],
            ended: HashSet::new(),
        };
        shop.pause(false, None);
        shop.greet();
        shop
    }

    fn step(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.engine.step(event, at(self.now)) {
                match effect {
                    Effect::Write(write) => {
                        self.version += 1;
                        let version = WriteResult::Ok(self.version.to_string());
                        events.push(Event::Written(write.uid, version));
                    }
                    Effect::Send(_, ToWorker::Assignment(_)) => self.starts.push(self.now),
                    _ => {}
                }
            }
            invariants::books_agree(&self.engine);
            self.check();
        }
    }

    fn greet(&mut self) {
        let hello = hello(&holder("w", 1), 2, vec![], vec![]);
        self.step(Event::Hello(SESSION, hello));
    }

    fn life(&self, uid: &Uid) -> Option<&Life> {
        self.engine.live(uid).map(|request| &request.life)
    }

    fn running(&self) -> Vec<&(Uid, u8, Option<u8>)> {
        let runs = |uid: &Uid| self.life(uid).is_some_and(|life| life.holder().is_some());
        self.asked.iter().filter(|(uid, ..)| runs(uid)).collect()
    }

    /// No limit is exceeded by what runs.
    fn check(&self) {
        let (running, flow) = (self.running(), &self.flow);
        let fits = |count: usize, limit: Option<u32>| limit.is_none_or(|l| count <= l as usize);
        assert!(fits(running.len(), flow.concurrency), "{running:?}");
        for n in 0..3 {
            let of_tenant = running.iter().filter(|(_, tenant, _)| *tenant == n).count();
            assert!(fits(of_tenant, flow.per_tenant), "{running:?}");
            assert!(fits(of_tenant, self.in_flight), "{running:?}");
            let of_key = running.iter().filter(|(.., key)| *key == Some(n)).count();
            assert!(fits(of_key, flow.per_key), "{running:?}");
        }
        let (Some(rate), Some(last)) = (flow.rate, self.starts.last()) else {
            return;
        };
        for (n, from) in self.starts.iter().enumerate() {
            let span = last.saturating_sub(*from).as_nanos() / rate.every.as_nanos();
            let started = (self.starts.len() - n) as u128;
            assert!(
                started <= u128::from(rate.burst) + span,
                "{:?}",
                self.starts
            );
        }
    }

    fn pick(&self, pick: usize) -> Option<AttemptId> {
        let (uid, ..) = self.asked.get(pick % self.asked.len().max(1))?;
        Some(attempt(&uid.0, self.life(uid)?.attempt()))
    }

    fn ask(&mut self, tenant: u8, priority: Priority, key: Option<u8>) {
        let uid = Uid::new(&format!("{:03}", self.asked.len()));
        let mut asked = shown(&uid, 1, false, None);
        asked.address.cluster = tenant.to_string().into();
        asked.params = Params::Inline("{}".into());
        asked.spec.as_mut().unwrap().priority = Some(priority);
        asked.flow_key = Ok(key.map(|key| key.to_string().into()));
        self.asked.push((uid, tenant, key));
        self.step(Event::Observed(Box::new(asked)));
    }

    fn end(&mut self, id: AttemptId, well: bool) {
        let held = |life: &Life| life.holder().is_some();
        if !self.life(&id.uid).is_some_and(held) {
            return;
        }
        let (result, artifacts) = (None, vec![]);
        let outcome = if well {
            self.ended.insert(id.uid.clone());
            Outcome::Succeeded { result, artifacts }
        } else {
            Outcome::Interrupted
        };
        self.step(Event::Outcome(SESSION, id, outcome));
    }

    fn pause(&mut self, service: bool, tenant: Option<u8>) {
        let mut catalogue = config().catalogue;
        catalogue.get_mut("sign").unwrap().flow = Flow {
            paused: service,
            ..self.flow.clone()
        };
        let mut tenants = config().tenants;
        tenants.in_flight = self.in_flight;
        let pause = Pause {
            tenants: tenant.iter().map(|n| n.to_string().into()).collect(),
            ..Pause::default()
        };
        let new = Reconfigure {
            catalogue,
            tenants,
            pause,
        };
        self.step(Event::Reconfigured(Box::new(new)));
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        let runs = self.running().into_iter().map(|(uid, ..)| uid.clone());
        let runs: Vec<Uid> = runs.collect();
        let held = runs
            .iter()
            .map(|uid| attempt(&uid.0, self.life(uid).unwrap().attempt()))
            .collect();
        self.step(Event::Heartbeat {
            session: SESSION,
            seq: 1,
            held,
            free: 1,
            draining: false,
        });
        self.step(Event::Wake);
    }

    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::Ask {
                tenant,
                priority,
                key,
            } => self.ask(tenant, priority, key),
            Op::Wait { ms } => self.wait(ms),
            Op::Pause { service, tenant } => self.pause(service, tenant),
            Op::Silence => {
                self.now += Duration::from_secs(40);
                self.step(Event::Wake);
                self.greet();
            }
            Op::Claim { pick } => {
                if let Some(id) = self.pick(pick) {
                    self.step(Event::Claim(SESSION, id));
                }
            }
            Op::Unplaced { pick } => {
                if let Some(id) = self.pick(pick) {
                    self.step(Event::Unplaced(id));
                }
            }
            Op::Gone { pick } => {
                if let Some(id) = self.pick(pick) {
                    self.step(gone(&id.uid));
                }
            }
            Op::End { pick, well } => {
                if let Some(id) = self.pick(pick) {
                    self.end(id, well);
                }
            }
        }
    }

    /// Workers do all there is: what is offered runs, what runs ends well.
    pub(super) fn finish(&mut self) {
        self.pause(false, None);
        for _ in 0..400 {
            let offered: Vec<Uid> = self.engine.offered.iter().map(|(_, u)| u.clone()).collect();
            for uid in offered {
                if let Some(life) = self.life(&uid) {
                    let id = attempt(&uid.0, life.attempt());
                    self.step(Event::Claim(SESSION, id));
                }
            }
            let running: Vec<Uid> = self.running().iter().map(|(u, ..)| u.clone()).collect();
            for uid in running {
                let id = attempt(&uid.0, self.life(&uid).unwrap().attempt());
                self.end(id, true);
                // Whose object is gone just stops.
                assert!(!matches!(
                    self.life(&uid),
                    Some(Life {
                        state: State::Stopping { .. },
                        ..
                    })
                ));
            }
            self.wait(1000);
        }
        let left: Vec<_> = self
            .asked
            .iter()
            .filter_map(|(uid, ..)| self.life(uid))
            .collect();
        assert!(left.is_empty(), "never ran: {left:?}");
    }
}
