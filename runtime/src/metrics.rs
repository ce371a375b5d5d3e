//! What every process of ours tells of itself: its version, and what it takes from the machine.

#[cfg(feature = "test-support")]
pub mod table;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use procfs::{
    ProcResult, WithCurrentSystemInfo as _,
    process::{LimitValue, Process},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

/// Registers what does not depend on what a process is for. Call it once, at the start.
pub fn register(registry: &mut Registry) {
    let labels = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("isc_build", "The version that runs", Info::new(labels));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let process = registry.sub_registry_with_prefix("process");
    process.register_with_unit(
        "start_time",
        "When the process started, Unix time",
        Unit::Seconds,
        ConstGauge::new(now.unwrap_or_default().as_secs_f64()),
    );
    process.register_collector(Box::new(FromProc));
    registry.register_collector(Box::new(Tasks));
}

/// Counts the tasks of the runtime that a scrape is answered in.
#[derive(Debug)]
struct Tasks;

/// Reads `/proc` at each scrape. What cannot be read is left out.
#[derive(Debug)]
struct FromProc;

/// What is read.
struct Taken {
    processor: Duration,
    memory: u64,
    files: u64,
    /// None is no limit.
    files_max: Option<u64>,
}

// === impl Taken ===

impl Taken {
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = stat.utime + stat.stime;
        let per_second = procfs::ticks_per_second().max(1);
        Ok(Self {
            processor: Duration::from_millis(ticks * 1000 / per_second),
            memory: stat.rss_bytes().get(),
            files: process.fd_count()? as u64,
            files_max: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(max) => Some(max),
                LimitValue::Unlimited => None,
            },
        })
    }
}

// === impl FromProc ===

impl Collector for FromProc {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(taken) = Taken::read() else {
            return Ok(());
        };
        let processor = ConstCounter::new(taken.processor.as_secs_f64());
        let help = "Processor time, user and system.";
        write(&mut to, ("cpu", help, Some(&Unit::Seconds)), &processor)?;
        let memory = gauge(taken.memory);
        let help = "Memory that is resident.";
        write(
            &mut to,
            ("resident_memory", help, Some(&Unit::Bytes)),
            &memory,
        )?;
        let help = "Open file descriptors, sockets among them.";
        write(&mut to, ("open_fds", help, None), &gauge(taken.files))?;
        if let Some(max) = taken.files_max {
            let help = "The most file descriptors that may be open.";
            write(&mut to, ("max_fds", help, None), &gauge(max))?;
        }
        Ok(())
    }
}

// === impl Tasks ===

impl Collector for Tasks {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let runtime = tokio::runtime::Handle::try_current();
        let alive = runtime.map_or(0, |runtime| runtime.metrics().num_alive_tasks());
        let tasks = gauge(alive as u64);
        let help = "Tasks of the asynchronous runtime that have not ended.";
        write(&mut to, ("isc_tasks", help, None), &tasks)
    }
}

fn gauge(n: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(n).unwrap_or(i64::MAX))
}

fn write(
    to: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_tells_what_it_takes() {
        let _one = tokio::spawn(std::future::pending::<()>());
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            value.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        assert!(value("process_resident_memory_bytes ") > 1e6, "{text}");
        assert!(value("process_open_fds ") >= 3.0, "{text}");
        assert!((value("isc_tasks ") - 1.0).abs() < f64::EPSILON, "{text}");
        assert!(value("process_max_fds ") >= value("process_open_fds "));
        assert!(value("process_cpu_seconds_total ") >= 0.0);
        assert!(value("process_start_time_seconds ") > 1.7e9, "{text}");
        let build = format!(
            "isc_build_info{{version=\"{}\"}} ",
            env!("CARGO_PKG_VERSION")
        );
        assert!((value(&build) - 1.0).abs() < f64::EPSILON);
    }
}
