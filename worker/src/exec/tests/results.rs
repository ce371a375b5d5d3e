//! What a job is given, and what its end means.

use super::*;

#[tokio::test]
async fn a_result_file_is_the_result() {
    let bench = Bench::new(r#"printf '{"in": %s}\n' "$(cat $ISC_PARAMS)" > $ISC_RESULT"#);
    assert_eq!(bench.run().await, succeeded(r#"{"in": {"digest": "abc"}}"#));
    assert!(bench.is_clean(), "the job's directory is removed");
}

#[tokio::test]
async fn a_job_without_a_result_has_succeeded_too() {
    assert_eq!(Bench::new("exit 0").run().await, succeeded(""));
    assert_eq!(Bench::new(": > $ISC_RESULT").run().await, succeeded(""));
}

#[tokio::test]
async fn a_wrong_result_fails_with_its_reason() {
    let cases = [
        ("echo '[1]' > $ISC_RESULT", "InvalidResult"),
        ("echo 'signed: yes' > $ISC_RESULT", "InvalidResult"),
        ("printf '{\"a\": 1} {' > $ISC_RESULT", "InvalidResult"),
        ("printf '\\377' > $ISC_RESULT", "InvalidResult"),
        ("mkfifo $ISC_RESULT", "InvalidResult"),
        ("mkdir $ISC_RESULT", "InvalidResult"),
        ("ln -s /dev/zero $ISC_RESULT", "InvalidResult"),
        ("head -c 101 /dev/zero > $ISC_RESULT", "ResultTooLarge"),
        ("truncate -s 1T $ISC_RESULT", "ResultTooLarge"),
    ];
    for (script, reason) in cases {
        let failure = failure(Bench::new(script).run().await);
        assert_eq!(failure.reason, reason, "{script}");
        assert_eq!(failure.class, FailureClass::Permanent, "{script}");
    }
}

#[tokio::test]
async fn the_exit_decides_how_a_job_failed() {
    let cases = [
        (
            "exit 75",
            FailureClass::Retryable,
            "JobFailed",
            "exit code 75",
        ),
        (
            "exit 3",
            FailureClass::Permanent,
            "JobFailed",
            "exit code 3",
        ),
        ("exit 4", FailureClass::Invalid, "JobFailed", "exit code 4"),
        (
            "kill -SEGV $$",
            FailureClass::Retryable,
            "JobKilled",
            "SIGSEGV",
        ),
    ];
    for (script, class, reason, message) in cases {
        let bench = Bench::with(script, "  exitCodes: {4: invalid}\n");
        let failure = failure(bench.run().await);
        assert_eq!((failure.class, failure.reason), (class, reason), "{script}");
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_is_named() {
    let plain = tempfile::NamedTempFile::new().unwrap();
    let plain = plain.path().display().to_string();
    for program in ["./nowhere", "isc-no-such-program", &plain] {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::of(dir, &format!("exec: {{command: [{program}]}}"));
        let failure = failure(bench.run().await);
        assert_eq!(failure.reason, "StartFailed", "{program}");
        assert_eq!(failure.class, FailureClass::Permanent, "{program}");
        assert!(failure.message.contains(program), "{}", failure.message);
        assert!(bench.is_clean());
    }
}

#[tokio::test]
async fn parameters_that_are_no_object_are_refused() {
    let mut bench = Bench::new("exit 0");
    bench.job.params_json = "[]".into();
    let failure = failure(bench.run().await);
    assert_eq!(failure.reason, "InvalidParams");
    assert_eq!(failure.class, FailureClass::Invalid);
}

#[tokio::test]
async fn nothing_of_the_workers_environment_leaks_into_a_job() {
    let script = "{ env | cut -d= -f1 | sort | tr '\\n' ' '; echo; } > $ISC_SERVICE_DIR/out";
    let bench = Bench::with(
        script,
        "  env: {COLOUR: red}\n  inheritEnv: [CARGO_PKG_NAME]\n",
    );
    bench.run().await;
    let names = bench.written("out").await;
    let own: Vec<_> = names
        .split(' ')
        // What the shell itself sets.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(
        own,
        [
            "CARGO_PKG_NAME",
            "COLOUR",
            "HOME",
            "ISC_ATTEMPT",
            "ISC_CLUSTER",
            "ISC_FAILED",
            "ISC_IDEMPOTENCY_KEY",
            "ISC_NAME",
            "ISC_NAMESPACE",
            "ISC_PARAMS",
            "ISC_PROGRESS",
            "ISC_REQUESTER",
            "ISC_RESULT",
            "ISC_RESULT_MAX",
            "ISC_SERVICE",
            "ISC_SERVICE_DIR",
            "ISC_TIMEOUT_SECONDS",
            "ISC_UID",
            "LANG",
            "PATH",
            "TMPDIR"
        ]
    );
}

#[tokio::test]
async fn a_job_knows_whose_it_is_and_starts_in_an_empty_directory() {
    let script = r#"
        [ "$PWD" = "$HOME" ] && [ "$PWD" = "$TMPDIR" ] && [ -z "$(ls -A)" ] || exit 9
        printf '{"is": "%s"}' \
            "$ISC_UID $ISC_ATTEMPT $ISC_FAILED $ISC_NAME $ISC_REQUESTER $ISC_TIMEOUT_SECONDS" \
            > $ISC_RESULT"#;
    let end = Bench::new(script).run().await;
    assert_eq!(end, succeeded(r#"{"is": "u1 2 1 sign-1 alice 30"}"#));
}

#[tokio::test]
async fn progress_arrives_in_order_and_junk_harms_nobody() {
    let script = r#"
        echo '{"percent": 10, "message": "first"}' > $ISC_PROGRESS
        echo 'no json' > $ISC_PROGRESS
        head -c 100000 /dev/zero | tr '\0' x > $ISC_PROGRESS
        printf '\n{"percent": 90}\n' > $ISC_PROGRESS"#;
    let bench = Bench::new(script);
    let Running {
        task, mut progress, ..
    } = bench.start();
    assert_eq!(task.await.unwrap(), succeeded(""));
    let mut seen = vec![];
    while let Ok((id, progress)) = progress.try_recv() {
        assert_eq!(id.attempt, 2);
        seen.push((progress.percent, progress.message));
    }
    assert_eq!(seen, [(10, "first".into()), (90, String::new())]);
}
