//! Wrong configurations: the program ends, and its message names the thing and what to do.

use std::{path::Path, process::Command};

use anyhow::Result;
use isc_tests::isc;

const REQUEST: &str = "{apiVersion: internal.services/v1alpha1, kind: Request, metadata: {name: a},
  spec: {service: sign, requester: alice}}";

/// Runs a program to its end with nothing but these variables, and plain text between the two; returns whether it succeeded and what it
/// said.
fn run(binary: &str, args: &[&str], vars: &[(&str, &str)]) -> Result<(bool, String)> {
    let mut command = Command::new(isc::program(binary)?);
    // What these tests are not about.
    let plain = match binary {
        "isc-watcher" => ("ISC_GRPC__PLAINTEXT", "true"),
        _ => ("ISC_WATCHER", "http://127.0.0.1:7443"),
    };
    let output = command
        .args(args)
        .env_clear()
        .envs(vars.iter().copied().chain([plain]))
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

/// A folder with one service in `services/`.
fn folder() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("services"))?;
    std::fs::write(
        dir.path().join("services/echo.yaml"),
        "exec: {command: [/bin/true]}\n",
    )?;
    Ok(dir)
}

/// A kubeconfig that is right in itself, of a server that does not exist.
fn kubeconfig(dir: &Path) -> Result<String> {
    let text = r#"
        {apiVersion: v1, kind: Config, current-context: kcp,
         clusters: [{name: kcp, cluster: {server: "https://127.0.0.1:1/clusters/root:a"}}],
         users: [{name: u, user: {token: t}}],
         contexts: [{name: kcp, context: {cluster: kcp, user: u}}]}"#;
    let file = dir.join("kubeconfig");
    std::fs::write(&file, text)?;
    Ok(file.display().to_string())
}

#[test]
fn a_wrong_configuration_ends_both_programs_and_names_file_and_key() -> Result<()> {
    let dir = folder()?;
    let services = dir.path().join("services").display().to_string();
    let file = dir.path().join("config.yaml").display().to_string();
    let cases = [
        ("a: [".to_owned(), "config.yaml"),
        (format!("servicesDir: {services}\ncolour: red\n"), "colour"),
        (
            format!("servicesDir: {services}\namqp: {{urll: a}}\n"),
            "urll",
        ),
        (
            format!("servicesDir: {services}\namqp: {{url: 'http://x'}}\n"),
            "amqp.url",
        ),
        ("log: {filter: info}\n".to_owned(), "servicesDir"),
        ("servicesDir: /nowhere\n".to_owned(), "/nowhere"),
    ];
    for binary in ["isc-watcher", "isc-worker"] {
        for (text, part) in &cases {
            std::fs::write(&file, text)?;
            let (ok, said) = run(binary, &["--config", &file], &[("KUBECONFIG", &file)])?;
            assert!(
                !ok && said.contains(part),
                "{binary} with {text:?} said: {said}"
            );
        }
        let (ok, said) = run(binary, &["--config", "/nowhere.yaml"], &[])?;
        assert!(!ok && said.contains("/nowhere.yaml"), "{binary}: {said}");
        let vars = [
            ("ISC_SERVICES_DIR", services.as_str()),
            ("ISC_COLOUR", "red"),
        ];
        let (ok, said) = run(binary, &[], &vars)?;
        assert!(!ok && said.contains("ISC_COLOUR"), "{binary}: {said}");
    }
    Ok(())
}

#[test]
fn a_wrong_service_file_ends_both_programs_and_is_named() -> Result<()> {
    let dir = folder()?;
    std::fs::write(
        dir.path().join("services/sign.yaml"),
        "exec: {comand: [./sign.sh]}\n",
    )?;
    let services = dir.path().join("services").display().to_string();
    for binary in ["isc-watcher", "isc-worker"] {
        let (ok, said) = run(
            binary,
            &["--check-config"],
            &[("ISC_SERVICES_DIR", &services)],
        )?;
        assert!(
            !ok && said.contains("sign.yaml") && said.contains("comand"),
            "{binary}: {said}"
        );
    }
    Ok(())
}

#[test]
fn a_wrong_policy_ends_the_watcher_and_a_missing_one_is_warned_of() -> Result<()> {
    let dir = folder()?;
    let services = dir.path().join("services").display().to_string();
    let file = dir.path().join("config.yaml").display().to_string();
    let kubeconfig = kubeconfig(dir.path())?;
    let vars = [("KUBECONFIG", kubeconfig.as_str())];
    for (policy, part) in [
        (
            "{rules: [{effect: accept, servics: [a]}]}",
            "rule 1: there is no key `servics`",
        ),
        (
            "{rules: [{name: a, effect: accept, when: 'x'}]}",
            "rule 1 (`a`): `when`",
        ),
        (
            "{rules: [{effect: accept, requesters: [alice]}]}",
            "requesterPolicyInstalled: true",
        ),
        ("{file: nowhere.yaml}", "nowhere.yaml"),
        ("{rule: []}", "rule"),
    ] {
        std::fs::write(
            &file,
            format!("servicesDir: {services}\npolicy: {policy}\n"),
        )?;
        for args in [
            ["--config", &file, "--check-config"].as_slice(),
            &["--config", &file],
        ] {
            let (ok, said) = run("isc-watcher", args, &vars)?;
            assert!(!ok && said.contains(part), "{policy}: {said}");
        }
    }
    std::fs::write(&file, format!("servicesDir: {services}\n"))?;
    let (ok, said) = run("isc-watcher", &["--config", &file, "--check-config"], &vars)?;
    assert!(ok && said.contains("every request is rejected"), "{said}");
    Ok(())
}

#[test]
fn an_audit_that_cannot_be_written_ends_the_watcher_before_it_starts() -> Result<()> {
    let dir = folder()?;
    let services = dir.path().join("services").display().to_string();
    let file = dir.path().join("config.yaml").display().to_string();
    let kubeconfig = kubeconfig(dir.path())?;
    let vars = [("KUBECONFIG", kubeconfig.as_str())];
    let nowhere = dir.path().join("nowhere/audit.jsonl");
    let nowhere = nowhere.display();
    for (audit, part) in [
        (
            format!("{{file: {nowhere}}}"),
            "nowhere/audit.jsonl (`audit.file`)",
        ),
        ("{}".into(), "`stdout: true`"),
        (
            format!("{{file: {nowhere}, stdout: true}}"),
            "either `file`",
        ),
        ("{path: a}".into(), "path"),
    ] {
        std::fs::write(&file, format!("servicesDir: {services}\naudit: {audit}\n"))?;
        for args in [
            ["--config", &file, "--check-config"].as_slice(),
            &["--config", &file],
        ] {
            let (ok, said) = run("isc-watcher", args, &vars)?;
            assert!(!ok && said.contains(part), "{audit}: {said}");
        }
    }
    Ok(())
}

#[test]
fn a_policy_is_tried_without_a_server_and_the_exit_code_tells() -> Result<()> {
    let dir = folder()?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("r.yaml"), REQUEST)?;
    std::fs::write(
        path("policy.yaml"),
        "rules: [{name: signers, effect: accept, services: [sign]}]",
    )?;
    std::fs::write(path("nobody.yaml"), "rules: []")?;
    std::fs::write(path("wrong.yaml"), "rules: [{effect: maybe}]")?;
    for (policy, code, part) in [
        ("policy.yaml", 0, "accepted by rule 1 `signers`"),
        ("nobody.yaml", 1, "rejected: no rule applies"),
        ("wrong.yaml", 2, "rule 1: `effect`"),
    ] {
        let (policy, request) = (path(policy), path("r.yaml"));
        let output = Command::new(isc::program("isc-watcher")?)
            .args(["policy", "test", "-f", &policy, "--request", &request])
            .args(["--workspace", "root:org:team-a"])
            .env_clear()
            .output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
    Ok(())
}

#[test]
fn a_missing_or_broken_kubeconfig_ends_the_watcher_with_the_remedy() -> Result<()> {
    let dir = folder()?;
    let services = dir.path().join("services").display().to_string();
    let services = ("ISC_SERVICES_DIR", services.as_str());
    let (ok, said) = run("isc-watcher", &[], &[services])?;
    assert!(!ok && said.contains("KUBECONFIG is not set"), "{said}");
    let (ok, said) = run(
        "isc-watcher",
        &[],
        &[services, ("KUBECONFIG", "/nowhere/config")],
    )?;
    assert!(!ok && said.contains("/nowhere/config"), "{said}");
    let broken = dir.path().join("broken").display().to_string();
    std::fs::write(&broken, "clusters: [")?;
    let (ok, said) = run("isc-watcher", &[], &[services, ("KUBECONFIG", &broken)])?;
    assert!(!ok && said.contains(&broken), "{said}");
    Ok(())
}

#[test]
fn a_good_configuration_passes_the_check_without_any_server() -> Result<()> {
    let dir = folder()?;
    let services = dir.path().join("services").display().to_string();
    let kubeconfig = kubeconfig(dir.path())?;
    for binary in ["isc-watcher", "isc-worker"] {
        let vars = [
            ("ISC_SERVICES_DIR", services.as_str()),
            ("KUBECONFIG", &kubeconfig),
        ];
        let (ok, said) = run(binary, &["--check-config"], &vars)?;
        assert!(ok, "{binary}: {said}");
    }
    Ok(())
}
