//! What the `kinds` section may and may not say.

use super::*;

#[test]
fn request_is_served_without_a_word_and_others_next_to_it() {
    let ids = |yaml: &str| -> Vec<String> {
        let kinds = kinds(yaml).unwrap();
        kinds.iter().map(|kind| kind.id().to_string()).collect()
    };
    assert_eq!(ids(""), ["requests.internal.services"]);
    let two = "kinds:
- {profile: konflux-internal-request, endpointSlice: appstudio.redhat.com}
- {group: a.example, version: v1, kind: Job, plural: jobs, service: sign}";
    let wanted = [
        "internalrequests.appstudio.redhat.com",
        "jobs.a.example",
        "requests.internal.services",
    ];
    assert_eq!(ids(two), wanted);
    let kinds = kinds(two).unwrap();
    let kind = kinds.get("internalrequests.appstudio.redhat.com").unwrap();
    assert_eq!(
        (
            &*kind.served().group,
            &*kind.served().version,
            &*kind.served().kind,
            &*kind.served().plural,
            kind.served().slice.as_deref()
        ),
        (
            "appstudio.redhat.com",
            "v1alpha1",
            "InternalRequest",
            "internalrequests",
            Some("appstudio.redhat.com")
        )
    );
    assert_eq!(kinds.get("jobs.a.example").unwrap().served().slice, None);
}

#[test]
fn every_mistake_names_its_key() {
    let named = "group: a.example, version: v1, kind: Job, plural: jobs";
    let whole = format!("{named}, service: sign");
    let konflux = "profile: konflux-internal-request";
    for (entry, words) in [
        ("version: v1, kind: Job, plural: jobs, service: s".to_owned(), "kinds[0].group` is missing"),
        ("group: a.example, kind: Job, plural: jobs, service: s".into(), "kinds[0].version` is missing"),
        ("group: a.example, version: v1, plural: jobs, service: s".into(), "kinds[0].kind` is missing"),
        ("group: a.example, version: v1, kind: Job, service: s".into(), "kinds[0].plural` is missing"),
        (whole.replace("a.example", "example"), "kinds[0].group` must be an API group"),
        (whole.replace("v1", "V1"), "kinds[0].version`"),
        (whole.replace("Job", "job"), "kinds[0].kind`"),
        (whole.replace("jobs", "Jobs"), "kinds[0].plural`"),
        (format!("{whole}, endpointSlice: A"), "kinds[0].endpointSlice`"),
        (named.into(), "kinds[0].service` is missing: set it to a service's name"),
        (format!("{named}, service: Sign"), "kinds[0].service` must be the name of a service"),
        (format!("{named}, service: {{}}"), "kinds[0].service` needs `field"),
        (format!("{named}, service: {{field: /spec/a, label: b}}"), "keep one of them"),
        (format!("{named}, service: {{feild: /spec/a}}"), "feild"),
        (format!("{named}, service: [a]"), "a service's name, or {field"),
        (format!("{named}, service: {{field: spec.a}}"), "kinds[0].service.field` must be a JSON pointer"),
        (format!("{named}, service: {{label: '-a'}}"), "kinds[0].service.label`"),
        (format!("{named}, service: {{field: /spec/a, map: {{}}}}"), "kinds[0].service.map` is empty"),
        (format!("{named}, service: {{field: /spec/a, map: {{a: B}}}}"), "kinds[0].service.map` must be the name"),
        (format!("{whole}, params: /status/a"), "kinds[0].params` must be a JSON pointer"),
        (format!("{whole}, params: /spec/a~2"), "kinds[0].params` must be"),
        (format!("{whole}, params: /spec//a"), "kinds[0].params` must be"),
        (format!("{whole}, cancel: /specs"), "kinds[0].cancel`"),
        (format!("{whole}, timeout: 5m"), "kinds[0].timeout`"),
        (format!("{whole}, idempotencyKey: {{}}"), "kinds[0].idempotencyKey` has no parts"),
        (format!("{whole}, idempotencyKey: {{labels: ['a b']}}"), "kinds[0].idempotencyKey.labels`"),
        (format!("{whole}, idempotencyKey: {{fields: [a]}}"), "kinds[0].idempotencyKey.fields`"),
        (format!("{whole}, onConflict: Replace"), "kinds[0].onConflict` means nothing without"),
        (format!("{whole}, idempotencyKey: {{labels: [a]}}, onConflict: replace"), "must be Attach, Replace or Reject"),
        (format!("{whole}, colour: red"), "colour"),
        (format!("{whole}}}\n- {{{whole}"), "kinds[1]` is a second entry for jobs.a.example"),
        (
            "group: internal.services, version: v1alpha1, kind: Request, plural: requests, service: s".into(),
            "kinds[0]` is a second entry for requests.internal.services",
        ),
        ("profile: konflux".into(), "konflux-internal-request"),
        (format!("{konflux}, params: /spec/params"), "kinds[0].params` is decided by `profile`"),
        (format!("{named}, profile: request, service: s"), "kinds[0].service` is decided by `profile`"),
        (format!("{named}, profile: request, cancel: /spec/a"), "kinds[0].cancel` is decided"),
        ("profile: request".into(), "kinds[0].group` is missing"),
        (format!("{konflux}, service: {{label: a}}"), "set only `map`"),
    ] {
        let error = kinds(&format!("kinds:\n- {{{entry}}}")).unwrap_err();
        assert!(error.contains(words), "{entry}\n  {error}\n  lacks {words}");
    }
}

#[test]
fn the_two_forms_of_a_shipped_type_have_the_same_schema() {
    for name in ["myorg", "konflux"] {
        let (kind, crd) = shipped(name);
        let path = format!("{}/../deploy/kinds/{name}", env!("CARGO_MANIFEST_DIR"));
        let read = |file: &str| -> Value {
            let text = std::fs::read_to_string(format!("{path}/{file}")).unwrap();
            serde_saphyr::from_str(&text).unwrap()
        };
        let (schema, export) = (read("apiresourceschema.yaml"), read("apiexport.yaml"));
        for part in ["group", "names", "scope"] {
            assert_eq!(schema["spec"][part], crd["spec"][part], "{name} {part}");
        }
        let version = &crd["spec"]["versions"][0];
        assert_eq!(
            schema["spec"]["versions"][0]["schema"], version["schema"]["openAPIV3Schema"],
            "{name}"
        );
        let names = &crd["spec"]["names"];
        assert_eq!(
            (&*kind.served().kind, &*kind.served().plural),
            (
                names["kind"].as_str().unwrap(),
                names["plural"].as_str().unwrap()
            )
        );
        assert_eq!(
            (&*kind.served().group, &*kind.served().version),
            (
                crd["spec"]["group"].as_str().unwrap(),
                version["name"].as_str().unwrap()
            )
        );
        assert_eq!(
            export["spec"]["resources"][0]["schema"], schema["metadata"]["name"],
            "{name}"
        );
        assert_eq!(
            export["metadata"]["name"].as_str(),
            kind.served().slice.as_deref(),
            "{name}"
        );
    }
}
