//! A job's directory: `work/` is the program's, the files beside it are the contract's.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

/// Made for one job, readable by this user only, removed when dropped.
#[derive(Debug)]
pub(super) struct JobDir {
    root: TempDir,
}

// === impl JobDir ===

impl JobDir {
    /// Blocks: call it off the runtime.
    pub(super) fn create(parent: Option<&Path>, params_json: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("isc-job-");
        let root = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let dir = Self { root };
        fs::DirBuilder::new().mode(0o700).create(dir.work())?;
        fs::write(dir.params(), params_json)?;
        mkfifo(&dir.progress(), Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(dir)
    }

    /// A name that no other job has; part of the paths that its processes find in their environment.
    pub(super) fn mark(&self) -> String {
        let name = self.root.path().file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The program's working directory, empty at first.
    pub(super) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(super) fn params(&self) -> PathBuf {
        self.root.path().join("params.json")
    }

    pub(super) fn result(&self) -> PathBuf {
        self.root.path().join("result.json")
    }

    pub(super) fn progress(&self) -> PathBuf {
        self.root.path().join("progress")
    }

    /// Removes it off the runtime; a job may have left a large tree behind.
    pub(super) async fn remove(self) {
        let path = self.root.path().to_owned();
        let removed = tokio::task::spawn_blocking(move || self.root.close()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(
                "cannot remove the job's directory {}: {error}",
                path.display()
            );
        }
    }
}
