use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn to(file: &Path) -> Sink {
    Sink::new(&config(file))
}

fn config(file: &Path) -> AuditConfig {
    AuditConfig {
        file: Some(file.to_owned()),
        stdout: false,
    }
}

fn append_all(sink: &mut Sink, text: &str) -> io::Result<()> {
    let mut lines = text.as_bytes().to_vec();
    let result = sink.append(&mut lines);
    assert_eq!(lines.is_empty(), result.is_ok(), "what is written is taken");
    result
}

#[test]
fn lines_go_behind_what_is_there_into_a_file_that_not_everybody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut sink = to(&file);
    append_all(&mut sink, "one\n").unwrap();
    append_all(&mut to(&file), "two\n").unwrap();
    append_all(&mut sink, "three\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\nthree\n");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_file_that_was_rotated_or_removed_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let [file, old] = ["audit.jsonl", "audit.jsonl.1"].map(|name| folder.path().join(name));
    let mut sink = to(&file);
    append_all(&mut sink, "one\n").unwrap();
    fs::rename(&file, &old).unwrap();
    append_all(&mut sink, "two\n").unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
    fs::remove_file(&file).unwrap();
    append_all(&mut sink, "three\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "three\n");
}

#[test]
fn a_line_that_was_torn_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    fs::write(&file, "one\ntw").unwrap();
    append_all(&mut to(&file), "three\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntw\nthree\n");
}

#[test]
fn what_is_no_file_is_refused_and_a_full_disk_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let [real, link, pipe] = ["real", "link", "pipe"].map(|name| folder.path().join(name));
    fs::write(&real, "").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for file in [&link, &pipe, folder.path()] {
        assert!(append_all(&mut to(file), "one\n").is_err(), "{file:?}");
        assert!(check(Some(&config(file))).is_err(), "{file:?}");
    }
    assert_eq!(fs::read_to_string(&real).unwrap(), "");
    assert!(append_all(&mut to(Path::new("/dev/full")), "one\n").is_err());
}

#[test]
fn the_check_finds_what_cannot_be_written_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    check(Some(&config(&file))).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    check(None).unwrap();
    let missing = folder.path().join("missing").join("audit.jsonl");
    let error = check(Some(&config(&missing))).unwrap_err().to_string();
    assert!(
        error.contains("missing/audit.jsonl") && error.contains("`audit.file`"),
        "{error}"
    );
}
