//! A program with handlers, and one without: the example `add` and `isc-worker` as processes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};

const PLAIN: &str = env!("CARGO_BIN_EXE_isc-worker");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/services");

/// The example, which is built with these tests.
fn example() -> Result<PathBuf> {
    let folder = Path::new(PLAIN).parent().context("a folder")?;
    let path = folder.join("examples/add");
    ensure!(
        path.is_file(),
        "build it first: cargo build -p isc-worker --examples"
    );
    Ok(path)
}

fn run(program: &Path, words: &[&str]) -> Result<(Option<i32>, String, String)> {
    let output: Output = Command::new(program).args(words).output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    ))
}

/// What a program says of a folder of services.
fn checked(program: &Path, services: &Path, more: &str) -> Result<(Option<i32>, String)> {
    let config = tempfile::NamedTempFile::with_suffix(".yaml")?;
    let services = services.display();
    let text = format!("name: w\nwatcher: http://w:7443\nservicesDir: {services}\n{more}");
    std::fs::write(config.path(), text)?;
    let file = config.path().display().to_string();
    let (code, _, said) = run(program, &["--check-config", "--config", &file])?;
    Ok((code, said))
}

#[test]
fn the_example_runs_on_the_spot() -> Result<()> {
    let run = |params: &str| {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), params)?;
        let file = file.path().display().to_string();
        let place = ["run", "--services-dir", EXAMPLES, "--service", "add"];
        run(&example()?, &[&place[..], &["--params", &file]].concat())
    };
    let (code, result, said) = run(r#"{"a": 1, "b": 2}"#)?;
    assert_eq!(code, Some(0), "{said}");
    let result: serde_json::Value = serde_json::from_str(&result)?;
    assert_eq!(result, serde_json::json!({"sum": 3}));
    assert!(said.contains("progress  50 % half way"), "{said}");
    let (code, result, said) = run(&format!(r#"{{"a": {}, "b": 1}}"#, i64::MAX))?;
    assert_eq!((code, result.as_str()), (Some(1), ""), "{said}");
    assert!(
        said.contains("InvalidParams: the sum is too large"),
        "{said}"
    );
    let (code, _, said) = run(r#"{"a": "x", "b": 1}"#)?;
    assert_eq!(code, Some(2), "by the file's paramsSchema: {said}");
    assert!(said.contains("/a: this is not of type"), "{said}");
    Ok(())
}

#[test]
fn the_example_prints_the_schemas_that_its_service_file_has() -> Result<()> {
    let (code, schemas, said) = run(&example()?, &["schema", "--service", "add"])?;
    assert_eq!(code, Some(0), "{said}");
    let file = std::fs::read_to_string(Path::new(EXAMPLES).join("add.yaml"))?;
    let printed = schemas.strip_prefix("# add.yaml\n").context("a heading")?;
    assert!(file.ends_with(printed), "{printed}");
    let (code, schemas, said) = run(&example()?, &["schema", "--service", "sub"])?;
    assert_eq!((code, schemas.as_str()), (Some(1), ""));
    assert!(said.contains("no handler for `sub`"), "{said}");
    let (code, _, said) = run(Path::new(PLAIN), &["schema"])?;
    assert_eq!(code, Some(1));
    assert!(said.contains("no handler"), "{said}");
    Ok(())
}

#[test]
fn a_program_starts_only_when_it_has_what_its_services_need() -> Result<()> {
    let services = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(services.path().join(name), text);
    write("true.yaml", "exec: {command: [/bin/true]}")?;
    let example = example()?;
    let (code, said) = checked(&example, services.path(), "")?;
    assert_eq!(code, Some(2), "a handler without a file: {said}");
    assert!(said.contains("add.yaml"), "{said}");
    let (code, said) = checked(&example, services.path(), "services: ['true']")?;
    assert_eq!(code, Some(0), "which is not wanted: {said}");
    write("add.yaml", "handler: {}")?;
    let (code, said) = checked(&example, services.path(), "")?;
    assert_eq!(code, Some(0), "{said}");

    let plain = Path::new(PLAIN);
    let (code, said) = checked(plain, services.path(), "")?;
    assert_eq!(code, Some(2), "a file without a handler: {said}");
    assert!(
        said.contains("`add`") && said.contains("leave it out of `services`"),
        "{said}"
    );
    let (code, said) = checked(plain, services.path(), "services: ['true']")?;
    assert_eq!(code, Some(0), "{said}");
    let place = services.path().display().to_string();
    let (code, _, said) = run(
        plain,
        &["run", "--service", "add", "--services-dir", &place],
    )?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("run the program that has it"), "{said}");
    Ok(())
}
