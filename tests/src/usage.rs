//! What processes need: memory and processor time, as the kernel counts them.

use std::path::Path;

use anyhow::Result;

use crate::process;

/// The unit of times in /proc, the same on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// utime and stime,
const OWN: usize = 2;
/// and cutime and cstime: of children that were waited for.
const WITH_CHILDREN: usize = 4;

/// Memory and processor time of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Resident memory, MB (2^20 bytes).
    pub resident_mb: f64,
    /// The most that it ever was, MB.
    pub peak_mb: f64,
    /// Processor time since its start, seconds.
    pub cpu_seconds: f64,
}

/// Memory and processor time of any process.
///
/// # Errors
/// When there is no such process.
pub fn usage(pid: u32) -> Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let megabytes = |field: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(field));
        let text = line.unwrap_or("0").trim().trim_end_matches(" kB");
        text.parse::<f64>().unwrap_or(0.0) / 1024.0
    };
    Ok(Usage {
        resident_mb: megabytes("VmRSS:"),
        peak_mb: megabytes("VmHWM:"),
        cpu_seconds: seconds(&stat, OWN),
    })
}

/// Processor time that all processes used whose `HOME` is inside of that folder, and what they had waited for,
/// seconds. A process that has ended counts for the one that waited for it.
#[must_use]
pub fn cpu_within(dir: &Path) -> f64 {
    let stats = process::within(dir).into_iter().map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        seconds(&stat.unwrap_or_default(), WITH_CHILDREN)
    });
    stats.sum()
}

/// The sum of so many times of `/proc/<pid>/stat`, utime and stime first, seconds.
fn seconds(stat: &str, times: usize) -> f64 {
    // After the name, which may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(times);
    ticks.filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}
