//! What a service file may and may not say.

use super::*;

fn load(name: &str, text: &str) -> Result<Service, CatalogueError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    Service::load(&path)
}

#[test]
fn five_lines_are_enough() {
    let service = load("sign.yaml", "exec:\n  command: [./sign.sh]\n").unwrap();
    assert_eq!(service.name, "sign");
    assert_eq!(service.file.timeout_seconds, 300);
    assert_eq!(service.file.max_timeout(), 3600);
    assert!(service.dir.is_absolute());
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    let error = load("sign.yaml", "exec:\n  comand: [./sign.sh]\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("comand") && error.contains("sign.yaml"),
        "{error}"
    );
}

#[test]
fn rules_are_checked_and_named() {
    let cases = [
        ("Sign.yaml", "exec: {command: [a]}", "DNS label"),
        ("a.yaml", "exec: {command: []}", "exec.command"),
        (
            "a.yaml",
            "{exec: {command: [a]}, timeoutSeconds: 0}",
            "timeoutSeconds",
        ),
        (
            "a.yaml",
            "{exec: {command: [a]}, maxTimeoutSeconds: 5}",
            "maxTimeoutSeconds",
        ),
        (
            "a.yaml",
            "{exec: {command: [a]}, resultMaxBytes: 999999}",
            "resultMaxBytes",
        ),
        (
            "a.yaml",
            "exec: {command: [a], env: {ISC_RESULT: x}}",
            "ISC_RESULT",
        ),
    ];
    for (name, text, wanted) in cases {
        let error = load(name, text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn one_section_says_what_runs_a_job() {
    let grace = |text| match load("a.yaml", text).unwrap().runs {
        Runs::Handler(handler) => handler.grace_seconds,
        Runs::Exec(_) => panic!("it is a handler"),
    };
    assert_eq!(grace("handler: {}"), 10);
    assert_eq!(grace("handler: {graceSeconds: 3}"), 3);
    let exec = load("a.yaml", "exec: {command: [a]}").unwrap().runs;
    assert!(matches!(exec, Runs::Exec(exec) if exec.command == ["a"]));
    for (text, wanted) in [
        ("description: a", "`handler: {}`"),
        ("handler:", "`handler: {}`"),
        (
            "{handler: {}, exec: {command: [a]}}",
            "`exec` and `handler` both",
        ),
        ("handler: {command: [a]}", "command"),
        ("{exec: {command: []}, handler: {}}", "both"),
    ] {
        let error = load("a.yaml", text).unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("a.yaml"),
            "{text}: {error}"
        );
    }
}

#[test]
fn limits_are_checked_and_named() {
    for (text, wanted) in [
        ("timeoutSeconds: 99999999", "timeoutSeconds"),
        ("queueTimeoutSeconds: 0", "queueTimeoutSeconds"),
        (
            "{queueTimeoutSeconds: 9, maxQueueTimeoutSeconds: 8}",
            "`maxQueueTimeoutSeconds` (8) must not be below `queueTimeoutSeconds` (9)",
        ),
        (
            "{deadlineSeconds: 9, maxDeadlineSeconds: 8}",
            "maxDeadlineSeconds",
        ),
        ("retry: {retries: 11}", "retry.maxRetries"),
        ("retry: {maxRetries: 101}", "retry.maxRetries"),
        ("retry: {backoffSeconds: 0}", "retry.backoffSeconds"),
        ("retry: {backoffSeconds: 301}", "retry.maxBackoffSeconds"),
        ("retry: {tries: 1}", "tries"),
        (
            "ttlSecondsAfterFinished: 99999999",
            "ttlSecondsAfterFinished",
        ),
        ("limits: {concurrency: 0}", "paused: true"),
        ("limits: {perTenant: 0}", "limits.perTenant"),
        ("limits: {rate: {perSecond: 0}}", "limits.rate.perSecond"),
        ("limits: {rate: {perSecond: .nan}}", "limits.rate.perSecond"),
        ("limits: {rate: {perSecond: -1}}", "limits.rate.perSecond"),
        (
            "limits: {rate: {perSecond: 1, burst: 0}}",
            "limits.rate.burst",
        ),
        ("limits: {rate: {burst: 1}}", "perSecond"),
        ("limits: {key: {cel: 'params.'}}", "limits.key.cel"),
        ("limits: {key: {cel: 'repo'}}", "`repo`"),
        (
            "limits: {key: {cel: params.repo, max: 0}}",
            "limits.key.max",
        ),
        ("paused: often", "paused"),
    ] {
        let text = text.trim_matches(['{', '}']);
        let braces = "}".repeat(text.matches('{').count() - text.matches('}').count());
        let text = format!("{{exec: {{command: [a]}}, {text}{braces}}}");
        let error = load("a.yaml", &text).unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("a.yaml"),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_schema_is_checked_with_its_file_and_used() {
    let strict = "exec: {command: [a]}
paramsSchema:
  type: object
  required: [repo]
resultSchema:
  properties:
    url: {type: string, format: uri}
";
    let service = load("sign.yaml", strict).unwrap();
    assert_eq!(
        service.check_params(&serde_json::json!({"repo": 1})),
        Ok(())
    );
    assert_eq!(
        service.check_params(&serde_json::json!({})),
        Err("spec.params: /repo is missing".into())
    );
    assert_eq!(
        service.check_result(&serde_json::json!({"url": "nowhere"})),
        Err("the job's result: /url: this is not a \"uri\"".into())
    );
    assert_eq!(service.check_result(&serde_json::json!({})), Ok(()));
    for (more, wanted) in [
        ("paramsSchema:", "paramsSchema"),
        ("resultSchema: {propertis: {}}", "#/propertis"),
        (
            "resultSchema: {$ref: 'https://example.com/a'}",
            "nothing is fetched",
        ),
    ] {
        let error = load("a.yaml", &format!("exec: {{command: [a]}}\n{more}\n"));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("a.yaml"),
            "{more}: {error}"
        );
    }
}

#[test]
fn a_file_may_say_everything() {
    let text = "
        exec: {command: [a]}
        timeoutSeconds: 60
        maxTimeoutSeconds: 120
        queueTimeoutSeconds: 10
        maxQueueTimeoutSeconds: 20
        deadlineSeconds: 30
        maxDeadlineSeconds: 40
        retry: {retries: 1, maxRetries: 2, backoffSeconds: 3, maxBackoffSeconds: 4}
        ttlSecondsAfterFinished: 0
        limits:
          concurrency: 5
          perTenant: 2
          rate: {perSecond: 0.5, burst: 10}
          key: {cel: params.repo}
        paused: true";
    let text = text.replace("\n        ", "\n");
    let service = load("sign.yaml", &text).unwrap();
    let limits = &service.file.limits;
    assert_eq!((limits.concurrency, limits.per_tenant), (Some(5), Some(2)));
    assert_eq!(limits.key.as_ref().unwrap().max, 1);
    let params = serde_json::json!({"repo": "r"});
    let key = service.key.unwrap().evaluate(&params).unwrap();
    assert_eq!(key.as_deref(), Some("r"));
}

#[test]
fn an_empty_or_missing_directory_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = Catalogue::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("add one per service"), "{error}");
    let error = Catalogue::load(&dir.path().join("nowhere"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("servicesDir"), "{error}");
}
