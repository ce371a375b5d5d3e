use std::path::Path;

use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// An API server that knows one token, and its address.
async fn server(known: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            let asked = String::from_utf8(asked).unwrap();
            let is_known = asked.contains(&format!("Bearer {known}\r\n"));
            let code = if is_known { 200 } else { 401 };
            let answer =
                format!("HTTP/1.1 {code} .\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}

fn write(file: &Path, server: &str, user: &str) {
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    std::fs::write(file, text).unwrap();
}

fn access(file: &Path) -> Result<Access, ReadError> {
    let metrics = Arc::new(Metrics::new(&mut Registry::default()));
    Access::private(file.to_owned(), metrics)
}

/// Writes a certificate that ends with that year, and its key; returns the user that has them.
fn certificate(dir: &Path, year: i32) -> &'static str {
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key"), key.serialize_pem()).unwrap();
    "client-certificate: crt, client-key: key"
}

async fn ask(client: &Client) -> (u16, bool) {
    let request = http::Request::get("/").body(kube::client::Body::empty());
    let answer = client.send(request.unwrap()).await.unwrap();
    (answer.status().as_u16(), Renewed::marks(&answer))
}

#[tokio::test]
async fn a_server_that_does_not_know_the_user_has_the_files_read() {
    let server = server("new").await;
    let dir = tempfile::tempdir().unwrap();
    let [file, token] = ["kubeconfig", "token"].map(|name| dir.path().join(name));
    std::fs::write(&token, "old\n").unwrap();
    write(&file, &server, "tokenFile: token");
    // Nobody reads them again and again.
    let access = access(&file).unwrap();
    let client = access.client(access.url()).unwrap();
    assert_eq!(ask(&client).await, (401, false));
    std::fs::write(&token, "new\n").unwrap();
    assert_eq!(ask(&client).await, (401, false), "not for each of many");
    tokio::time::sleep(PAUSE).await;
    assert_eq!(ask(&client).await, (401, true));
    assert_eq!(ask(&client).await, (200, false));
}

#[tokio::test]
async fn a_program_is_asked_again_where_what_it_said_is_not_known_any_more() {
    let server = server("new").await;
    let dir = tempfile::tempdir().unwrap();
    let [file, said] = ["kubeconfig", "said"].map(|name| dir.path().join(name));
    let say = |token: &str| {
        let all = format!(
            "{{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \
             \"status\": {{\"token\": \"{token}\"}}}}"
        );
        std::fs::write(&said, all).unwrap();
    };
    say("old");
    let user = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, command: cat, args: ['{}'], interactiveMode: Never}}",
        said.display()
    );
    write(&file, &server, &user);
    let access = access(&file).unwrap();
    let client = access.client(access.url()).unwrap();
    say("new");
    assert_eq!(ask(&client).await, (401, true));
    assert_eq!(ask(&client).await, (200, false));
}

#[tokio::test]
async fn what_cannot_be_used_or_leads_elsewhere_changes_nothing() {
    let here = server("old").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    write(&file, &here, "token: old");
    let access = access(&file).unwrap();
    let client = access.client(access.url()).unwrap();
    for (server, user, why) in [
        ("https://other", "token: new", "it names https://other"),
        (
            &*here,
            "client-certificate-data: YQ==, client-key-data: YQ==",
            "no client can be built",
        ),
        (&*here, "tokenFile: nowhere", "its token file"),
    ] {
        write(&file, server, user);
        let mut reading = access.inner.reading.lock().await;
        access.read(&mut reading).await;
        let wrong = reading.wrong.clone().unwrap();
        assert!(wrong.contains(why), "{wrong}");
        drop(reading);
        assert_eq!(ask(&client).await, (200, false), "{why}");
    }
}

#[tokio::test]
async fn the_end_of_the_users_certificate_is_told_as_long_as_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    write(&file, "https://here", certificate(dir.path(), 2040));
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let access = Access::private(file.clone(), metrics).unwrap();
    let told = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let name = "isc_certificate_not_after_seconds{use=\"election\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned)
    };
    assert_eq!(told().as_deref(), Some("2240524800"));
    certificate(dir.path(), 2041);
    access.read(&mut *access.inner.reading.lock().await).await;
    assert_eq!(told().as_deref(), Some("2272060800"));
    write(&file, "https://here", "token: a");
    access.read(&mut *access.inner.reading.lock().await).await;
    assert_eq!(told(), None);
}
