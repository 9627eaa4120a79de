//! A real API server takes the rendered chart: as restricted pods, and with rights that end where they should.

use serde_json::{Value, json};
use weir_tests::apiserver::ApiServer;
use weir_tests::helm::{self, NAMESPACE};
use weir_tests::kubectl;

fn can_i(api: &ApiServer, account: &str, question: &[&str]) -> bool {
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    kubectl::run(api, &[&["auth", "can-i", &account], question].concat(), "").success
}

fn pod_of(deployment: &Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": deployment["spec"]["template"]["spec"]});
    pod["metadata"] = json!({"name": deployment["metadata"]["name"], "namespace": NAMESPACE});
    pod
}

#[tokio::test]
async fn the_release_is_accepted_as_restricted_pods_with_least_rights() {
    let api = ApiServer::start().await;
    for namespace in [NAMESPACE, "team-a", "team-b"] {
        api.namespace(namespace).await;
    }
    let level = "pod-security.kubernetes.io/enforce=restricted";
    kubectl::run(&api, &["label", "namespace", NAMESPACE, level], "").expect("the namespace is restricted");
    let values = json!({
        "image": {"repository": "registry.example/weir"},
        "secretNamespaces": ["team-a"],
        "dataplane": {"tlsSecretName": "weir-tls", "hideTargets": true},
        "networkPolicy": {"monitoringFrom": [{"podSelector": {}}], "upstreams": [{"cidr": "10.0.0.0/8", "ports": [8000]}]},
    });
    let release = helm::render("weir", &values).expect("the chart renders");
    kubectl::apply_objects(&api, &release);
    let pods: Vec<_> = release.iter().filter(|object| object["kind"] == "Deployment").map(pod_of).collect();
    kubectl::apply_objects(&api, &pods);

    assert!(can_i(&api, "weir-operator", &["list", "secrets", "-n", "team-a"]));
    assert!(!can_i(&api, "weir-operator", &["list", "secrets", "-n", "team-b"]), "not granted there");
    assert!(!can_i(&api, "weir-operator", &["list", "secrets", "-n", NAMESPACE]), "its own CA only, by name");
    assert!(can_i(&api, "weir-operator", &["get", "secrets/weir-operator-ca", "-n", NAMESPACE]));
    assert!(can_i(&api, "weir-operator", &["create", "tokenreviews.authentication.k8s.io"]));
    for workload in ["pods", "deployments.apps", "serviceaccounts", "serviceaccounts/token"] {
        assert!(!can_i(&api, "weir-operator", &["create", workload, "-n", NAMESPACE]), "it makes no {workload}");
    }
    for right in [["get", "configmaps"], ["list", "pods"], ["get", "secrets"]] {
        assert!(
            !can_i(&api, "weir-dataplane", &[&right[..], &["-n", NAMESPACE]].concat()),
            "the data plane may nothing"
        );
    }
}
