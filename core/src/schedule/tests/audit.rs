//! Recounts the books.

use super::*;

impl Schedule {
    pub(crate) fn is_offered(&self, uid: &Uid) -> bool {
        let place = self.requests.get(uid).map(|waiter| waiter.place);
        place.is_some_and(Place::is_offered)
    }

    /// Every count and every list is what the places of the requests say.
    pub(crate) fn audit(&self) {
        let count = |wanted: &dyn Fn(&Waiter, &Queue) -> bool| {
            let all = self.requests.values();
            let found = all.filter(|waiter| wanted(waiter, &self.queues[waiter.queue as usize]));
            number(found.count())
        };
        let waits = |w: &Waiter| matches!(w.place, Place::Aside | Place::InLine | Place::Parked);
        let lined = |w: &Waiter| matches!(w.place, Place::InLine | Place::Parked);
        for (name, service) in &self.services {
            let of = |q: &Queue| q.service == *name;
            assert_eq!(service.waiting, count(&|w, q| of(q) && waits(w)), "{name}");
            let offered = count(&|w, q| of(q) && w.place.is_offered());
            assert_eq!(service.offered, offered, "{name}");
            let express = count(&|w, q| of(q) && w.place == Place::Express);
            assert_eq!(service.express.out, express, "{name}");
            assert_eq!(
                service.held,
                count(&|w, q| of(q) && w.place == Place::Held),
                "{name}"
            );
            assert!(
                service.named || !service.queues.is_empty(),
                "{name} is kept for nothing"
            );
        }
        for (name, tenant) in &self.tenants {
            let of = |q: &Queue| q.tenant == *name;
            assert_eq!(tenant.waiting, count(&|w, q| of(q) && waits(w)), "{name}");
            assert_eq!(
                tenant.in_flight,
                count(&|w, q| of(q) && !waits(w)),
                "{name}"
            );
            assert!(!tenant.queues.is_empty(), "{name} is kept for nothing");
        }
        for (no, queue) in &self.queues {
            let of = |w: &Waiter| w.queue as usize == no;
            assert_eq!(queue.members, count(&|w, _| of(w)));
            assert_eq!(queue.lined, count(&|w, _| of(w) && lined(w)));
            assert_eq!(queue.in_flight, count(&|w, _| of(w) && !waits(w)));
            assert!(queue.members > 0, "an empty queue is kept");
            self.audit_queue(number(no), queue);
        }
    }

    fn audit_queue(&self, no: u32, queue: &Queue) {
        let (service, tenant) = (&self.services[&queue.service], &self.tenants[&queue.tenant]);
        let ready = queue.next().is_some()
            && below(queue.in_flight, service.flow.per_tenant)
            && below(tenant.in_flight, self.limits.in_flight)
            && !self.pause.tenants.contains(&queue.tenant);
        assert_eq!(queue.listed.is_some(), ready, "{queue:?}");
        assert_eq!(
            service.ready.contains(&(queue.turn, no)),
            ready,
            "{queue:?}"
        );
    }
}
