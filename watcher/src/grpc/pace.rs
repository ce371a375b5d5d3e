//! How fast a stranger may talk. Nothing here is felt by a worker that follows the protocol.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Streams that one address may open at once, and then per second. Each costs memory for as long as a
/// lease, since a worker that greeted may run something.
const STREAMS: Rate = Rate {
    at_once: 256.0,
    per_second: 32.0,
};
/// Heartbeats that one stream may send at once, and then per second: they overtake everything else.
const BEATS: Rate = Rate {
    at_once: 64.0,
    per_second: 16.0,
};
/// So many addresses are remembered before those that were quiet are dropped.
const ADDRESSES: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once: f64,
    per_second: f64,
}

/// A number of tokens that fills up again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Who opened streams of late.
#[derive(Debug, Default)]
pub(super) struct Door {
    addresses: Mutex<HashMap<IpAddr, Bucket>>,
}

/// The heartbeats of one stream.
#[derive(Debug)]
pub(super) struct Beats(Bucket);

// === impl Door ===

impl Door {
    /// Whether that address may open one more stream.
    pub(super) fn lets_in(&self, from: IpAddr, now: Instant) -> bool {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= ADDRESSES {
            addresses.retain(|_, bucket| !bucket.is_full(STREAMS, now));
        }
        let bucket = addresses.entry(from);
        bucket
            .or_insert_with(|| Bucket::new(STREAMS, now))
            .take(STREAMS, now)
            .is_ok()
    }
}

// === impl Beats ===

impl Beats {
    pub(super) fn new(now: Instant) -> Self {
        Self(Bucket::new(BEATS, now))
    }

    /// One more; how long the stream is not read then.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Duration> {
        self.0.take(BEATS, now).err()
    }
}

// === impl Bucket ===

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.at_once,
            at: now,
        }
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.at_once);
        self.at = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64(
                (1.0 - self.tokens) / rate.per_second,
            ));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens + passed * rate.per_second >= rate.at_once
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_address_that_floods_keeps_no_other_out() {
        let (door, now) = (Door::default(), Instant::now());
        let [flooder, other] = [1, 2].map(|last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
        let opened = (0..1000).filter(|_| door.lets_in(flooder, now)).count();
        assert_eq!(opened, 256);
        assert!(door.lets_in(other, now));
        assert!(door.lets_in(flooder, now + Duration::from_secs(1)));
    }

    #[test]
    fn the_addresses_of_a_crowd_are_forgotten_again() {
        let (door, now) = (Door::default(), Instant::now());
        for number in 0..20_000_u32 {
            let later = now + Duration::from_secs(u64::from(number / 512));
            assert!(door.lets_in(Ipv4Addr::from(number).into(), later));
        }
        assert!(door.addresses.lock().unwrap().len() <= ADDRESSES);
    }

    #[test]
    fn heartbeats_of_the_protocol_never_pause_a_stream_and_a_flood_does() {
        let now = Instant::now();
        let mut beats = Beats::new(now);
        for second in 0..1000 {
            assert_eq!(beats.pause(now + Duration::from_secs(second)), None);
        }
        let later = now + Duration::from_secs(1000);
        let pauses = (0..1000).filter_map(|_| beats.pause(later));
        assert!(pauses.count() > 900);
    }
}
