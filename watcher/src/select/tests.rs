//! What is selected, and what cannot be meant.

use super::*;

fn read(yaml: &str) -> Result<Select, String> {
    let text = format!("{{servicesDir: s, {yaml}}}");
    let config: WatcherConfig = serde_saphyr::from_str(&text).map_err(|e| e.to_string())?;
    Select::new(&config).map_err(|e| e.to_string())
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn candidate(labels: &Labels) -> Candidate<'_> {
    Candidate {
        labels,
        workspace: Some("root:org:team-a"),
        cluster: "1abc",
        service: "sign",
    }
}

#[test]
fn labels_are_selected_as_in_kubernetes() {
    let fast = labels(&[("tier", "fast"), ("team", "a")]);
    for (yaml, wanted) in [
        ("{}", true),
        ("{matchLabels: {tier: fast}}", true),
        ("{matchLabels: {tier: fast, team: b}}", false),
        ("{matchLabels: {zone: x}}", false),
        (
            "{matchExpressions: [{key: tier, operator: In, values: [slow, fast]}]}",
            true,
        ),
        (
            "{matchExpressions: [{key: tier, operator: NotIn, values: [fast]}]}",
            false,
        ),
        (
            "{matchExpressions: [{key: zone, operator: NotIn, values: [x]}]}",
            true,
        ),
        (
            "{matchExpressions: [{key: zone, operator: In, values: [x]}]}",
            false,
        ),
        ("{matchExpressions: [{key: team, operator: Exists}]}", true),
        (
            "{matchExpressions: [{key: team, operator: DoesNotExist}]}",
            false,
        ),
        (
            "{matchLabels: {tier: fast}, matchExpressions: [{key: zone, operator: Exists}]}",
            false,
        ),
    ] {
        let select = read(&format!("select: {{labels: {yaml}}}")).unwrap();
        assert_eq!(select.selects(&candidate(&fast)), wanted, "{yaml}");
        assert_eq!(select.asks_for_labels(), yaml != "{}", "{yaml}");
    }
}

#[test]
fn all_that_is_told_must_hold_and_of_each_list_one() {
    for (yaml, wanted) in [
        ("{}", true),
        ("{workspaces: ['root:org:team-*']}", true),
        ("{workspaces: ['root:*']}", false),
        ("{workspaces: ['root:x', 'root:**']}", true),
        ("{workspaces: [1abc]}", false),
        ("{clusters: [1abc]}", true),
        ("{clusters: ['2*']}", false),
        ("{services: [publish, 'si*']}", true),
        ("{services: [publish]}", false),
        ("{services: [sign], clusters: [2abc]}", false),
        ("{services: [x], clusters: [1abc]}", false),
        (
            "{services: [sign], clusters: [1abc], workspaces: ['root:**']}",
            true,
        ),
        (
            "{services: [sign], labels: {matchLabels: {tier: fast}}}",
            false,
        ),
    ] {
        let select = read(&format!("select: {yaml}")).unwrap();
        assert_eq!(select.selects(&candidate(&Labels::new())), wanted, "{yaml}");
        assert_eq!(select.asks_for_paths(), yaml.contains("workspaces"));
    }
}

#[test]
fn a_workspace_whose_path_is_not_known_matches_no_pattern_of_paths() {
    let labels = Labels::new();
    let lost = Candidate {
        workspace: None,
        ..candidate(&labels)
    };
    let selects = |yaml: &str| read(yaml).unwrap().selects(&lost);
    assert!(!selects("select: {workspaces: ['**']}"));
    assert!(selects("select: {clusters: ['*']}") && selects("instance: a"));
}

#[test]
fn the_names_that_count_as_its_own_are_its_own_and_those_that_it_adopts() {
    let select = read("instance: new, adopts: [old]").unwrap();
    for (name, wanted) in [
        (Some("new"), true),
        (Some("old"), true),
        (Some("other"), false),
        (None, false),
    ] {
        let status = RequestStatus {
            controller: name.map(Into::into),
            ..RequestStatus::default()
        };
        assert_eq!(select.is_named(Some(&status)), wanted, "{name:?}");
    }
    assert!(!select.is_named(None));
}

#[test]
fn mistakes_are_named() {
    for (yaml, wanted) in [
        ("select: {label: {}}", "label"),
        ("select: {workspaces: ['root::a']}", "`select.workspaces`"),
        ("select: {workspaces: ['root:a**']}", "root:a**"),
        ("select: {services: ['']}", "`select.services`"),
        ("select: {clusters: ['a**']}", "`select.clusters`"),
        ("select: {services: []}", "leave the key out"),
        (
            "select: {labels: {matchExpressions: [{key: a, operator: In}]}}",
            "In and NotIn need",
        ),
        (
            "select: {labels: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
            "Exists",
        ),
        (
            "select: {labels: {matchExpressions: [{key: a, operator: Has}]}}",
            "Has",
        ),
        ("adopts: [isc]", "`adopts`"),
        ("adopts: [Old]", "`Old`"),
    ] {
        let why = read(yaml).unwrap_err();
        assert!(why.contains(wanted), "{yaml}: {why}");
    }
    assert!(read("adopts: [old]").is_ok());
}
