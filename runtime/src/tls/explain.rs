//! What went wrong in a handshake, with the remedy.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError};

/// The words for a failed handshake, or a connection that the peer ended over one: none where the error has
/// nothing to do with TLS. `section` is where the own files are configured, as in `amqp.tls`.
#[must_use]
pub fn explain(error: &(dyn Error + 'static), section: &str) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = tls(error) {
            return Some(words(found, section));
        }
        next = error.source();
    }
    None
}

fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    // An I/O error passes over what is directly in it when it is asked for its source.
    let inside = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| {
            inner
                .downcast_ref::<rustls::Error>()
                .or_else(|| tls(inner as &(dyn Error + 'static)))
        });
    inside.or_else(|| error.downcast_ref::<rustls::Error>())
}

fn words(error: &rustls::Error, section: &str) -> String {
    use CertificateError as Cert;
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            Cert::NotValidForName | Cert::NotValidForNameContext { .. } => format!(
                "the peer's certificate has another name ({error}): connect to a name that is in it, or set `{section}.serverName`"
            ),
            Cert::Expired | Cert::ExpiredContext { .. } => {
                format!("the peer's certificate has ended ({error}): renew it there")
            }
            Cert::NotValidYet | Cert::NotValidYetContext { .. } => {
                format!("the peer's certificate is not valid yet ({error}): check both clocks")
            }
            Cert::UnknownIssuer | Cert::BadSignature => format!(
                "the peer's certificate comes from an authority that is not in `{section}.caFile` ({error})"
            ),
            _ => format!("the peer's certificate cannot be used: {error}"),
        },
        rustls::Error::AlertReceived(alert) => alerted(*alert, section),
        rustls::Error::InvalidMessage(_) => {
            format!("the peer does not speak TLS ({error}): is it its port for plain text?")
        }
        rustls::Error::NoCertificatesPresented => {
            "the peer shows no certificate: give it one".to_owned()
        }
        _ => error.to_string(),
    }
}

fn alerted(alert: AlertDescription, section: &str) -> String {
    use AlertDescription as Alert;
    let remedy = match alert {
        Alert::UnknownCA | Alert::DecryptError | Alert::BadCertificate => {
            "comes from an authority that it does not trust"
        }
        Alert::CertificateExpired => "has ended: renew it",
        Alert::CertificateRequired => "is missing",
        Alert::CertificateUnknown | Alert::UnsupportedCertificate | Alert::AccessDenied => {
            "does not please it"
        }
        _ => return format!("the peer refuses the connection ({alert:?})"),
    };
    format!(
        "the peer refuses our certificate ({alert:?}), which {remedy}: check `{section}.certFile`"
    )
}
