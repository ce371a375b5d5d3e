//! Where lines go: a file, opened anew when it was rotated away, or the standard output.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use crate::config::AuditConfig;

/// Of a file that is made: for the watcher, and a group that may read.
const MODE: u32 = 0o640;

/// Why there can be no audit.
#[derive(Debug, thiserror::Error)]
#[error(
    "no audit lines can be written to {file} (`audit.file`): {source}; name a file in a folder that this user \
     can write to"
)]
pub struct AuditError {
    file: PathBuf,
    source: io::Error,
}

/// Takes lines.
#[derive(Debug)]
pub(super) struct Sink {
    to: Target,
    open: Option<File>,
    /// What was written last is not a whole line.
    torn: bool,
}

#[derive(Debug)]
enum Target {
    File(PathBuf),
    Stdout,
}

/// Whether lines can be written there; nothing is made for it that stays.
///
/// # Errors
/// When not.
pub(crate) fn check(config: Option<&AuditConfig>) -> Result<(), AuditError> {
    let Some(file) = config.and_then(|config| config.file.as_deref()) else {
        return Ok(());
    };
    let result = match append(file, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => try_beside(file),
        opened => opened.map(drop),
    };
    result.map_err(|source| AuditError {
        file: file.to_owned(),
        source,
    })
}

// === impl Sink ===

impl Sink {
    /// Nothing is opened yet.
    pub(super) fn new(config: &AuditConfig) -> Self {
        let to = config.file.clone().map_or(Target::Stdout, Target::File);
        Self {
            to,
            open: None,
            torn: false,
        }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        match &self.to {
            Target::File(file) => file.display().to_string(),
            Target::Stdout => "the standard output".into(),
        }
    }

    /// Appends whole lines. Those that are there in the end are taken out, also when it fails.
    pub(super) fn append(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        let mut written = 0;
        let result = self.write(lines, &mut written);
        let whole = lines[..written].iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        lines.drain(..whole);
        if result.is_err() {
            self.torn |= written > whole;
            self.open = None;
        }
        result
    }

    fn write(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        let torn = self.torn;
        let mut file = self.opened()?;
        if torn || ends_within_a_line(file) {
            file.write_all(b"\n")?;
        }
        while *written < lines.len() {
            match file.write(&lines[*written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => *written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.torn = false;
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&File> {
        if let Target::File(path) = &self.to
            && self.open.as_ref().is_some_and(|file| !is_at(file, path))
        {
            self.open = None;
        }
        if self.open.is_none() {
            self.open = Some(match &self.to {
                Target::File(path) => append(path, true)?,
                Target::Stdout => io::stdout().as_fd().try_clone_to_owned()?.into(),
            });
        }
        Ok(self.open.as_ref().expect("it was opened above"))
    }
}

/// Opens a file for appending. A link in its place is not followed, and what would let a writer wait for a
/// reader is none.
fn append(path: &Path, create: bool) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .append(true)
        .read(true)
        .create(create)
        .mode(MODE)
        .custom_flags(flags.bits())
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_char_device() {
        return Ok(file);
    }
    Err(io::Error::other("it is not a file"))
}

/// Whether a file could be made there.
fn try_beside(file: &Path) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let trial = file.with_file_name(format!(".{name}.{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&trial)?;
    fs::remove_file(trial)
}

/// Whether an open file is still the one of that name.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |found: fs::Metadata| (found.dev(), found.ino());
    let named = fs::symlink_metadata(path).map(place);
    file.metadata().map(place).ok() == named.ok()
}

/// What was here before ended in the middle of a line.
fn ends_within_a_line(file: &File) -> bool {
    let bytes = file.metadata().map_or(0, |found| found.len());
    let mut last = [b'\n'];
    let read = bytes > 0 && file.read_at(&mut last, bytes - 1).is_ok();
    read && last != [b'\n']
}

#[cfg(test)]
mod tests;
