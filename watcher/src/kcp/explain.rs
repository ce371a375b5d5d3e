//! What a failed call means and what to do about it.

use std::error::Error;

/// An error with its causes, and a remedy where one is known. Kube's own text often stops at
/// "client error (Connect)".
pub(super) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = vec![];
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        // The debug form of a whole Status repeats its message.
        let text = error
            .to_string()
            .split(" (Status {")
            .next()
            .unwrap_or_default()
            .to_owned();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    let text = parts.join(": ");
    match remedy(&text) {
        Some(remedy) => format!("{text}; {remedy}"),
        None => text,
    }
}

fn remedy(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["proxy authorization required"]) {
        Some("put user:password@ before the proxy's host, in HTTPS_PROXY or the kubeconfig's proxy-url".into())
    } else if any(&["tunnel error"]) {
        Some(
            "check the proxy that HTTPS_PROXY or the kubeconfig's proxy-url names, whether it lets this watcher \
             reach that host, and NO_PROXY"
                .into(),
        )
    } else if any(&["certificate", "unknownissuer", "notvalidforname"]) {
        Some("check certificate-authority-data and server in the kubeconfig".into())
    } else if any(&[
        "connection refused",
        "tcp connect error",
        "dns error",
        "timed out",
    ]) {
        Some("check that kcp runs and that the kubeconfig's server is right".into())
    } else if any(&["unauthorized", "401"]) {
        Some("check the user's token or certificate in the kubeconfig".into())
    } else if any(&["forbidden", "403"]) {
        Some(permission(text))
    } else {
        None
    }
}

/// Which right is missing, by what the API server forbids. A virtual workspace forbids what is asked of a
/// request, but the right for it is one to the content of the export.
fn permission(text: &str) -> String {
    const KCP: &str = "in the provider workspace (deploy/kcp/rbac-controller.yaml)";
    const ENTER: &str = "the right to enter it, ClusterRole system:kcp:workspace:access";
    let Some((verb, resource)) = forbidden(text) else {
        return format!(
            "let the watcher's user enter the workspace: bind the ClusterRole system:kcp:workspace:access to it \
             {KCP}"
        );
    };
    if resource == "apiexportendpointslices" {
        return format!(
            "let the watcher's user `{verb}` apiexportendpointslices {KCP}; everything there needs {ENTER}, too"
        );
    }
    format!(
        "let the watcher's user `{verb}` apiexports/content {KCP}, with {ENTER}; in a plain cluster `{verb}` \
         {resource} (deploy/kubernetes/rbac.yaml)"
    )
}

/// The verb and the resource of `User "x" cannot list resource "requests" in API group ...`.
fn forbidden(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, _) = rest.split_once('"')?;
    Some((verb, resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("invalid peer certificate: UnknownIssuer")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);

    #[test]
    fn a_missing_right_is_named() {
        for (said, named) in [
            (
                r#"apiexportendpointslices.apis.kcp.io is forbidden: User "isc" cannot watch resource "apiexportendpointslices" in API group "apis.kcp.io" at the cluster scope"#,
                "`watch` apiexportendpointslices in the provider workspace",
            ),
            (
                r#"requests.internal.services "a" is forbidden: User "isc" cannot patch resource "requests/status" in API group "internal.services" in the namespace "default""#,
                "`patch` apiexports/content in the provider workspace",
            ),
            (
                r#"forbidden: User "isc" cannot get path "/apis/apis.kcp.io/v1alpha1": access denied"#,
                "system:kcp:workspace:access",
            ),
        ] {
            let text = explain(&Said(said));
            assert!(text.contains(named), "{text}");
        }
    }

    #[test]
    fn trouble_with_a_proxy_is_not_taken_for_trouble_with_kcp() {
        let refused = "tunnel error: failed to create underlying connection: tcp connect error: connection refused";
        for (said, told) in [
            (
                "tunnel error: proxy authorization required",
                "user:password@",
            ),
            ("tunnel error: unsuccessful", "NO_PROXY"),
            (refused, "check the proxy"),
        ] {
            let text = explain(&Said(said));
            assert!(text.contains(told) && !text.contains("kcp runs"), "{text}");
        }
    }

    #[test]
    fn the_innermost_cause_and_the_remedy_are_told() {
        let text = explain(&Outer(Inner));
        assert!(
            text.contains("UnknownIssuer") && text.contains("certificate-authority-data"),
            "{text}"
        );
    }
}
