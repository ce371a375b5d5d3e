//! What bindings tell, and how long it is waited for.

use serde_json::json;

use super::*;

const AT: &str = "https://kcp";

fn bindings() -> Bindings {
    let paths = Paths::new();
    paths.start(&AT.into());
    Bindings {
        endpoint: AT.into(),
        paths,
        listed: Bound::default(),
    }
}

fn binding(cluster: &str, path: &str) -> Binding {
    let annotations = json!({CLUSTER: cluster, PATH: path});
    serde_json::from_value(json!({"metadata": {"name": "b", "annotations": annotations}})).unwrap()
}

async fn hear(bindings: &mut Bindings, events: Vec<Event<Binding>>) {
    let mut nag = Nag::new("bindings");
    for event in events {
        assert!(bindings.hear(event, &mut nag).await);
    }
}

#[tokio::test(start_paused = true)]
async fn bindings_tell_paths_and_a_list_replaces_what_was_known() {
    let mut bindings = bindings();
    let paths = bindings.paths.clone();
    let listed = [
        Event::Init,
        Event::InitApply(binding("1a", "root:a")),
        Event::InitDone,
    ];
    hear(&mut bindings, listed.into()).await;
    hear(&mut bindings, vec![Event::Apply(binding("1b", "root:b"))]).await;
    assert_eq!(paths.path("1a").as_deref(), Some("root:a"));
    assert_eq!(paths.path("1b").as_deref(), Some("root:b"));
    hear(&mut bindings, vec![Event::Init, Event::InitDone]).await;
    assert_eq!(paths.path("1a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_path_of_its_workspace_but_not_for_long_and_once() {
    let mut bindings = bindings();
    let paths = bindings.paths.clone();
    hear(&mut bindings, vec![Event::Init, Event::InitDone]).await;
    let start = tokio::time::Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        hear(&mut bindings, vec![Event::Apply(binding("1a", "root:a"))]).await;
    };
    tokio::join!(paths.known(AT, "1a"), late);
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    paths.known(AT, "1z").await;
    assert_eq!(start.elapsed(), Duration::from_millis(300) + ONE);
    paths.known(AT, "1z").await;
    assert_eq!(start.elapsed(), Duration::from_millis(300) + ONE, "once");
}

#[tokio::test(start_paused = true)]
async fn bindings_that_cannot_be_listed_hold_up_nothing() {
    let mut bindings = bindings();
    let paths = bindings.paths.clone();
    let start = tokio::time::Instant::now();
    paths.listed(AT).await;
    assert_eq!(start.elapsed(), LIST, "for a while");
    let error = watcher::Error::NoResourceVersion;
    bindings.trouble(&error, "403 Forbidden".into()).await;
    paths.known(AT, "1a").await;
    assert_eq!(start.elapsed(), LIST, "nobody waits for one of them");
    assert_eq!(paths.path("1a"), None);
    paths.listed("https://another").await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_comes_late_is_told() {
    let mut bindings = bindings();
    let paths = bindings.paths.clone();
    let wanted = ["1y", "1z"].map(str::to_owned).into();
    let late = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        hear(&mut bindings, vec![Event::Apply(binding("1a", "root:a"))]).await;
        hear(&mut bindings, vec![Event::Apply(binding("1z", "root:z"))]).await;
    };
    let (found, ()) = tokio::join!(paths.one_of(&wanted), late);
    assert_eq!(found, "1z");
    assert_eq!(paths.one_of(&wanted).await, "1z", "known already");
}
