//! The command line of a Deployment's container, made to fit a process on this machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::Path;

use crate::apiserver::ApiServer;
use crate::helm::NAMESPACE;
use crate::kubectl;

/// Its arguments with `replace`d values, and mount paths moved below `folder`.
pub(super) fn of(deployment: &Value, folder: &Path, replace: &[(&str, &str)]) -> Vec<String> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let mounts: Vec<_> = container["volumeMounts"].as_array().into_iter().flatten().collect();
    let args = container["args"].as_array().expect("a container has arguments").iter();
    args.map(|arg| {
        let arg = arg.as_str().expect("an argument is a text");
        let Some((flag, value)) = arg.split_once('=') else { return arg.to_owned() };
        if let Some((_, value)) = replace.iter().find(|(name, _)| *name == flag) {
            return format!("{flag}={value}");
        }
        let mount = mounts.iter().filter_map(|mount| mount["mountPath"].as_str()).find(|path| value.starts_with(path));
        match mount {
            Some(path) => format!("{flag}={}", at(folder, path).display().to_string() + &value[path.len()..]),
            None => arg.to_owned(),
        }
    })
    .collect()
}

/// Its variables that come from Secrets, which must be there.
pub(super) fn secret_variables(api: &ApiServer, deployment: &Value) -> Vec<(String, String)> {
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    let of_secret = variables.filter_map(|variable| {
        let from = &variable["valueFrom"]["secretKeyRef"];
        let (secret, key) = (from["name"].as_str()?, from["key"].as_str()?);
        let path = format!("jsonpath={{.data.{key}}}");
        let value = kubectl::run(api, &["get", "secret", secret, "-n", NAMESPACE, "-o", &path], "");
        let value = STANDARD.decode(value.expect("the Secret is there")).expect("base64");
        Some((variable["name"].as_str()?.to_owned(), String::from_utf8(value).expect("a text")))
    });
    of_secret.collect()
}

/// Where a mount path lies on this machine.
pub(super) fn at(folder: &Path, mount: &str) -> std::path::PathBuf {
    folder.join(mount.trim_start_matches('/'))
}

/// The Pod that the Deployment's controller would make.
pub(super) fn pod(deployment: &Value, name: &str) -> Value {
    let mut pod =
        serde_json::json!({"apiVersion": "v1", "kind": "Pod", "spec": deployment["spec"]["template"]["spec"]});
    pod["metadata"] = serde_json::json!({
        "name": name,
        "namespace": deployment["metadata"]["namespace"],
        "labels": deployment["spec"]["template"]["metadata"]["labels"],
    });
    pod
}
