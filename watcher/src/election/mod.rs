//! The election of the one watcher that serves, where several run: a Lease in the private cluster.
//!
//! Our own, since a lead here is more than a flag: it counts from when a renewal was *sent*, on a clock that
//! goes on while the machine sleeps; it is never taken up again once it was over (`lead`); and the word that
//! all is written, of a leader that ended clean, is taken and cleared by the update that wins (`rival`).

mod lead;
mod rival;
mod seal;

use std::{sync::Arc, time::Duration};

use isc_runtime::{admin::Part, clock, nag::Nag};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use tokio::sync::oneshot;

use crate::{
    access::{Access, ReadError},
    check::Report,
    config::ElectionConfig,
    kcp,
    metrics::Metrics,
};
pub(crate) use lead::Lead;
use rival::Rival;
use seal::{Seal, Word};

/// That part of the lease the leader does not use: clocks of two machines run at nearly the same rate.
const MARGIN: u32 = 10;

/// How long a candidate that is told to stop may take for it.
const WITHDRAWAL: Duration = Duration::from_secs(1);

/// Why there can be no election.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// The private cluster's kubeconfig cannot be used.
    #[error("`election.kubeconfig` ({path}) cannot be used: {source}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// The cause.
        source: ReadError,
    },
    /// There is no cluster around this process.
    #[error(
        "`election` needs the API server of the private cluster: this process runs in no pod ({0}); \
         set `election.kubeconfig`"
    )]
    NoCluster(String),
    /// A client cannot be built.
    #[error("no client can be built for the election: {0}; check the certificates and the user")]
    Client(#[source] kube::Error),
}

/// A candidate.
pub(crate) struct Election {
    seal: Seal,
    retry: Duration,
    lead: Lead,
    part: Part,
}

/// What the winner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Won {
    /// The leader before this one ended clean: everything that it granted is written.
    pub(crate) handed_over: bool,
}

/// What a candidate has seen.
#[derive(Debug, Default)]
struct Campaign {
    rival: Rival,
    /// The word that the Lease had when this process tried to win it.
    handed_over: bool,
}

/// The leader's way out.
pub(crate) struct Seat {
    leave: oneshot::Sender<Leaving>,
}

/// A leader leaves its seat.
pub(crate) struct Leaving {
    clean: bool,
    done: oneshot::Sender<()>,
}

/// Why a leader must end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("{0} leads now; this watcher ends, and starts anew from a list of all requests")]
    Other(String),
    #[error(
        "the leader's Lease was not renewed in time ({0}); this watcher ends, and starts anew from a \
         list of all requests"
    )]
    Time(String),
}

/// Why a renewal did not work.
enum Trouble {
    NotNow(String),
    Lost(Lost),
}

// === impl Election ===

impl Election {
    /// A candidate of that instance.
    ///
    /// # Errors
    /// See [`ElectionError`].
    pub(crate) fn new(
        config: &ElectionConfig,
        instance: &str,
        (access, lead): (Access, Lead),
        part: Part,
    ) -> Result<Self, ElectionError> {
        let (client, namespace) = place(config, &access)?;
        let lease = Duration::from_secs(config.lease_seconds);
        Ok(Self {
            seal: Seal::new(Api::namespaced(client, &namespace), instance, lease),
            retry: Duration::from_millis(config.retry_ms),
            lead,
            part,
        })
    }

    /// Waits until this process leads.
    pub(crate) async fn win(&self) -> Won {
        let mut campaign = Campaign::default();
        let mut nag = Nag::new("the private cluster");
        loop {
            match self.try_win(&mut campaign).await {
                Ok(Some(won)) => {
                    nag.well();
                    self.part.ready();
                    let (identity, handed_over) = (&self.seal.identity, won.handed_over);
                    tracing::info!(identity, handed_over, "this watcher leads");
                    return won;
                }
                Ok(None) => {
                    nag.well();
                    let holder = campaign.rival.holder().unwrap_or("nobody yet");
                    self.part.ready_but(&format!("standing by: {holder} leads"));
                }
                Err(error) => {
                    let text = self.seal.explain(&error);
                    self.part.not_ready(&text);
                    nag.trouble(&text);
                }
            }
            tokio::time::sleep(self.retry).await;
        }
    }

    async fn try_win(&self, campaign: &mut Campaign) -> kube::Result<Option<Won>> {
        let found = self.seal.read().await?;
        let rival = &mut campaign.rival;
        rival.see(found.as_ref(), self.seal.lease, clock::now());
        // A win whose answer was lost: nobody else has this name, and it has not led yet.
        let is_mine = self.is_mine(found.as_ref());
        if !is_mine && !rival.is_over(clock::now()) {
            return Ok(None);
        }
        if !is_mine {
            let told = |lease: &Lease| rival::is_handed_over(lease, Timestamp::now());
            campaign.handed_over = found.as_ref().is_some_and(told);
        }
        let handed_over = campaign.handed_over;
        let sent = clock::now();
        match self.seal.write(found, Word::Mine).await {
            Ok(()) => {
                self.lead.win(self.until(sent));
                Ok((!self.lead.is_over()).then_some(Won { handed_over }))
            }
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives back what this candidate may have won without hearing so.
    pub(crate) async fn withdraw(&self) {
        let release = self.try_release(false);
        let _late = tokio::time::timeout(WITHDRAWAL, release).await;
    }

    /// Renews until the lead is lost, or until the leader leaves its seat.
    ///
    /// # Errors
    /// See [`Lost`]: the process must end.
    pub(crate) async fn keep(self, mut leave: oneshot::Receiver<Leaving>) -> Result<(), Lost> {
        let mut nag = Nag::new("the private cluster");
        loop {
            let left = self.lead.left().unwrap_or(self.seal.lease);
            tokio::select! {
                biased;
                asked = &mut leave => {
                    let ended = |_closed| Lost::Time("its engine has ended".into());
                    let leaving = asked.map_err(ended)?;
                    self.release(leaving.clean, left).await;
                    // Fails when nobody waits for it any more.
                    let _gone = leaving.done.send(());
                    return Ok(());
                }
                () = tokio::time::sleep(self.retry.min(left)) => {}
            }
            // It may have been a long sleep.
            let left = self.lead.left().unwrap_or(self.seal.lease);
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(())) => {
                    nag.well();
                    self.part.ready();
                }
                Ok(Err(Trouble::NotNow(text))) if !self.lead.is_over() => {
                    nag.trouble(&text);
                    self.part.ready_but(&format!("its lead may end: {text}"));
                }
                Ok(Err(Trouble::NotNow(text))) => return Err(Lost::Time(text)),
                Ok(Err(Trouble::Lost(lost))) => return Err(lost),
                Err(_elapsed) => return Err(Lost::Time("no answer".into())),
            }
        }
    }

    async fn renew(&self) -> Result<(), Trouble> {
        let not_now = |error: kube::Error| Trouble::NotNow(self.seal.explain(&error));
        let found = self.seal.read().await.map_err(not_now)?;
        let holder = found.as_ref().and_then(rival::holder);
        if let Some(other) = holder.filter(|holder| *holder != self.seal.identity) {
            return Err(Trouble::Lost(Lost::Other(other.to_owned())));
        }
        let still = || Trouble::Lost(Lost::Time("this process stood still".into()));
        if self.lead.is_over() {
            return Err(still());
        }
        let sent = clock::now();
        self.seal.write(found, Word::Mine).await.map_err(not_now)?;
        if self.lead.extend(self.until(sent)) {
            return Ok(());
        }
        // The others need not wait for what was written too late.
        self.release(false, self.seal.lease / 3).await;
        Err(still())
    }

    /// Gives the Lease back, so that the next one need not wait for its end.
    async fn release(&self, clean: bool, limit: Duration) {
        let why = match tokio::time::timeout(limit, self.try_release(clean)).await {
            Ok(Ok(())) => return tracing::info!(clean, "the lead is given back"),
            Ok(Err(error)) => self.seal.explain(&error),
            Err(_elapsed) => "no answer".into(),
        };
        tracing::warn!("the next watcher waits for the end of this lead: {why}");
    }

    async fn try_release(&self, clean: bool) -> kube::Result<()> {
        loop {
            let found = self.seal.read().await?;
            if !self.is_mine(found.as_ref()) {
                return Ok(());
            }
            match self.seal.write(found, Word::Free { clean }).await {
                // A renewal that was given up on has landed after all.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                written => return written,
            }
        }
    }

    fn is_mine(&self, found: Option<&Lease>) -> bool {
        found.and_then(rival::holder) == Some(self.seal.identity.as_str())
    }

    /// A lead counts from when its renewal was sent, so it ends here before it ends for anybody else.
    fn until(&self, sent: Duration) -> Duration {
        let lease = self.seal.lease;
        sent + lease.saturating_sub(lease / MARGIN)
    }
}

// === impl Seat ===

impl Seat {
    /// A seat, and what [`Election::keep`] hears of it.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Leaving>) {
        let (leave, left) = oneshot::channel();
        (Self { leave }, left)
    }

    /// Gives the lead back, with the word that all is written when it is, within `limit`.
    pub(crate) async fn leave(self, clean: bool, limit: Duration) {
        let (done, gone) = oneshot::channel();
        // Fails when the lead is lost already.
        if self.leave.send(Leaving { clean, done }).is_ok() {
            let _late = tokio::time::timeout(limit, gone).await;
        }
    }
}

/// Checks what can be checked without a connection.
///
/// # Errors
/// See [`ElectionError`].
pub(crate) fn check(config: &ElectionConfig, metrics: Arc<Metrics>) -> Result<(), ElectionError> {
    if config.kubeconfig.is_some() {
        access(config, metrics)?;
    }
    Ok(())
}

/// Looks for what an election needs in the private cluster.
///
/// # Errors
/// See [`ElectionError`].
pub(crate) async fn probe(
    config: &ElectionConfig,
    instance: &str,
    metrics: Arc<Metrics>,
    report: &mut Report,
) -> Result<(), ElectionError> {
    let (client, namespace) = place(config, &access(config, metrics)?)?;
    let lease = Duration::from_secs(config.lease_seconds);
    let seal = Seal::new(Api::namespaced(client.clone(), &namespace), instance, lease);
    let name = &seal.name;
    match seal.read().await {
        Ok(_) => report.fine(format!(
            "election: the Lease {namespace}/{name} can be read"
        )),
        Err(error) => report.missing(format!("election: {}", seal.explain(&error))),
    }
    kcp::probe_election(&client, &namespace, name, report).await;
    Ok(())
}

/// Where the Lease is.
fn place(config: &ElectionConfig, access: &Access) -> Result<(Client, String), ElectionError> {
    let namespace = config.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| access.namespace());
    // Nothing is tried twice: each try has its time, and a 409 must be the answer to the first one.
    let client = access.client(access.url()).map_err(ElectionError::Client)?;
    Ok((client, namespace))
}

/// The way to the private cluster.
///
/// # Errors
/// See [`ElectionError`].
pub(crate) fn access(
    config: &ElectionConfig,
    metrics: Arc<Metrics>,
) -> Result<Access, ElectionError> {
    let Some(path) = &config.kubeconfig else {
        let inside = Config::incluster();
        let inside = inside.map_err(|error| ElectionError::NoCluster(error.to_string()))?;
        return Ok(Access::fixed(inside, metrics));
    };
    let access = Access::private(path.clone(), metrics);
    access.map_err(|source| ElectionError::Kubeconfig {
        path: path.display().to_string(),
        source,
    })
}
