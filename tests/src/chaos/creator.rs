//! The callers of a run: they make, cancel and delete requests by the plan, and go on until the API server
//! has taken each step, however often it is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    clock,
    plan::{Act, Family, Plan, Step},
};
use crate::Team;

/// Calls at once: more make kcp no faster.
const AT_A_TIME: usize = 16;
const CALL_LIMIT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);
/// Who of a family is first is told by the whole second in which a request was made, however late that was.
const APART: Duration = Duration::from_millis(1_100);
/// A step that takes longer has a server that will not come back.
const STEP_LIMIT: Duration = Duration::from_secs(300);

/// What was done to one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// The workspace's number.
    pub workspace: usize,
    /// Its name.
    pub name: String,
    /// Its UID; none when it was gone before anybody could read it.
    pub uid: Option<String>,
}

/// The callers at work.
#[derive(Debug)]
pub struct Callers {
    tasks: JoinSet<Result<Vec<Made>>>,
    steps: Arc<AtomicUsize>,
    /// Steps in all.
    pub planned: usize,
}

// === impl Callers ===

impl Callers {
    /// Begins; times of the plan are counted from `start`.
    #[must_use]
    pub fn start(plan: &Plan, teams: &[Team], start: Duration) -> Self {
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        let steps = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for family in plan.families.clone() {
            let caller = Caller {
                team: teams[family.workspace].clone(),
                start,
                turns: turns.clone(),
                steps: steps.clone(),
            };
            tasks.spawn(async move { caller.go_through(&family).await });
        }
        Self {
            tasks,
            steps,
            planned: plan.families.iter().map(|f| f.steps.len()).sum(),
        }
    }

    /// Steps so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }

    /// A reader of the steps so far, for others.
    #[must_use]
    pub fn counter(&self) -> Arc<AtomicUsize> {
        self.steps.clone()
    }

    /// Waits until all is done; returns every request.
    ///
    /// # Errors
    /// When a step was refused for good.
    pub async fn finish(mut self) -> Result<Vec<Made>> {
        let mut all = Vec::new();
        while let Some(family) = self.tasks.join_next().await {
            all.extend(family??);
        }
        Ok(all)
    }
}

/// The caller of one family.
#[derive(Debug)]
struct Caller {
    team: Team,
    start: Duration,
    turns: Arc<Semaphore>,
    steps: Arc<AtomicUsize>,
}

// === impl Caller ===

impl Caller {
    async fn go_through(&self, family: &Family) -> Result<Vec<Made>> {
        let made = |name: &String| Made {
            workspace: family.workspace,
            name: name.clone(),
            uid: None,
        };
        let mut all: Vec<_> = family.asks.iter().map(|ask| made(&ask.name)).collect();
        let mut earliest = Duration::ZERO;
        for step in &family.steps {
            let mut at = self.start + step.at;
            if step.act == Act::Create {
                at = at.max(earliest);
            }
            tokio::time::sleep(at.saturating_sub(clock::now())).await;
            let _turn = self.turns.acquire().await?;
            let uid = self.persist(family, *step).await?;
            if step.act == Act::Create {
                all[step.ask].uid = uid;
                earliest = clock::now() + APART;
            }
            self.steps.fetch_add(1, Ordering::Relaxed);
        }
        Ok(all)
    }

    /// Tries until the server has taken it.
    async fn persist(&self, family: &Family, step: Step) -> Result<Option<String>> {
        let name = &family.asks[step.ask].name;
        let deadline = clock::now() + STEP_LIMIT;
        loop {
            let call = tokio::time::timeout(CALL_LIMIT, self.try_it(family, step)).await;
            let error = match call {
                Ok(Ok(uid)) => return Ok(uid),
                Ok(Err(error)) if is_final(&error) => {
                    return Err(error).with_context(|| format!("{:?} {name}", step.act));
                }
                Ok(Err(error)) => error.into(),
                Err(elapsed) => anyhow::Error::from(elapsed),
            };
            if clock::now() > deadline {
                bail!("{:?} {name}: kcp does not come back: {error:#}", step.act);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_it(&self, family: &Family, step: Step) -> kube::Result<Option<String>> {
        let api = self.team.requests("default");
        let ask = &family.asks[step.ask];
        match step.act {
            Act::Create => {
                let object = self.team.object(&ask.name, ask.service, &ask.spec);
                let object = object.map_err(|error| kube::Error::Service(error.into()))?;
                create(&api, &object, &ask.name).await
            }
            Act::Cancel => {
                let patch = Patch::Merge(json!({"spec": {"cancel": true}}));
                let patched = api.patch(&ask.name, &PatchParams::default(), &patch).await;
                gone_is_fine(patched, &ask.name)
            }
            Act::Delete => {
                let deleted = api.delete(&ask.name, &DeleteParams::default()).await;
                gone_is_fine(deleted, &ask.name)
            }
        }
    }
}

/// One that is there already was made by an earlier try whose answer was lost.
async fn create(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    name: &str,
) -> kube::Result<Option<String>> {
    match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(api
            .get_opt(name)
            .await?
            .and_then(|found| found.metadata.uid)),
        other => Ok(other?.metadata.uid),
    }
}

/// A server that has just come up does not know the resource yet, which is a 404 as well: only one that
/// names the object says that it is gone.
fn gone_is_fine<T>(result: kube::Result<T>, name: &str) -> kube::Result<Option<String>> {
    let named = |status: &kube::core::Status| {
        let details = status.details.as_ref();
        status.code == 404 && details.is_some_and(|details| details.name == name)
    };
    match result {
        Err(kube::Error::Api(status)) if named(&status) => Ok(None),
        other => other.map(|_done| None),
    }
}

/// Whether no other try can help: the server has understood and does not want it.
fn is_final(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 400 || status.code == 422)
}
