//! How requests are reached: as the configuration says, else as KUBECONFIG's URL or the API server tells.

use kube::Client;
use serde::Deserialize;

use super::client::{CALL_TIMEOUT, CallError, within};
use crate::config::Mode;

/// What the URL of a virtual workspace of an export has in it.
const VIRTUAL: &str = "/services/apiexport/";
/// The API whose slices tell where an export's requests are.
const SLICES: &str = "/apis/apis.kcp.io/v1alpha1";

/// What the API server says of an API.
#[derive(Deserialize)]
struct Resources {
    resources: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What the URL tells alone.
pub(super) fn told_by(url: &str) -> Option<Mode> {
    url.contains(VIRTUAL).then_some(Mode::Static)
}

/// The endpoint that a URL names: without a slash at its end, and for a virtual workspace without what
/// names its clusters, since that is put there for each call.
pub(super) fn endpoint(url: &str, mode: Mode) -> String {
    let url = url.trim_end_matches('/');
    let all = match mode {
        Mode::Static => url.rsplit_once("/clusters/").map(|(endpoint, _)| endpoint),
        Mode::Kcp | Mode::Kubernetes => None,
    };
    all.unwrap_or(url).to_owned()
}

/// What the API server tells.
pub(super) async fn ask(client: &Client) -> Result<Mode, CallError> {
    let request = http::Request::get(SLICES)
        .body(vec![])
        .map_err(kube::Error::HttpError)?;
    let answer = within(CALL_TIMEOUT, client.request::<Resources>(request)).await;
    let served = match answer {
        Ok(found) => found.resources,
        Err(error) if error.code() == 404 => vec![],
        Err(error) => return Err(error),
    };
    let kcp = served.iter().any(|of| of.name == "apiexportendpointslices");
    Ok(if kcp { Mode::Kcp } else { Mode::Kubernetes })
}

#[cfg(test)]
mod tests {
    use kube::client::Body;

    use super::*;

    /// A server that gives one answer to everything.
    fn server(code: u16, body: &'static str) -> Client {
        let answer = move |_: http::Request<Body>| async move {
            let body = Body::from(body.as_bytes().to_vec());
            http::Response::builder().status(code).body(body)
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn an_api_server_with_endpoint_slices_is_kcp_and_one_without_is_not() {
        let slices =
            r#"{"resources": [{"name": "apibindings"}, {"name": "apiexportendpointslices"}]}"#;
        let mode = ask(&server(200, slices)).await.unwrap();
        assert_eq!(mode, Mode::Kcp);
        let mode = ask(&server(404, "404 page not found")).await.unwrap();
        assert_eq!(mode, Mode::Kubernetes);
        let error = ask(&server(403, "Forbidden")).await.unwrap_err();
        assert_eq!(error.code(), 403, "that says nothing");
    }

    #[test]
    fn the_url_of_a_virtual_workspace_is_an_endpoint_whatever_stands_behind_it() {
        let url = "https://kcp:6443/services/apiexport/1abc/internal.services";
        assert_eq!(told_by(url), Some(Mode::Static));
        for more in ["", "/", "/clusters/*", "/clusters/*/"] {
            assert_eq!(endpoint(&format!("{url}{more}"), Mode::Static), url);
        }
        let workspace = "https://kcp:6443/clusters/root:org";
        assert_eq!(told_by(workspace), None);
        assert_eq!(endpoint(workspace, Mode::Kubernetes), workspace);
    }
}
