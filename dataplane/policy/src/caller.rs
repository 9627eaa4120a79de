//! Who calls, and what that alone decides.

use weir_snapshot::Access;

/// How a caller proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they speak for themselves")]
pub enum CallerKind {
    Anonymous,
    ApiKey,
    ServiceAccount,
}

impl CallerKind {
    /// As it stands in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::ApiKey => "api_key",
            Self::ServiceAccount => "service_account",
        }
    }
}

/// A caller, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How it proved itself.
    pub kind: CallerKind,
    /// Its namespace; empty when anonymous.
    pub namespace: String,
    /// Name of the ServiceAccount, or of the key's Secret.
    pub name: String,
    /// UID of the ServiceAccount.
    pub uid: Option<String>,
    /// Id of the API key.
    pub key_id: Option<String>,
    /// Whom the key's Secret names as its user.
    pub user: Option<String>,
    /// From the key's Secret, else from the namespace's label.
    pub team: Option<String>,
    /// Models that the key may name; empty = all.
    pub models: Vec<String>,
}

impl Caller {
    /// Somebody without a credential.
    pub fn anonymous() -> Self {
        Self {
            kind: CallerKind::Anonymous,
            namespace: String::new(),
            name: String::new(),
            uid: None,
            key_id: None,
            user: None,
            team: None,
            models: Vec::new(),
        }
    }

    /// Whether the caller may name that model.
    pub fn may_name(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|held| held == model)
    }

    pub(crate) fn is_admitted_by(&self, access: &Access) -> bool {
        match self.kind {
            CallerKind::Anonymous => access.anonymous,
            CallerKind::ApiKey => {
                access.anonymous
                    || access.api_key_namespaces.contains(&self.namespace)
                    || access
                        .api_keys
                        .get(&self.namespace)
                        .is_some_and(|ids| self.key_id.as_ref().is_some_and(|id| ids.contains(id)))
            }
            CallerKind::ServiceAccount => {
                access.anonymous
                    || access
                        .service_accounts
                        .iter()
                        .any(|held| held.namespace == self.namespace && (held.name == "*" || held.name == self.name))
            }
        }
    }
}
