//! For tests: whether what a registry exports is what the table in `docs/metrics.md` says.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::{encoding::text, registry::Registry};

/// What is exported, or said, of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// As the table names it; only for what is exported with one.
    pub unit: Option<String>,
    /// The labels and their values; said of a label without a closed list: none.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

/// Metrics by the name that one asks Prometheus for.
pub type Metrics = BTreeMap<String, Shown>;

/// All rows of the tables under these headings of a page.
#[must_use]
pub fn said(page: &str, headings: &[&str]) -> Metrics {
    let mut heading = "";
    let mut metrics = Metrics::new();
    for line in page.lines() {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, kind, labels, unit, ..] = cells[..] else {
            continue;
        };
        if let Some(name) = words(name).first().filter(|_| headings.contains(&heading)) {
            let shown = Shown {
                kind: kind.to_owned(),
                unit: Some(unit.to_owned()),
                labels: labels.split(';').filter_map(label).collect(),
            };
            metrics.insert((*name).to_owned(), shown);
        }
    }
    metrics
}

/// A label and its values: all that stands between backticks.
fn label(text: &str) -> Option<(String, BTreeSet<String>)> {
    let mut words = words(text).into_iter().map(str::to_owned);
    Some((words.next()?, words.collect()))
}

fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// All that a registry exports.
///
/// # Panics
/// When a metric has no sample, so that its labels cannot be told: give it one first.
#[must_use]
pub fn exported(registry: &Registry) -> Metrics {
    let mut page = String::new();
    text::encode(&mut page, registry).expect("a string takes all of it");
    let (mut metrics, mut name) = (Metrics::new(), String::new());
    for line in page.lines() {
        if let Some((of, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            name = named(of, kind);
            let shown = metrics.entry(name.clone()).or_default();
            kind.clone_into(&mut shown.kind);
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let shown = metrics.entry(name.clone()).or_default();
            shown.unit = unit.rsplit(' ').next().map(str::to_owned);
        } else if !line.starts_with('#') {
            let shown = metrics.entry(name.clone()).or_default();
            for (label, value) in labels(line) {
                shown.labels.entry(label).or_default().insert(value);
            }
        }
    }
    let is_shown = |name: &String| page.contains(&format!("# TYPE {name} "));
    let silent: Vec<_> = registered(registry)
        .filter(|name| !is_shown(name))
        .collect();
    assert!(silent.is_empty(), "give these a sample: {silent:?}");
    metrics
}

/// The name of a metric's samples.
fn named(base: &str, kind: &str) -> String {
    match kind {
        "counter" => format!("{base}_total"),
        "info" => format!("{base}_info"),
        _ => base.to_owned(),
    }
}

/// A registry tells its names to nobody, and encodes no family that has no member.
fn registered(registry: &Registry) -> impl Iterator<Item = String> {
    let shown = format!("{registry:?}");
    let mut prefix = String::new();
    let mut names = Vec::new();
    for part in shown.split(['{', '}']) {
        if let Some(rest) = part.strip_prefix(" prefix: ") {
            let of = rest.strip_prefix("Some(Prefix(\"");
            prefix = of.map_or(String::new(), |rest| format!("{}_", until_quote(rest)));
        } else if let Some(rest) = part.strip_prefix(" name: \"") {
            let unit = rest.rsplit_once("unit: Some(").map(|(_, unit)| unit);
            let unit = unit.map_or(String::new(), |unit| format!("_{}", unit.to_lowercase()));
            let unit = unit.trim_end_matches([')', ' ']);
            names.push(format!("{prefix}{}{unit}", until_quote(rest)));
        }
    }
    names.into_iter()
}

fn until_quote(text: &str) -> &str {
    text.split('"').next().unwrap_or_default()
}

fn labels(line: &str) -> impl Iterator<Item = (String, String)> {
    let inside = line
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'));
    let pairs = inside.map_or("", |(inside, _)| inside).split("\",");
    pairs.filter_map(|pair| {
        let (label, value) = pair.split_once("=\"")?;
        let ours = label != "le";
        ours.then(|| (label.to_owned(), value.trim_end_matches('"').to_owned()))
    })
}

/// What differs: a metric that only one of them has, a type, a unit, a label, a value of a closed list.
#[must_use]
pub fn differences(exported: &Metrics, said: &Metrics) -> Vec<String> {
    let missing = exported.keys().filter(|name| !said.contains_key(*name));
    let missing = missing.map(|name| format!("{name} has no row"));
    let unknown = said.keys().filter(|name| !exported.contains_key(*name));
    let unknown = unknown.map(|name| format!("{name} has a row, but nobody exports it"));
    let both = exported.iter().filter_map(|(name, shown)| {
        let row = said.get(name)?;
        let differ = difference(shown, row)?;
        Some(format!("{name}: {differ}"))
    });
    missing.chain(unknown).chain(both).collect()
}

fn difference(exported: &Shown, said: &Shown) -> Option<String> {
    if exported.kind != said.kind {
        return Some(format!("it is a {}, not a {}", exported.kind, said.kind));
    }
    if exported.unit.is_some() && exported.unit != said.unit {
        return Some(format!("its unit is {:?}", exported.unit));
    }
    if !exported.labels.keys().eq(said.labels.keys()) {
        return Some(format!("its labels are {:?}", exported.labels.keys()));
    }
    let values = exported.labels.iter().zip(said.labels.values());
    let mut other = values.filter(|((_, values), said)| !said.is_empty() && values != said);
    let ((label, values), _) = other.next()?;
    Some(format!("the values of {label} are {values:?}"))
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        metrics::{counter::Counter, family::Family, gauge::Gauge},
        registry::Unit,
    };

    use super::*;

    const PAGE: &str = "## ours\n\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n\
        | `a_total` | counter | `result`: `ok`, `bad`; `rule`: its name | tickets | x |\n\
        | `one_b_bytes` | gauge | | bytes | y |\n## theirs\n| `c` | gauge | | 1 | z |\n";

    fn registry(results: &[&'static str]) -> Registry {
        let mut registry = Registry::default();
        let a = Family::<Vec<(&str, &str)>, Counter>::default();
        for result in results {
            drop(a.get_or_create(&vec![("result", *result), ("rule", "any")]));
        }
        registry.register("a", "A", a);
        let one = registry.sub_registry_with_prefix("one");
        one.register_with_unit("b", "B", Unit::Bytes, Gauge::<i64>::default());
        registry
    }

    fn found(results: &[&'static str], page: &str) -> Vec<String> {
        differences(&exported(&registry(results)), &said(page, &["ours"]))
    }

    #[test]
    fn a_page_that_says_what_is_exported_has_no_difference() {
        assert_eq!(found(&["ok", "bad"], PAGE), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_told() {
        let cases = [
            ("`one_b_bytes`", "`d`", "one_b_bytes has no row"),
            ("`one_b_bytes`", "`d`", "d has a row"),
            ("gauge", "counter", "one_b_bytes: it is a gauge"),
            ("| bytes", "| seconds", "one_b_bytes: its unit"),
            ("`rule`", "`role`", "a_total: its labels"),
            ("`bad`", "`worse`", "a_total: the values of result"),
        ];
        for (is, said, told) in cases {
            let found = found(&["ok", "bad"], &PAGE.replacen(is, said, 1));
            assert!(
                found.iter().any(|line| line.starts_with(told)),
                "{told}: {found:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "give these a sample: [\"a\"]")]
    fn a_family_without_a_member_is_not_overlooked() {
        let _ = found(&[], PAGE);
    }
}
