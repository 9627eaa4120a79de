//! The charts install what they promise: restricted pods, drains that cut nothing, least rights, clear refusals.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use weir_tests::helm::{self, NAMESPACE};
use weir_tests::repository;

fn values(more: &Value) -> Value {
    let mut values = json!({"image": {"repository": "registry.example/weir"}});
    for (key, value) in more.as_object().expect("values are an object") {
        values[key] = value.clone();
    }
    values
}

fn render(more: &Value) -> Vec<Value> {
    helm::render("weir", &values(more)).expect("the chart renders")
}

fn refusal(values: &Value) -> String {
    helm::render("weir", values).expect_err("the chart refuses")
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn a_bad_value_is_refused_with_words_that_help() {
    let image = refusal(&json!({}));
    assert!(image.contains("image.repository is not set") && image.contains("--set image.repository="), "{image}");
    let unknown = refusal(&values(&json!({"replicas": 3})));
    assert!(unknown.contains("replicas"), "{unknown}");
    let range = refusal(&values(&json!({"allowUpstreamCIDRs": ["10.0.0.0"]})));
    assert!(range.contains("allowUpstreamCIDRs") && range.contains("10.0.0.0"), "{range}");
    let namespace = refusal(&values(&json!({"secretNamespaces": ["Team A"]})));
    assert!(namespace.contains("secretNamespaces") && namespace.contains("Team A"), "{namespace}");
}

#[test]
fn a_grace_period_that_would_cut_streams_is_refused() {
    let objects = render(&json!({}));
    let pod = &named(&objects, "Deployment", "weir-dataplane")["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 660);
    let short = refusal(&values(&json!({"dataplane": {"terminationGracePeriodSeconds": 30}})));
    assert!(short.contains("terminationGracePeriodSeconds is 30, but a drain takes up to 660 s"), "{short}");
    let objects = render(&json!({"dataplane": {"drainTimeoutSeconds": 60}}));
    let pod = &named(&objects, "Deployment", "weir-dataplane")["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 120);
    let args = pod["containers"][0]["args"].as_array().expect("args");
    assert!(args.contains(&json!("--drain-timeout=60s")), "{args:?}");
    assert!(args.contains(&json!("--grace-period=120s")), "the process knows when it is killed: {args:?}");
}

#[test]
fn a_pod_serves_on_one_worker_and_holds_half_of_its_memory_unless_told_otherwise() {
    let args = |more: &Value| {
        let objects = render(more);
        named(&objects, "Deployment", "weir-dataplane")["spec"]["template"]["spec"]["containers"][0]["args"].clone()
    };
    let has = |args: &Value, arg: &str| args.as_array().expect("args").iter().any(|held| held == arg);
    let plain = args(&json!({}));
    assert!(has(&plain, "--workers=1"), "{plain}");
    assert!(!plain.to_string().contains("--max-held-bytes"), "{plain}");
    let told = args(&json!({"dataplane": {"workers": 4, "maxHeldBytes": 268_435_456}}));
    assert!(has(&told, "--workers=4") && has(&told, "--max-held-bytes=268435456"), "{told}");
    assert!(refusal(&values(&json!({"dataplane": {"workers": 0}}))).contains("workers"));
}

#[test]
fn both_pods_meet_the_restricted_security_level() {
    let objects = render(&json!({}));
    for name in ["weir-operator", "weir-dataplane"] {
        let deployment = named(&objects, "Deployment", name);
        assert!(deployment["spec"]["replicas"].as_u64() >= Some(2), "{name} outlives a pod");
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "{name} surges first");
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert!(["hostNetwork", "hostPID", "hostIPC"].iter().all(|host| pod[host].is_null()), "{name}");
        let container = &pod["containers"][0];
        assert_eq!(
            container["securityContext"],
            json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}),
            "{name}"
        );
        assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/readyz", "port": "admin"}), "{name}");
        assert_eq!(container["livenessProbe"]["httpGet"], json!({"path": "/healthz", "port": "admin"}), "{name}");
        named(&objects, "PodDisruptionBudget", name);
        named(&objects, "NetworkPolicy", name);
    }
}

#[test]
fn requests_come_over_tls_where_a_secret_is_named() {
    let objects = render(&json!({}));
    assert_eq!(
        named(&objects, "Service", "weir")["spec"]["ports"][0],
        json!({"name": "http", "port": 80, "targetPort": "http"})
    );
    let objects = render(&json!({"dataplane": {"tlsSecretName": "weir-tls"}}));
    assert_eq!(
        named(&objects, "Service", "weir")["spec"]["ports"][0],
        json!({"name": "https", "port": 443, "targetPort": "http"})
    );
    let pod = &named(&objects, "Deployment", "weir-dataplane")["spec"]["template"]["spec"];
    let args = pod["containers"][0]["args"].as_array().expect("args");
    assert!(args.contains(&json!("--tls-dir=/var/run/weir/tls")), "{args:?}");
    let volumes = pod["volumes"].as_array().expect("volumes");
    assert!(volumes.contains(&json!({"name": "tls", "secret": {"secretName": "weir-tls"}})), "{volumes:?}");
}

#[test]
fn the_data_plane_holds_no_token_that_the_api_server_takes() {
    let objects = render(&json!({}));
    let pod = &named(&objects, "Deployment", "weir-dataplane")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let volumes = pod["volumes"].as_array().expect("volumes");
    let tokens: Vec<_> = volumes.iter().filter(|volume| !volume["projected"].is_null()).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0]["projected"]["sources"][0]["serviceAccountToken"]["audience"], "weir-operator");
    let state = volumes.iter().find(|volume| volume["name"] == "state").expect("a state volume");
    assert_eq!(state["emptyDir"]["medium"], "Memory", "secrets rest in memory only");
    let bound = objects.iter().filter_map(|object| object["subjects"].as_array()).flatten();
    assert!(bound.into_iter().all(|subject| subject["name"] == "weir-operator"), "only the operator has rights");
}

#[test]
fn secrets_are_read_only_where_a_namespace_grants_it() {
    let objects = render(&json!({"secretNamespaces": ["team-a", "team-b"]}));
    let bindings: BTreeSet<_> = objects
        .iter()
        .filter(|object| object["roleRef"]["name"] == "weir-secret-reader")
        .map(|object| (object["kind"].as_str(), object["metadata"]["namespace"].as_str()))
        .collect();
    assert_eq!(bindings, [(Some("RoleBinding"), Some("team-a")), (Some("RoleBinding"), Some("team-b"))].into());
    let args = &named(&objects, "Deployment", "weir-operator")["spec"]["template"]["spec"]["containers"][0]["args"];
    for flag in ["--secret-namespace=team-a", "--secret-namespace=team-b"] {
        assert!(args.as_array().expect("args").contains(&json!(flag)), "{args}");
    }
}

#[test]
fn network_policies_let_in_only_whom_the_values_name() {
    let closed = json!({"networkPolicy": {"clientsFrom": [], "monitoringFrom": []}});
    let objects = render(&closed);
    let policy = &named(&objects, "NetworkPolicy", "weir-dataplane")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(policy["ingress"].is_null(), "no peers is no rule, never an open one: {policy}");
    let open = json!({"networkPolicy": {"upstreams": [{"cidr": "10.1.0.0/16", "ports": [8000]}]}});
    let objects = render(&open);
    let policy = &named(&objects, "NetworkPolicy", "weir-dataplane")["spec"];
    let last = policy["egress"].as_array().and_then(|rules| rules.last()).expect("egress rules");
    assert_eq!(*last, json!({"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 8000}]}));
}

/// One line of the rights table: scope, group, resources, verbs.
type Right = (String, String, String, String);

#[test]
fn the_rights_are_exactly_those_of_the_table_in_architecture_md() {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let table = text.split("<!-- rights -->").nth(1).expect("a table between two marks `<!-- rights -->`");
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let written: BTreeSet<Right> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
            assert!(cells.len() == 5 && !cells[4].is_empty(), "every right has a reason: {row}");
            (cells[0].clone(), cells[1].clone(), cells[2].clone(), cells[3].clone())
        })
        .collect();
    let rendered = rights(&render(&json!({"secretNamespaces": ["team-a"]})));
    let missing: Vec<_> = rendered.difference(&written).collect();
    let excess: Vec<_> = written.difference(&rendered).collect();
    assert!(missing.is_empty() && excess.is_empty(), "not in the table: {missing:#?}\nnot in the chart: {excess:#?}");
}

/// What the chart grants the operator, in the words of the table.
fn rights(objects: &[Value]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for binding in objects.iter().filter(|object| object["subjects"][0]["name"] == "weir-operator") {
        let role = named(
            objects,
            binding["roleRef"]["kind"].as_str().expect("a kind"),
            binding["roleRef"]["name"].as_str().expect("a name"),
        );
        let scope = match binding["metadata"]["namespace"].as_str() {
            None => "cluster",
            Some(NAMESPACE) => "own namespace",
            Some(_) => "granted namespaces",
        };
        for rule in role["rules"].as_array().expect("rules") {
            rights.insert(right(scope, rule));
        }
    }
    rights
}

fn right(scope: &str, rule: &Value) -> Right {
    let list = |key: &str| {
        let items = rule[key].as_array().into_iter().flatten().map(|item| item.as_str().expect("a text"));
        items.collect::<Vec<_>>().join(", ")
    };
    assert!(!list("verbs").contains('*') && !list("resources").contains('*'), "no wildcards: {rule}");
    let group = match rule["apiGroups"][0].as_str() {
        None => "-",
        Some("") => "core",
        Some(group) => group,
    };
    let resources = match (list("nonResourceURLs"), list("resourceNames")) {
        (urls, _) if !urls.is_empty() => urls,
        (_, names) if !names.is_empty() => {
            let all: Vec<_> = names.split(", ").collect();
            let named = if all.len() > 8 { format!("{} to {}", all[0], all[all.len() - 1]) } else { names };
            format!("{} named {named}", list("resources"))
        }
        _ => list("resources"),
    };
    (scope.to_owned(), group.to_owned(), resources, list("verbs"))
}

#[test]
fn the_crds_chart_holds_the_kinds_and_keeps_them() {
    let chart = repository().join("charts/weir-crds/templates");
    let mut names = BTreeSet::new();
    for mut definition in weir_crds::manifests() {
        let name = format!("{}.yaml", definition.spec.names.plural);
        definition.metadata.annotations = Some([("helm.sh/resource-policy".to_owned(), "keep".to_owned())].into());
        let text = serde_yaml::to_string(&definition).expect("a definition is YAML");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(chart.join(&name), &text).expect("the chart can be written");
        }
        let held = std::fs::read_to_string(chart.join(&name)).unwrap_or_default();
        assert!(held == text, "charts/weir-crds/templates/{name} is out of date; run with UPDATE=1");
        names.insert(name);
    }
    let held = std::fs::read_dir(&chart).expect("templates").map(|entry| entry.expect("a readable folder").file_name());
    assert_eq!(
        held.filter_map(|name| name.into_string().ok()).collect::<BTreeSet<_>>(),
        names,
        "nothing else is in the chart"
    );
    for object in helm::render("weir-crds", &json!({})).expect("the chart renders") {
        assert_eq!(object["kind"], "CustomResourceDefinition");
        assert_eq!(object["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}
