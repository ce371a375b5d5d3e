//! The example services, run by `isc-worker run`: no kcp, no broker, no watcher.

use std::{
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    environment::{base64, repository},
    isc,
};
use serde_json::{Value, json};

fn openssl(args: &[&str]) -> Result<String> {
    let output = Command::new("openssl").args(args).output()?;
    ensure!(
        output.status.success(),
        "openssl {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs one example service; returns the exit code, the result and what was said on the way.
fn run(
    service: &str,
    params: &Value,
    variable: (&str, &Path),
) -> Result<(Option<i32>, Value, String)> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), params.to_string())?;
    let output = Command::new(isc::program("isc-worker")?)
        .args(["run", "--service", service, "--params"])
        .arg(file.path())
        .arg("--services-dir")
        .arg(repository().join("services"))
        .env(variable.0, variable.1)
        .output()?;
    let result = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok((
        output.status.code(),
        result,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[test]
fn sign_returns_a_signature_that_openssl_verifies() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (key, public, signature) = (path("key.pem"), path("public.pem"), path("signature"));
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &key,
    ])?;
    openssl(&["pkey", "-in", &key, "-pubout", "-out", &public])?;
    let file = repository().join("Cargo.toml").display().to_string();
    let digest = openssl(&["dgst", "-sha256", "-r", &file])?;
    let digest = digest.split(' ').next().context("no digest")?;

    let params = json!({"digest": format!("sha256:{digest}")});
    let (code, result, said) = run("sign", &params, ("SIGN_KEY_FILE", Path::new(&key)))?;
    assert_eq!(code, Some(0), "{said}");
    let encoded = path("encoded");
    std::fs::write(
        &encoded,
        result["signature"].as_str().context("no signature")?,
    )?;
    openssl(&["base64", "-d", "-A", "-in", &encoded, "-out", &signature])?;
    openssl(&[
        "dgst",
        "-sha256",
        "-verify",
        &public,
        "-signature",
        &signature,
        &file,
    ])?;

    let (code, _, said) = run(
        "sign",
        &json!({"digest": "md5:1"}),
        ("SIGN_KEY_FILE", Path::new(&key)),
    )?;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("64 hex digits") && said.contains("exit code 65"),
        "{said}"
    );
    Ok(())
}

#[test]
fn publish_stores_the_whole_file_and_shows_progress() -> Result<()> {
    let store = tempfile::tempdir()?;
    let content = std::fs::read(repository().join("Cargo.toml"))?;
    let params = json!({"name": "Cargo.toml", "content": base64(&content)});
    let (code, result, said) = run("publish", &params, ("PUBLISH_DIR", store.path()))?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("part 10 of 20"), "{said}");
    let uri = result["uri"].as_str().context("no uri")?;
    let stored = std::fs::read(uri.strip_prefix("file://").context("not a file")?)?;
    assert_eq!(stored, content);
    Ok(())
}

#[test]
fn parameters_and_results_are_checked_as_the_watcher_does() -> Result<()> {
    let services = tempfile::tempdir()?;
    let text = "exec:
  command: [/bin/sh, -c, 'echo ran >&2; cp \"$ISC_PARAMS\" \"$ISC_RESULT\"']
paramsSchema: {required: [name]}
resultSchema: {properties: {name: {type: string}}}
";
    std::fs::write(services.path().join("copy.yaml"), text)?;
    let run = |params: Value| -> Result<Output> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), params.to_string())?;
        let mut command = Command::new(isc::program("isc-worker")?);
        command.args(["run", "--service", "copy", "--params"]);
        command.arg(file.path()).arg("--services-dir");
        Ok(command.arg(services.path()).output()?)
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let refused = run(json!({"nam": "x"}))?;
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let text = said(&refused);
    assert!(
        text.contains("spec.params: /name is missing") && !text.contains("ran"),
        "{text}"
    );
    let broken = run(json!({"name": 424_242}))?;
    assert_eq!(broken.status.code(), Some(1), "{}", said(&broken));
    let text = said(&broken);
    assert!(text.contains("/name: this is not of type"), "{text}");
    assert!(
        broken.stdout.is_empty() && !text.contains("424242"),
        "{text}"
    );
    let good = run(json!({"name": "x"}))?;
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    Ok(())
}
