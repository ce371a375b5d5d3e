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
fn an_empty_or_missing_directory_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = Catalogue::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("add one per service"), "{error}");
    let error = Catalogue::load(&dir.path().join("nowhere"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("servicesDir"), "{error}");
}
