//! Handlers and service files that belong together, or do not.

use std::path::Path;

use super::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Rich {
    /// How often.
    count: u32,
    ratio: Option<f64>,
    kind: Kind,
    tags: BTreeMap<String, Vec<Kind>>,
    address: std::net::IpAddr,
    small: u8,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum Kind {
    Plain,
    Named(String),
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Tree {
    inside: Vec<Tree>,
}

fn service(dir: &Path, name: &str, text: &str) -> Service {
    let path = dir.join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    Service::load(&path).unwrap()
}

fn nothing<P>(_: P, _: JobContext) -> std::future::Ready<Result<(), Failure>> {
    std::future::ready(Ok(()))
}

#[test]
fn schemas_go_into_a_service_file_as_they_are() {
    let handlers = Handlers::new().on("rich", async |_: Rich, _| Ok(Sum { sum: 1 }));
    let (_, schemas) = handlers.schemas().next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let text = format!("handler: {{}}\n{}", schemas.to_yaml().unwrap());
    let service = service(dir.path(), "rich", &text);
    assert_eq!(service.file.params_schema, Some(schemas.params));
    assert_eq!(service.file.result_schema, schemas.result);

    let good = json!({
        "count": 1, "kind": {"Named": "x"}, "tags": {"a": ["Plain"]}, "address": "::1", "small": 255,
    });
    assert_eq!(service.check_params(&good), Ok(()));
    for (key, value) in [
        ("count", json!(-1)),
        ("kind", json!("Other")),
        ("tags", json!({"a": [1]})),
        ("more", json!(1)),
        ("small", json!(256)),
    ] {
        let mut wrong = good.clone();
        wrong[key] = value;
        let broken = service.check_params(&wrong).unwrap_err();
        assert!(broken.contains(&format!("/{key}")), "{broken}");
    }
    assert!(service.check_result(&json!({"sum": "1"})).is_err());
}

#[test]
fn a_handler_without_a_result_promises_none() {
    let handlers = Handlers::new().on("quiet", nothing::<Add>);
    let (_, schemas) = handlers.schemas().next().unwrap();
    let yaml = schemas.to_yaml().unwrap();
    assert!(!yaml.contains("resultSchema"), "{yaml}");
}

#[tokio::test]
async fn a_type_without_bounds_has_no_schema_and_still_works() {
    let handlers = Handlers::new().on("tree", nothing::<Tree>);
    let (_, schemas) = handlers.schemas().next().unwrap();
    let why = schemas.to_yaml().unwrap_err();
    assert!(
        why.contains("paramsSchema") && why.contains("back to itself"),
        "{why}"
    );
    let end = end_of(nothing::<Tree>, r#"{"inside": "s3cr3t-v4lu3"}"#).await;
    let (_, reason, message) = failure(end);
    assert_eq!(reason, "InvalidParams");
    assert!(
        message.contains("line 1, column") && !message.contains(SECRET),
        "{message}"
    );
}

#[test]
fn a_program_and_its_services_must_fit() {
    let dir = tempfile::tempdir().unwrap();
    let add = || service(dir.path(), "add", "handler: {}");
    let program = || service(dir.path(), "program", "exec: {command: [a]}");
    let handlers = Handlers::new().on("add", super::add);
    assert_eq!(handlers.check(&[add(), program()], false), Ok(()));
    // A list of services leaves out what it does not want.
    assert_eq!(handlers.check(&[program()], true), Ok(()));

    let none = Handlers::new().check(&[add()], false).unwrap_err();
    assert!(
        none.contains("`add`") && none.contains("run the program that has it"),
        "{none}"
    );
    assert!(none.contains("leave it out of `services`"), "{none}");
    let no_file = handlers.check(&[program()], false).unwrap_err();
    assert!(
        no_file.contains("`add`") && no_file.contains("add.yaml"),
        "{no_file}"
    );
    let other = Handlers::new().on("program", super::add);
    let other = other.check(&[program()], true).unwrap_err();
    assert!(other.contains("program.yaml says `exec`"), "{other}");
}

#[test]
#[should_panic(expected = "two handlers for the service `add`")]
fn a_service_has_one_handler() {
    let _both = Handlers::new().on("add", add).on("add", add);
}
