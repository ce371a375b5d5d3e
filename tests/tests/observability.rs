//! The dashboard and the alert rules in `deploy/observability`: that they ask only for metrics that exist, and
//! that nobody who is alerted is left alone. What the rules do, promtool tests (scripts/check-observability.sh).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
}

fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(path(name)).with_context(|| name.to_owned())
}

fn yaml(text: &str) -> Result<Value> {
    Ok(serde_saphyr::from_str(text)?)
}

/// All names that a query may use: those of docs/metrics.md, which unit tests compare with the code.
fn metrics() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for row in read("docs/metrics.md")?.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let ["", name, kind, ..] = cells[..] else {
            continue;
        };
        let Some(name) = name
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        names.insert(name.to_owned());
        if kind == "histogram" {
            let parts = ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"));
            names.extend(parts);
        }
    }
    ensure!(
        names.len() > 40,
        "docs/metrics.md has too few rows: {names:?}"
    );
    Ok(names)
}

/// What in a query looks like one of our metrics, or one of a process.
fn asked(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("isc_") || word.starts_with("process_"))
}

fn list<'a>(of: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    of[key]
        .as_array()
        .with_context(|| format!("{key} is no list in {of}"))
}

fn rules() -> Result<BTreeMap<String, Value>> {
    let file = yaml(&read("deploy/observability/alerts.yaml")?)?;
    let mut rules = BTreeMap::new();
    for group in list(&file, "groups")? {
        for rule in list(group, "rules")? {
            let name = rule["alert"].as_str().context("a rule without a name")?;
            let twice = rules.insert(name.to_owned(), rule.clone());
            ensure!(twice.is_none(), "{name} is there twice");
        }
    }
    ensure!(rules.len() > 20, "{rules:?}");
    Ok(rules)
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist_and_says_what_it_shows() -> Result<()> {
    let metrics = metrics()?;
    let dashboard: Value =
        serde_json::from_str(&read("deploy/observability/grafana-dashboard.json")?)?;
    let mut queries = 0;
    for panel in list(&dashboard, "panels")? {
        let title = panel["title"].as_str().unwrap_or_default();
        ensure!(!title.is_empty(), "a panel without a title: {panel}");
        if panel["type"] == "row" {
            continue;
        }
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        ensure!(
            unit.is_some_and(|unit| !unit.is_empty()),
            "{title} has no unit"
        );
        ensure!(
            panel["description"].is_string(),
            "{title} has no description"
        );
        for target in list(panel, "targets")? {
            let query = target["expr"].as_str().context("no query")?;
            ensure!(
                asked(query).next().is_some(),
                "{title} asks for nothing: {query}"
            );
            for name in asked(query) {
                ensure!(metrics.contains(name), "{title}: there is no metric {name}");
            }
            ensure!(
                query.contains("$instance"),
                "{title} shows all processes: {query}"
            );
            ensure!(
                target["datasource"]["uid"] == "${datasource}",
                "{title}: {target}"
            );
            queries += 1;
        }
    }
    ensure!(queries > 40, "{queries} queries");
    let variables = list(&dashboard["templating"], "list")?;
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    Ok(())
}

#[test]
fn every_alert_asks_for_metrics_that_exist_and_has_its_section() -> Result<()> {
    let metrics = metrics()?;
    let page = read("docs/operations.md")?;
    let section = page
        .split("\n## ")
        .find(|part| part.starts_with("Alerts\n"));
    let headings = section.context("no section Alerts")?.lines();
    let told: BTreeSet<&str> = headings
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let rules = rules()?;
    let names: BTreeSet<&str> = rules.keys().map(String::as_str).collect();
    assert_eq!(
        names, told,
        "the alerts, and the sections of docs/operations.md"
    );
    for (name, rule) in &rules {
        let query = rule["expr"].as_str().context("no query")?;
        for metric in asked(query) {
            ensure!(
                metrics.contains(metric),
                "{name}: there is no metric {metric}"
            );
        }
        let runbook = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook"], runbook, "{name}");
        ensure!(
            rule["annotations"]["summary"].is_string(),
            "{name}: no summary"
        );
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        ensure!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: severity {severity}"
        );
    }
    Ok(())
}

#[test]
fn every_alert_is_tested_quiet_and_firing() -> Result<()> {
    let file = yaml(&read("deploy/observability/alerts.test.yaml")?)?;
    let (mut quiet, mut firing) = (BTreeSet::new(), BTreeSet::new());
    for test in list(&file, "tests")? {
        for case in list(test, "alert_rule_test")? {
            let name = case["alertname"].as_str().context("no name")?.to_owned();
            match case["exp_alerts"].as_array() {
                Some(alerts) if !alerts.is_empty() => firing.insert(name),
                _ => quiet.insert(name),
            };
        }
    }
    let rules: BTreeSet<String> = rules()?.into_keys().collect();
    assert_eq!(quiet, rules, "without a quiet case");
    assert_eq!(firing, rules, "without a firing case");
    Ok(())
}

#[test]
fn the_prometheus_rule_has_the_same_groups() -> Result<()> {
    let script = path("deploy/observability/prometheusrule.sh");
    let printed = Command::new(script).output()?;
    ensure!(printed.status.success(), "{printed:?}");
    let object = yaml(&String::from_utf8(printed.stdout)?)?;
    assert_eq!(object["kind"], "PrometheusRule");
    let file = yaml(&read("deploy/observability/alerts.yaml")?)?;
    assert_eq!(object["spec"], file);
    Ok(())
}
