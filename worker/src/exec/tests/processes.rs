//! However a job ends, nothing of it stays behind.

use super::*;

#[tokio::test]
async fn a_timeout_ends_the_job_even_when_it_ignores_sigterm() {
    let script = r"
        trap '' TERM
        sleep 300 & echo $! > $ISC_SERVICE_DIR/child
        while :; do sleep 1; done";
    let mut bench = Bench::new(script);
    bench.job.timeout = Duration::from_millis(300);
    let running = bench.start();
    let child = bench.pid("child").await;
    let failure = failure(running.end().await);
    assert_eq!(failure.reason, "TimedOut");
    assert_eq!(failure.class, FailureClass::TimedOut);
    assert_dies(child).await;
}

#[tokio::test]
async fn a_job_that_runs_out_of_its_requests_time_says_that() {
    let mut bench = Bench::new("sleep 300");
    bench.job.left = Some(Duration::from_millis(300));
    let failure = failure(bench.run().await);
    assert_eq!(failure.reason, "DeadlineExceeded");
    assert_eq!(failure.class, FailureClass::Deadline);
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_does_not_hang_the_worker() {
    let script = r"sleep 300 & echo $! > $ISC_SERVICE_DIR/child; echo hi";
    let bench = Bench::new(script);
    let began = Instant::now();
    assert_eq!(bench.run().await, succeeded(""));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_dies(bench.pid("child").await).await;
}

#[tokio::test]
async fn a_grandchild_that_left_the_group_dies_with_the_job() {
    let script = r"
        setsid sh -c 'setsid sleep 300 & echo $! > $ISC_SERVICE_DIR/child; wait' &
        while [ ! -s $ISC_SERVICE_DIR/child ]; do sleep 0.01; done";
    let bench = Bench::new(script);
    let began = Instant::now();
    assert_eq!(bench.run().await, succeeded(""));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_dies(bench.pid("child").await).await;
}

#[tokio::test]
async fn one_that_hides_even_its_environment_is_waited_for_two_seconds_at_most() {
    let script = r"
        setsid env -i sleep 300 & echo $! > $ISC_SERVICE_DIR/child
        while ! grep -aq sleep /proc/$!/cmdline; do sleep 0.01; done";
    let bench = Bench::new(script);
    let began = Instant::now();
    assert_eq!(bench.run().await, succeeded(""));
    assert!(began.elapsed() < Duration::from_secs(5));
    let child = bench.pid("child").await;
    kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_job_whose_lease_ends_is_killed_by_the_warden_and_counts_as_stopped() {
    let script = r"
        setsid sleep 300 & echo $! > $ISC_SERVICE_DIR/stray
        trap '' TERM; while :; do sleep 1; done";
    let bench = Bench::new(script);
    let running = bench.start();
    let stray = bench.pid("stray").await;
    bench.warden.lease(None);
    assert_eq!(running.end().await, End::Stopped);
    assert_dies(stray).await;
    assert_eq!(bench.run().await, End::Stopped, "no lease, no start");
    assert_eq!(std::fs::read_dir(bench.file("jobs")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_job_that_is_told_to_stop_may_clean_up() {
    let script = r"
        trap 'echo done > $ISC_SERVICE_DIR/cleaned; exit 0' TERM
        echo > $ISC_SERVICE_DIR/ready
        while :; do sleep 0.05; done";
    let bench = Bench::new(script);
    let running = bench.start();
    bench.written("ready").await;
    running.stop.send_replace(Stop::Gently);
    assert_eq!(running.end().await, End::Stopped);
    assert_eq!(bench.written("cleaned").await, "done");
}

#[tokio::test]
async fn a_kill_does_not_wait_for_the_grace() {
    let script = r"trap '' TERM; echo > $ISC_SERVICE_DIR/ready; while :; do sleep 1; done";
    let bench = Bench::with(script, "  env: {A: b}\n");
    let running = bench.start();
    bench.written("ready").await;
    running.stop.send_replace(Stop::Gently);
    let began = Instant::now();
    running.stop.send_replace(Stop::Now);
    assert_eq!(running.end().await, End::Stopped);
    assert!(began.elapsed() < Duration::from_millis(900));
}

#[tokio::test]
async fn a_dropped_job_leaves_no_process_behind() {
    let script = r"sleep 300 & echo $! > $ISC_SERVICE_DIR/child; wait";
    let bench = Bench::new(script);
    let running = bench.start();
    let child = bench.pid("child").await;
    running.task.abort();
    assert_dies(child).await;
}

#[tokio::test]
async fn a_million_lines_of_output_do_not_hold_a_job_up() {
    let script = "yes 2>/dev/null | head -n 1000000; yes | tr -d '\\n' | head -c 10000000";
    assert_eq!(Bench::new(script).run().await, succeeded(""));
}
