//! A scrape of `/metrics`, read far enough to ask for one number.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::net;

/// The text of one scrape.
#[derive(Clone, Debug)]
pub struct Metrics(String);

// === impl Metrics ===

impl Metrics {
    /// Asks a process's admin server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn scrape(admin: SocketAddr) -> Result<Self> {
        let (code, body) = net::http("GET", admin, "/metrics", None).await?;
        ensure!(code == 200, "/metrics answered {code}: {body}");
        Ok(Self(body))
    }

    /// A scrape of somebody else.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The sum of all samples of that name that carry these labels; 0 when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.0.lines().filter_map(|line| sample(line, name));
        samples
            .filter(|(found, _)| {
                labels
                    .iter()
                    .all(|(key, value)| has_label(found, key, value))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// All lines of that name, for messages.
    #[must_use]
    pub fn lines(&self, name: &str) -> String {
        self.0
            .lines()
            .filter(|l| l.starts_with(name))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The labels (between the braces) and the value of a line, if it is a sample of that name.
fn sample<'a>(line: &'a str, name: &str) -> Option<(&'a str, f64)> {
    let rest = line.strip_prefix(name)?;
    let (labels, value) = match rest.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => ("", rest.strip_prefix(' ').map(|_| rest)?),
    };
    Some((labels, value.split_whitespace().next()?.parse().ok()?))
}

fn has_label(labels: &str, key: &str, value: &str) -> bool {
    labels
        .split(',')
        .any(|label| label == format!("{key}=\"{value}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_labels() {
        let metrics = Metrics(
            "# TYPE a counter\na_total{kind=\"end\",result=\"ok\"} 2\na_total{kind=\"live\",result=\"ok\"} 3\n\
             a_total_more 9\nb 4.5\n# EOF\n"
                .to_owned(),
        );
        let cases = [
            (metrics.sum("a_total", &[]), 5.0),
            (metrics.sum("a_total", &[("kind", "end")]), 2.0),
            (metrics.sum("a_total", &[("kind", "en")]), 0.0),
            (metrics.sum("b", &[]), 4.5),
            (metrics.sum("c", &[]), 0.0),
        ];
        for (found, wanted) in cases {
            assert!(
                (found - wanted).abs() < f64::EPSILON,
                "{found} is not {wanted}"
            );
        }
    }
}
