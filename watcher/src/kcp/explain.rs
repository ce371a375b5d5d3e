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

fn remedy(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["certificate", "unknownissuer", "notvalidforname"]) {
        Some("check certificate-authority-data and server in the kubeconfig")
    } else if any(&[
        "connection refused",
        "tcp connect error",
        "dns error",
        "timed out",
    ]) {
        Some("check that kcp runs and that the kubeconfig's server is right")
    } else if any(&["unauthorized", "401"]) {
        Some("check the user's token or certificate in the kubeconfig")
    } else if any(&["forbidden", "403"]) {
        Some(
            "check the RBAC of the controller's user in the provider workspace (deploy/kcp/rbac-controller.yaml)",
        )
    } else {
        None
    }
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

    #[test]
    fn the_innermost_cause_and_the_remedy_are_told() {
        let text = explain(&Outer(Inner));
        assert!(
            text.contains("UnknownIssuer") && text.contains("certificate-authority-data"),
            "{text}"
        );
    }
}
