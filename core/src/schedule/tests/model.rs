//! A second, naive schedule: lists and counting, nothing kept that can be computed.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Aside,
    Line,
    Offered,
    Held,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) ask: Ask,
    pub(super) at: At,
    pub(super) express: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) items: BTreeMap<Uid, Item>,
    pub(super) flow: Flow,
    pub(super) tenants: Tenants,
    pub(super) pause: Pause,
    /// When something of which service started.
    pub(super) starts: Vec<(Arc<str>, Duration)>,
}

// === impl Model ===

impl Model {
    pub(super) fn put(&mut self, uid: &Uid, ask: &Ask, at: At) {
        let (ask, express) = (ask.clone(), false);
        self.items.insert(uid.clone(), Item { ask, at, express });
    }

    pub(super) fn count(&self, wanted: impl Fn(&Item) -> bool) -> u32 {
        number(self.items.values().filter(|item| wanted(item)).count())
    }

    fn is_under_way(item: &Item) -> bool {
        matches!(item.at, At::Offered | At::Held)
    }

    fn is_paused(&self, ask: &Ask) -> bool {
        self.pause.all
            || self.flow.paused
            || self.pause.services.contains(&ask.service)
            || self.pause.tenants.contains(&ask.tenant)
    }

    /// Whether limits of tenant and key leave room for one more like that.
    pub(super) fn has_room(&self, ask: &Ask) -> bool {
        let same = |item: &Item| Self::is_under_way(item) && item.ask.service == ask.service;
        let mine = |item: &Item| item.ask.tenant == ask.tenant;
        let key = |item: &Item| ask.key.is_some() && item.ask.key == ask.key;
        let everywhere = |item: &Item| Self::is_under_way(item) && mine(item);
        below(self.count(|i| same(i) && mine(i)), self.flow.per_tenant)
            && below(self.count(|i| same(i) && key(i)), self.flow.per_key)
            && below(self.count(everywhere), self.tenants.in_flight)
            && !self.is_paused(ask)
    }

    pub(super) fn of(&self, service: &str, at: At) -> u32 {
        self.count(|item| *item.ask.service == *service && item.at == at)
    }

    /// How many of a service may start at that time, as far as its rate goes.
    pub(super) fn tokens(&self, service: &str, now: Duration) -> u32 {
        let Some(rate) = self.flow.rate else {
            return u32::MAX;
        };
        let starts = self.starts.iter().filter(|(of, _)| **of == *service);
        let full = starts.fold(Duration::ZERO, |full, (_, at)| full.max(*at) + rate.every);
        let missing = full
            .saturating_sub(now)
            .as_nanos()
            .div_ceil(rate.every.as_nanos());
        rate.burst - u32::try_from(missing).unwrap().min(rate.burst)
    }

    /// What may be popped: a list of all.
    pub(super) fn candidates(&self, service: &str, now: Duration) -> Vec<Uid> {
        let (offered, held) = (self.of(service, At::Offered), self.of(service, At::Held));
        let full = !below(offered + held, self.flow.concurrency);
        if full || self.tokens(service, now) <= offered {
            return vec![];
        }
        let waits = |item: &Item| item.at == At::Line && *item.ask.service == *service;
        let able = self
            .items
            .iter()
            .filter(|(_, i)| waits(i) && self.has_room(&i.ask));
        able.map(|(uid, _)| uid.clone()).collect()
    }

    pub(super) fn express_out(&self, service: &str) -> u32 {
        self.count(|item| item.express && item.at == At::Offered && *item.ask.service == *service)
    }

    /// In any span of time no more started than the burst and one per interval.
    pub(super) fn check_rate(&self) {
        let Some(rate) = self.flow.rate else { return };
        for service in ["sign", "copy"] {
            let times: Vec<Duration> = self
                .starts
                .iter()
                .filter(|(of, _)| **of == *service)
                .map(|(_, at)| *at)
                .collect();
            for (i, from) in times.iter().enumerate() {
                for (j, to) in times.iter().enumerate().skip(i) {
                    let more = to.saturating_sub(*from).as_nanos() / rate.every.as_nanos();
                    let most = u128::from(rate.burst) + more;
                    assert!((j - i + 1) as u128 <= most, "{times:?} of {rate:?}");
                }
            }
        }
    }
}
