//! What the flags say of the cluster, beside its objects.

use std::collections::BTreeSet;
use weir_snapshot::{Name, Settings};

/// What does not come from objects.
#[derive(Clone)]
pub(crate) struct Given {
    /// Goes to the pods.
    pub(crate) settings: Settings,
    /// Namespaces whose Providers may use plain http.
    pub(crate) allow_plaintext_namespaces: BTreeSet<String>,
    /// Namespaces whose Secrets are watched whether or not an object needs them.
    pub(crate) secret_namespaces: BTreeSet<String>,
    /// ConfigMap of the prices that come before those of the catalogue.
    pub(crate) prices: Name,
    /// Namespace of the data plane's pods.
    pub(crate) namespace: String,
    /// The operator's own ServiceAccount as `namespace:name`.
    pub(crate) operator_account: String,
    /// Labels of the data plane's pods.
    pub(crate) dataplane_selector: String,
    /// Names of the gateway's own Services, the operator's included, in that namespace.
    pub(crate) gateway_services: BTreeSet<String>,
}

impl Given {
    /// The gateway's own Services.
    pub(crate) fn gateway_names(&self) -> Vec<Name> {
        self.gateway_services.iter().map(|service| Name::new(&self.namespace, service)).collect()
    }
}
