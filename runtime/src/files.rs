//! Hears of changes of files while a process runs.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

use crate::nag::Nag;

/// A change is told when nothing has changed for that long: files are written in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// But it is told after so many of these, however busy the folder is.
const PATIENCE: usize = 10;

/// Tells that something has changed.
#[derive(Debug)]
pub struct FileWatch {
    watcher: RecommendedWatcher,
    bell: mpsc::Receiver<()>,
}

// === impl FileWatch ===

impl FileWatch {
    /// A watch of nothing yet; `concerns` says whether a change of a path can matter.
    ///
    /// # Errors
    /// When the system has no more watches to give.
    pub fn new(concerns: impl Fn(&Path) -> bool + Send + 'static) -> notify::Result<Self> {
        let (ring, bell) = mpsc::channel(1);
        let hear = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| is_change(&event, &concerns)) {
                // One that waits already is enough.
                let _waiting = ring.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(hear)?;
        Ok(Self { watcher, bell })
    }

    /// Watches these folders, anew where it does already: a folder that was replaced is another one.
    pub fn arm(&mut self, folders: &BTreeSet<PathBuf>, nag: &mut Nag) {
        for folder in folders {
            let _was_not_watched = self.watcher.unwatch(folder);
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                nag.trouble(&format!(
                    "changes in {} cannot be seen: {error}",
                    folder.display()
                ));
            }
        }
    }

    /// Waits for a change, and until it is whole.
    pub async fn changed(&mut self) {
        // Its other end lives as long as the watcher does.
        if self.bell.recv().await.is_none() {
            return std::future::pending().await;
        }
        for _ in 0..PATIENCE {
            if tokio::time::timeout(QUIET, self.bell.recv()).await.is_err() {
                break;
            }
        }
    }
}

/// The folders in which something tells of a change of a file. Where it is a link into a folder that is
/// exchanged as a whole, as Kubernetes does it, the exchange is seen beside it.
#[must_use]
pub fn folders_of(file: &Path) -> [PathBuf; 2] {
    let real = file.canonicalize();
    let real = real.as_deref().unwrap_or(file);
    [file, real].map(|file| file.parent().unwrap_or(file).to_owned())
}

/// Whether a change of that path may be one of the file.
#[must_use]
pub fn may_be(path: &Path, file: &Path) -> bool {
    let name = path.file_name();
    let exchanged = name.is_some_and(|name| name.to_string_lossy().starts_with("..data"));
    exchanged || name == file.file_name()
}

/// Reading is no change, and there is much of it.
fn is_change(event: &notify::Event, concerns: impl Fn(&Path) -> bool) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let changed = !event.kind.is_access() || event.kind == written;
    changed && (event.paths.is_empty() || event.paths.iter().any(|path| concerns(path)))
}

#[cfg(test)]
mod tests {
    use notify::event::ModifyKind;

    use super::*;

    #[test]
    fn reading_is_no_change_and_other_files_do_not_matter() {
        let modify = EventKind::Modify(ModifyKind::Any);
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        for (kind, path, change) in [
            (modify, "/etc/isc/worker.yaml", true),
            (close, "/etc/isc/worker.yaml", true),
            (open, "/etc/isc/worker.yaml", false),
            (modify, "/etc/isc/..data", true),
            (modify, "/etc/isc/..data_tmp", true),
            (modify, "/etc/isc/other.yaml", false),
        ] {
            let event = notify::Event::new(kind).add_path(path.into());
            let file = Path::new("/etc/isc/worker.yaml");
            let seen = is_change(&event, |path| may_be(path, file));
            assert_eq!(seen, change, "{path}");
        }
    }
}
