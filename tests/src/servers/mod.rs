//! The two servers that everything else needs, started for us alone on free loopback ports.

mod kcp;
mod rabbitmq;

pub use kcp::Kcp;
pub use rabbitmq::RabbitMq;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::sys::statvfs::statvfs;
use rand::RngExt as _;

/// What the data of both servers, logs and homes of a run of all tests need, bytes.
const ROOM: u64 = 2 << 30;

/// Fails where the servers would run out of disk: RabbitMQ then blocks its publishers and etcd ends, which looks like
/// a hundred other faults.
///
/// # Errors
/// When there is less room than a run of all tests needs.
pub fn check_room(dir: &Path) -> Result<()> {
    let disk = statvfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    enough(dir, disk.blocks_available() * disk.fragment_size())
}

fn enough(dir: &Path, free: u64) -> Result<()> {
    ensure!(
        free >= ROOM,
        "only {} MB are free in {}, and kcp, RabbitMQ and their tests need {} MB: make room (`cargo clean` frees what \
         older builds left) or set TMPDIR to a larger disk",
        free >> 20,
        dir.display(),
        ROOM >> 20
    );
    Ok(())
}

/// A random text that passwords and tokens of one run are made of.
#[must_use]
pub fn secret() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_remedy() {
        let dir = Path::new("/some/disk");
        assert!(enough(dir, ROOM).is_ok());
        let told = enough(dir, 7 << 20).unwrap_err().to_string();
        assert!(
            told.starts_with("only 7 MB are free in /some/disk") && told.contains("TMPDIR"),
            "{told}"
        );
        assert!(check_room(&std::env::temp_dir()).is_ok());
    }
}
