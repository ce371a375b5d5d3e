//! Follows the filter in a configuration file, and nothing else of it.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::{Path, PathBuf},
};

use super::{LogConfig, VARIABLE, refilter};
use crate::{
    config::{self, ConfigError},
    files::{self, FileWatch},
    nag::Nag,
};
use serde::Deserialize;

/// Whoever else reads the file looks at the rest.
#[derive(Deserialize)]
struct Section {
    #[serde(default)]
    log: LogConfig,
}

/// Changes the logger's filter whenever `log.filter` of the file changes, for ever. `filter` is the one in force.
/// A wrong one is told, and the one before stays. Without a file there is nothing to follow.
pub async fn follow_filter(file: Option<PathBuf>, mut filter: String) -> Infallible {
    if let Some(file) = file {
        let file = std::path::absolute(&file).unwrap_or(file);
        follow(&file, &mut filter).await;
    }
    std::future::pending().await
}

async fn follow(file: &Path, filter: &mut String) {
    let named = file.to_owned();
    let mut watch = match FileWatch::new(move |path| files::may_be(path, &named)) {
        Ok(watch) => watch,
        Err(error) => {
            return tracing::warn!(
                "{} cannot be watched: {error}; another `log.filter` takes effect at the next start",
                file.display()
            );
        }
    };
    let mut nag = Nag::new("a usable `log.filter`");
    loop {
        // With an eye on them first: what changes while it is read is seen.
        let folders = BTreeSet::from(files::folders_of(file));
        watch.arm(&folders, &mut nag);
        let named = file.to_owned();
        // A disk that hangs holds up nothing else.
        let reading = tokio::task::spawn_blocking(move || config::load(Some(&named)));
        if let Ok(read) = reading.await {
            refresh(read, filter, &mut nag);
        }
        if folders == BTreeSet::from(files::folders_of(file)) {
            watch.changed().await;
        }
    }
}

fn refresh(read: Result<Section, ConfigError>, filter: &mut String, nag: &mut Nag) {
    let wanted = match read {
        Ok(section) => section.log.filter,
        Err(error) => {
            nag.trouble(&format!("{error}; `{filter}` stays in force"));
            return;
        }
    };
    if wanted == *filter {
        return nag.well();
    }
    if std::env::var_os(VARIABLE).is_some() {
        tracing::warn!("`log.filter` is `{wanted}` now, but {VARIABLE} is set and overrides it");
    } else if let Err(error) = refilter(&wanted) {
        nag.trouble(&format!("{error}; `{filter}` stays in force"));
        return;
    } else {
        tracing::info!("`log.filter` is `{wanted}` now, before it was `{filter}`");
    }
    nag.well();
    *filter = wanted;
}
