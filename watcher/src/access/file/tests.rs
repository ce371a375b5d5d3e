use super::*;

const TOKEN: &str = "very-secret-token";

fn read(text: &str) -> Result<Found, ReadError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    Source::File(path).read().map(|found| found.unwrap())
}

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://kcp.example.com'{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn whatever_credential_changes_is_seen() {
    let print = |cluster: &str, user: &str| read(&kubeconfig(cluster, user)).unwrap().print;
    let known = print("", "token: a");
    assert_eq!(known, print("", "token: a"));
    for (cluster, user) in [
        ("", "token: b"),
        ("", "tokenFile: token"),
        ("", "client-certificate-data: YQ==, client-key-data: YQ=="),
        ("", "client-certificate-data: YQ==, client-key-data: Yg=="),
        (", tls-server-name: a", "token: a"),
        (", proxy-url: 'http://proxy'", "token: a"),
    ] {
        assert_ne!(known, print(cluster, user), "{cluster} {user}");
    }
    let text = kubeconfig("", "token: a");
    let named = text.replace("user: u}", "user: u, namespace: n}");
    let other = text.replace("current-context: c", "current-context: d");
    let other = other.replace("name: c,", "name: d,");
    for text in [named, other] {
        assert_ne!(known, read(&text).unwrap().print, "{text}");
    }
    let [one, other] = ["YQ==", "Yg=="].map(|key| {
        print(
            "",
            &format!("client-certificate-data: YQ==, client-key-data: {key}"),
        )
    });
    assert_ne!(one, other, "the key counts");
}

#[test]
fn what_has_not_changed_looks_the_same_however_often_it_is_read() {
    let env = ["A", "B", "C"].map(|name| format!("{{name: {name}, value: x}}"));
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, command: 'true', env: [{}]}}",
        env.join(", ")
    );
    let text = kubeconfig("", &exec);
    let known = read(&text).unwrap().print;
    for _ in 0..20 {
        assert_eq!(read(&text).unwrap().print, known);
    }
}

#[test]
fn a_user_that_is_not_there_is_missed() {
    let text = kubeconfig("", "token: a").replace("users: [{name: u,", "users: [{name: v,");
    let Err(error) = read(&text) else {
        panic!("it can be used");
    };
    assert!(error.to_string().contains("no user `u`"), "{error}");
}

#[test]
fn the_file_of_a_token_comes_before_one_inside_as_long_as_it_has_one() {
    let print = |user: &str| read(&kubeconfig("", user)).unwrap().print;
    let inside = format!("token: {TOKEN}");
    assert_eq!(print("token: old, tokenFile: token"), print(&inside));
    assert_eq!(
        print(&format!("{inside}, tokenFile: nowhere")),
        print(&inside)
    );
}

#[test]
fn a_token_file_may_end_with_a_line_break() {
    let [inside, file] = [format!("token: {TOKEN}"), "tokenFile: token".into()]
        .map(|user| read(&kubeconfig("", &user)).unwrap().print);
    assert_eq!(inside, file);
}

#[test]
fn no_error_repeats_what_may_be_a_secret() {
    let whole = kubeconfig("", &format!("token: {TOKEN}"));
    let cut = whole.find(TOKEN).unwrap() + 6;
    for (text, told) in [
        (&whole[..cut], "it is not a kubeconfig in YAML: line 6"),
        (
            &*format!("{whole}{TOKEN}"),
            "it is not a kubeconfig in YAML",
        ),
        (
            &*kubeconfig(", certificate-authority-data: YQ==", ""),
            "is not in PEM",
        ),
        (
            &*kubeconfig(", proxy-url: 'http://u:very-secret p@h'", ""),
            "`proxy-url`",
        ),
        ("current-context: c", "context"),
    ] {
        let Err(error) = read(text) else {
            panic!("it can be used: {text}");
        };
        let said = format!("{error} {error:?}");
        assert!(said.contains(told) && !said.contains("very-s"), "{said}");
    }
}
