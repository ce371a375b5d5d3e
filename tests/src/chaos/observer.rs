//! An eye of our own on every workspace, straight on kcp: it counts what is written to each status, and sees
//! whether an end stays as it is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};
use serde_json::Value;
use tokio::task::JoinSet;

use super::clock;
use crate::{
    Environment, Team, Who,
    team::{is_finished, reason, request_resource},
};

/// What was seen of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// The workspace's number.
    pub workspace: usize,
    /// Its name.
    pub name: String,
    /// Changes of its status: no more than were written, and fewer only where the watch had a gap.
    pub writes: u32,
    /// The newest status.
    pub status: Value,
    /// How it ended, when it had: what must not change any more.
    pub end: Option<Value>,
    /// Ends that were different from the first one.
    pub other_ends: Vec<Value>,
    /// It is gone.
    pub gone: bool,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By UID.
    pub requests: HashMap<String, Sight>,
    /// When something changed last, on the suite's clock.
    pub changed: Duration,
    /// Times that a watch began anew: changes may be missing.
    pub gaps: u32,
}

/// The watches. They end when this is dropped.
#[derive(Debug)]
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

// === impl Observer ===

impl Observer {
    /// Begins to watch.
    ///
    /// # Errors
    /// When kcp's certificate cannot be read.
    pub async fn start(env: &Environment, teams: &[Team]) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        for (number, team) in teams.iter().enumerate() {
            let client = Who::Admin.client(env, &team.path).await?;
            tasks.spawn(follow(client, number, seen.clone()));
        }
        Ok(Self {
            seen,
            _tasks: tasks,
        })
    }

    /// Looks at what was seen.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn follow(client: Client, workspace: usize, seen: Arc<Mutex<Seen>>) {
    let api: Api<DynamicObject> = Api::all_with(client, &request_resource());
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        // The watch goes on by itself; a new list tells what was missed.
        let Ok(event) = event else { continue };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(request) => {
                listed.extend(request.metadata.uid.clone());
                seen.apply(workspace, &request);
            }
            Event::InitDone => seen.complete(workspace, &listed),
            Event::Apply(request) => seen.apply(workspace, &request),
            Event::Delete(request) => {
                seen.apply(workspace, &request);
                seen.delete(request.metadata.uid.as_deref().unwrap_or_default());
            }
        }
    }
}

// === impl Seen ===

impl Seen {
    /// A request is there, with this status.
    pub fn apply(&mut self, workspace: usize, request: &DynamicObject) {
        let uid = request.metadata.uid.clone().unwrap_or_default();
        let sight = self.requests.entry(uid).or_default();
        let status = &request.data["status"];
        sight.workspace = workspace;
        sight.name = request.metadata.name.clone().unwrap_or_default();
        if sight.status == *status {
            return;
        }
        sight.writes += 1;
        sight.status = status.clone();
        self.changed = clock::now();
        if let Some(end) = &sight.end {
            let now = outcome(status);
            if *end != now {
                sight.other_ends.push(now);
            }
        } else if is_finished(status) {
            sight.end = Some(outcome(status));
        }
    }

    fn delete(&mut self, uid: &str) {
        self.changed = clock::now();
        if let Some(sight) = self.requests.get_mut(uid) {
            sight.gone = true;
        }
    }

    /// A list is complete: what it does not have is gone.
    fn complete(&mut self, workspace: usize, listed: &HashSet<String>) {
        self.gaps += 1;
        let missing = self
            .requests
            .iter_mut()
            .filter(|(uid, sight)| sight.workspace == workspace && !listed.contains(*uid));
        for (_, sight) in missing {
            sight.gone = true;
        }
        self.changed = clock::now();
    }
}

/// What an end says that must stay as it is.
fn outcome(status: &Value) -> Value {
    serde_json::json!({
        "phase": status["phase"],
        "reason": reason(status),
        "result": status["result"],
        "failed": status["failed"],
        "lost": status["lost"],
        "finished": is_finished(status),
    })
}

/// The status of everything that is there now, by UID, by a list of our own.
///
/// # Errors
/// When kcp does not answer.
pub async fn list(env: &Environment, teams: &[Team]) -> Result<HashMap<String, Value>> {
    let mut all = HashMap::new();
    for team in teams {
        let client = Who::Admin.client(env, &team.path).await?;
        let api: Api<DynamicObject> = Api::all_with(client, &request_resource());
        let listed = api.list(&ListParams::default()).await;
        let listed = listed.with_context(|| format!("the list of {}", team.path))?;
        let statuses = listed
            .into_iter()
            .filter_map(|mut request| Some((request.metadata.uid?, request.data["status"].take())));
        all.extend(statuses);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(status: &Value) -> DynamicObject {
        let mut object = DynamicObject::new("a", &request_resource());
        object.metadata.uid = Some("u1".into());
        object.data(json!({"status": status}))
    }

    fn ended(phase: &str) -> Value {
        json!({"phase": phase, "conditions": [
            {"type": "Succeeded", "status": "True", "reason": phase},
            {"type": "Finished", "status": "True", "reason": phase},
        ]})
    }

    #[test]
    fn changes_are_counted_and_a_second_end_is_noticed() {
        let mut seen = Seen::default();
        let statuses = [Value::Null, json!({"phase": "Running"}), ended("Succeeded")];
        for status in &statuses {
            seen.apply(3, &request(status));
            seen.apply(3, &request(status));
        }
        let sight = seen.requests["u1"].clone();
        assert_eq!((sight.writes, sight.workspace), (2, 3));
        assert_eq!(sight.end.unwrap()["phase"], "Succeeded");
        assert_eq!(sight.other_ends, Vec::<Value>::new());
        seen.apply(3, &request(&ended("Failed")));
        assert_eq!(seen.requests["u1"].other_ends[0]["phase"], "Failed");
    }

    #[test]
    fn what_a_new_list_does_not_have_is_gone() {
        let mut seen = Seen::default();
        seen.apply(3, &request(&Value::Null));
        seen.complete(4, &HashSet::new());
        assert!(!seen.requests["u1"].gone);
        seen.complete(3, &HashSet::new());
        assert!(seen.requests["u1"].gone);
    }
}
