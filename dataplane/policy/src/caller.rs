//! Who calls, and what that alone decides.

use weir_snapshot::{Access, AdmittedAccount, Namespace, TrustedHeaders};

/// Longest fact about a caller that is kept, in characters: it stands in every log line.
const FACT_CHARS: usize = 256;

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
    /// Whom it asks for: from the key's Secret, or a header that the route trusts.
    pub user: Option<String>,
    /// From a header that the route trusts, else from the key's Secret, else from the namespace's label.
    pub team: Option<String>,
    /// In the same way.
    pub project: Option<String>,
    /// In the same way.
    pub cost_center: Option<String>,
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
            project: None,
            cost_center: None,
            models: Vec::new(),
        }
    }

    /// Fills in what its namespace says where nothing nearer to it did.
    pub(crate) fn fill_from(&mut self, namespace: Option<&Namespace>) {
        let Some(Namespace { team, project, cost_center, accept_routes_from: _ }) = namespace else { return };
        for (held, said) in [(&mut self.team, team), (&mut self.project, project), (&mut self.cost_center, cost_center)]
        {
            if held.is_none() {
                held.clone_from(said);
            }
        }
    }

    /// Takes over what headers say that the route trusts; `header` gives the value of one. Access is no matter of it.
    pub fn take_headers(&mut self, trusted: &TrustedHeaders, header: impl Fn(&str) -> Option<String>) {
        let TrustedHeaders { user, team, project, cost_center } = trusted;
        let said = |name: &Option<String>| {
            let text: String = header(name.as_deref()?)?.trim().chars().take(FACT_CHARS).collect();
            (!text.is_empty()).then_some(text)
        };
        for (held, name) in [
            (&mut self.user, user),
            (&mut self.team, team),
            (&mut self.project, project),
            (&mut self.cost_center, cost_center),
        ] {
            if let Some(text) = said(name) {
                *held = Some(text);
            }
        }
    }

    /// Whether the caller may name that model.
    pub fn may_name(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|held| held == model)
    }

    /// Whether a route lets the caller in.
    pub(crate) fn is_admitted_by(&self, access: &Access) -> bool {
        self.has_grant(access, |_| true)
    }

    /// Whether a route lets the caller name that model. What admits it in several ways lets it name all that any does.
    pub(crate) fn may_use(&self, access: &Access, model: &str) -> bool {
        self.has_grant(access, |models| {
            models.is_empty()
                || models.iter().any(|held| match held.strip_suffix('*') {
                    Some(prefix) => model.starts_with(prefix),
                    None => held == model,
                })
        })
    }

    /// Whether one of the ways in which a route admits the caller fits; each is the models that it may name by it,
    /// empty = all.
    fn has_grant(&self, access: &Access, fits: impl Fn(&[String]) -> bool) -> bool {
        if access.anonymous {
            return fits(&[]);
        }
        match self.kind {
            CallerKind::Anonymous => false,
            CallerKind::ApiKey => {
                let by_id = || {
                    let ids = access.api_keys.get(&self.namespace);
                    ids.is_some_and(|ids| self.key_id.as_ref().is_some_and(|id| ids.contains(id)))
                };
                (access.api_key_namespaces.contains(&self.namespace) || by_id()) && fits(&access.api_key_models)
            }
            CallerKind::ServiceAccount => access.service_accounts.iter().any(|AdmittedAccount { account, models }| {
                account.namespace == self.namespace
                    && (account.name == "*" || account.name == self.name)
                    && fits(models)
            }),
        }
    }
}
