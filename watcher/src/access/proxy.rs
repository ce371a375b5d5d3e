//! The proxy that leads out of the private network, and what goes around it: as kubectl does it.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Where the proxy is named, as in Go: the first that is not empty counts.
const VARIABLES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
/// Where that is named which goes around it.
const AROUND: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// The port of a server whose address names none.
const HTTPS: u16 = 443;

/// A proxy that cannot be used. Its URL may have a password in it, so no error repeats it.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It is no URL.
    #[error(
        "{0} is not the URL of a proxy: write http://host:port, with user:password@ before the host where the \
         proxy asks for them (%40 for an @ in them)"
    )]
    Url(&'static str),
    /// It is of another kind.
    #[error(
        "{from} names a proxy by {scheme}://, which is not supported: use one by http:// or https://"
    )]
    Scheme {
        /// Where it is named.
        from: &'static str,
        /// What it is.
        scheme: String,
    },
}

/// A proxy, and when it is used.
#[derive(Clone)]
pub(super) struct Proxy {
    from: &'static str,
    /// A secret: it may have a password in it.
    url: String,
    /// None where it is used for everything.
    around: Option<String>,
}

// === impl Proxy ===

impl Proxy {
    /// What the environment names for https servers; none where it names none.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub(super) fn from_env(
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyError> {
        let named = |name: &'static str| Some((name, var(name).filter(|url| !url.is_empty())?));
        let Some((from, url)) = VARIABLES.into_iter().find_map(named) else {
            return Ok(None);
        };
        let around = AROUND.into_iter().find_map(named);
        let around = around.map_or_else(String::new, |(_, list)| list);
        Self::new(from, url, Some(around)).map(Some)
    }

    /// The one that a kubeconfig names: for everything, whatever the environment says.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub(super) fn from_kubeconfig(url: &str) -> Result<Self, ProxyError> {
        Self::new("`proxy-url` in the kubeconfig", url.to_owned(), None)
    }

    fn new(from: &'static str, url: String, around: Option<String>) -> Result<Self, ProxyError> {
        let parsed: Uri = url.parse().map_err(|_| ProxyError::Url(from))?;
        if !is_plain(&parsed) {
            return Err(ProxyError::Url(from));
        }
        match parsed.scheme_str() {
            None | Some("http" | "https") => Ok(Self { from, url, around }),
            Some(scheme) => Err(ProxyError::Scheme {
                from,
                scheme: scheme.to_owned(),
            }),
        }
    }

    /// The way to that server; none when it is direct.
    pub(super) fn way_to(&self, server: &Uri) -> Option<Intercept> {
        let url = self.url.as_str();
        let matcher = match &self.around {
            None => Matcher::builder().all(url).build(),
            Some(_) if is_loopback(server) => return None,
            Some(list) => {
                let list = around(list, server.port_u16().unwrap_or(HTTPS));
                // The matcher asks this of names alone.
                if list.split(',').any(|entry| entry == "*") {
                    return None;
                }
                Matcher::builder().https(url).no(list).build()
            }
        };
        matcher.intercept(server)
    }

    /// What names it.
    pub(super) fn named_by(&self) -> &'static str {
        self.from
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Whether it is a host, perhaps with a port and a login before it: an `@` or a slash in a password makes
/// something else of it, of which a part would be shown as the host.
fn is_plain(url: &Uri) -> bool {
    let Some(authority) = url.authority() else {
        return false;
    };
    let (login, place) = authority
        .as_str()
        .rsplit_once('@')
        .unwrap_or(("", authority.as_str()));
    let is_whole = place == authority.host() || authority.port_u16().is_some();
    !authority.host().is_empty() && !login.contains('@') && is_whole && !url.path().contains('@')
}

/// Go sends nothing there through a proxy that the environment names, so kubectl does not either.
fn is_loopback(server: &Uri) -> bool {
    let host = bare(server.host().unwrap_or_default());
    let is_loopback = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

/// What of a `NO_PROXY` list counts for a server at that port, in the form that the matcher knows: it has no
/// ports, and says `.example.com` for `*.example.com`.
fn around(list: &str, port: u16) -> String {
    let of_port = |entry: &str| {
        let (host, only) = parts(entry.trim());
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        only.is_none_or(|only| only == port)
            .then(|| host.to_owned())
    };
    let entries: Vec<String> = list.split(',').filter_map(of_port).collect();
    entries.join(",")
}

/// The host of an entry, and its port. An IPv6 address or network has colons of its own.
fn parts(entry: &str) -> (&str, Option<u16>) {
    let whole = (bare(entry), None);
    if entry.parse::<IpAddr>().is_ok() || entry.contains('/') {
        return whole;
    }
    let with_port = entry.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse().ok()?;
        Some((bare(host), Some(port)))
    });
    with_port.unwrap_or(whole)
}

fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a server is reached through, with these variables.
    fn way(variables: &[(&str, &str)], server: &str) -> Option<String> {
        let var = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = Proxy::from_env(var).unwrap()?;
        let way = proxy.way_to(&server.parse().unwrap())?;
        Some(way.uri().to_string())
    }

    const KCP: &str = "https://kcp.example.com:6443/clusters/root:org";

    #[test]
    fn https_servers_are_reached_through_what_the_environment_names() {
        let through = Some("http://proxy:3128/".to_owned());
        assert_eq!(way(&[], KCP), None);
        assert_eq!(way(&[("HTTPS_PROXY", "")], KCP), None);
        for (name, url) in [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("https_proxy", "http://proxy:3128/"),
            ("HTTPS_PROXY", "proxy:3128"),
        ] {
            assert_eq!(way(&[(name, url)], KCP), through, "{name}={url}");
        }
        let both = [
            ("https_proxy", "http://other:1"),
            ("HTTPS_PROXY", "http://proxy:3128"),
        ];
        assert_eq!(way(&both, KCP), through, "the upper case wins");
        assert_eq!(way(&[("HTTP_PROXY", "http://proxy:3128")], KCP), None);
        let plain = KCP.replace("https", "http");
        assert_eq!(way(&[("HTTPS_PROXY", "http://proxy:3128")], &plain), None);
    }

    #[test]
    fn no_proxy_is_judged_for_each_server() {
        for (list, server, direct) in [
            ("kcp.example.com", KCP, true),
            ("KCP.example.COM", KCP, true),
            ("example.com", KCP, true),
            (".example.com", KCP, true),
            ("*.example.com", KCP, true),
            ("*", KCP, true),
            ("ample.com", KCP, false),
            ("other.example.com", KCP, false),
            ("kcp.example.com:6443", KCP, true),
            ("kcp.example.com:443", KCP, false),
            ("example.com:443", "https://kcp.example.com", true),
            (" a.b , kcp.example.com,", KCP, true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", true),
            ("10.0.0.0/8", "https://11.1.2.3:6443", false),
            ("10.1.2.3", "https://10.1.2.3:6443", true),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", true),
            ("fd00::/8", "https://[fd00::1]:6443", true),
            ("fd00::1", "https://[fd00::1]:6443", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
            ("[fd00::1]:443", "https://[fd00::1]:6443", false),
            ("*", "https://10.1.2.3:6443", true),
            ("a.b,*:6443", "https://10.1.2.3:6443", true),
            ("*:443", KCP, false),
            ("", "https://127.0.0.1:6443", true),
            ("", "https://[::1]:6443", true),
            ("", "https://localhost:6443", true),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                let variables = [("HTTPS_PROXY", "http://proxy:3128"), (name, list)];
                let is_direct = way(&variables, server).is_none();
                assert_eq!(is_direct, direct, "{name}={list} and {server}");
            }
        }
    }

    #[test]
    fn the_kubeconfig_wins_and_nothing_goes_around_it() {
        let proxy = Proxy::from_kubeconfig("http://proxy:3128").unwrap();
        for server in [KCP, "https://127.0.0.1:6443", "http://10.0.0.1"] {
            assert!(proxy.way_to(&server.parse().unwrap()).is_some(), "{server}");
        }
    }

    #[test]
    fn a_password_is_sent_as_it_is_meant_and_shown_nowhere() {
        let proxy = Proxy::from_kubeconfig("http://isc:p%40ss%3Aword@proxy:3128").unwrap();
        let way = proxy.way_to(&KCP.parse().unwrap()).unwrap();
        // `isc:p@ss:word`.
        assert_eq!(way.basic_auth().unwrap(), "Basic aXNjOnBAc3M6d29yZA==");
        assert!(way.basic_auth().unwrap().is_sensitive());
        for shown in [way.uri().to_string(), format!("{proxy:?} {way:?}")] {
            assert!(!shown.contains("word"), "{shown}");
        }
    }

    #[test]
    fn a_wrong_proxy_is_named_by_its_variable_and_not_repeated() {
        for (url, told) in [
            ("http://", "HTTPS_PROXY is not the URL of a proxy"),
            (
                "http://secret word@proxy",
                "HTTPS_PROXY is not the URL of a proxy",
            ),
            ("/secret", "HTTPS_PROXY is not the URL of a proxy"),
            (
                "http://isc:p@secret@proxy:3128",
                "HTTPS_PROXY is not the URL of a proxy",
            ),
            (
                "http://isc:secret/x@proxy",
                "HTTPS_PROXY is not the URL of a proxy",
            ),
            (
                "http://isc/secret@proxy",
                "HTTPS_PROXY is not the URL of a proxy",
            ),
            (
                "socks5://secret@proxy",
                "HTTPS_PROXY names a proxy by socks5://",
            ),
        ] {
            let var = |name: &str| (name == "HTTPS_PROXY").then(|| url.to_owned());
            let said = Proxy::from_env(var).unwrap_err().to_string();
            assert!(
                said.contains(told) && !said.contains("secret"),
                "{url}: {said}"
            );
        }
        let said = Proxy::from_kubeconfig("a b").unwrap_err().to_string();
        assert!(said.contains("`proxy-url`"), "{said}");
    }
}
