//! Who calls, and what that alone decides.

use crate::short::short;
use crate::{Certificate, Token};
use std::sync::Arc;
use weir_snapshot::{Access, AdmittedAccount, ClaimPaths, Namespace, Priority, TrustedHeaders};

/// Longest fact about a caller that is kept as it is, in bytes: it stands in every log line.
const FACT_BYTES: usize = 256;
/// Groups that are kept, for the same reason; access looks at all of a token.
const MOST_GROUPS: usize = 32;

/// How a caller proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they speak for themselves")]
pub enum CallerKind {
    Anonymous,
    ApiKey,
    ServiceAccount,
    Jwt,
    Certificate,
}

impl CallerKind {
    /// As it stands in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::ApiKey => "api_key",
            Self::ServiceAccount => "service_account",
            Self::Jwt => "jwt",
            Self::Certificate => "certificate",
        }
    }
}

/// A caller, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How it proved itself.
    pub kind: CallerKind,
    /// Its namespace; for a token of another issuer the one that its audience belongs to, for a certificate that of
    /// its subject. Empty when there is none.
    pub namespace: String,
    /// Name of the ServiceAccount, or of the key's Secret; the token's subject; the first name of the certificate.
    pub name: String,
    /// UID of the ServiceAccount, where a token said it.
    pub uid: Option<String>,
    /// Id of the API key.
    pub key_id: Option<String>,
    /// Whom it asks for: from the key's Secret, a claim, or a header that the route trusts.
    pub user: Option<String>,
    /// From a header that the route trusts, else from the key's Secret or a claim, else from the namespace's label.
    pub team: Option<String>,
    /// In the same way.
    pub project: Option<String>,
    /// In the same way.
    pub cost_center: Option<String>,
    /// The session that it asks in, from a header that the route trusts.
    pub session: Option<String>,
    /// The agent within that session, in the same way.
    pub agent: Option<String>,
    /// The team that the label of its namespace names; every Budget believes it.
    pub namespace_team: Option<String>,
    /// Who said what of its user and team, a later one over an earlier one.
    pub statements: Vec<Statement>,
    /// Who goes first at a provider without room, by the label of its namespace.
    pub priority: Priority,
    /// Groups that its token names.
    pub groups: Vec<String>,
    /// Models that the key may name; empty = all.
    pub models: Vec<String>,
    /// The token of another issuer that it came with.
    pub token: Option<Arc<Token>>,
    /// The client certificate of its connection, where it came with no other credential.
    pub certificate: Option<Arc<Certificate>>,
}

/// What somebody says of a caller's user and team: the annotations of a key's Secret, the claims of a token, or headers
/// that a route trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The namespace that says it: of the Secret, of the route, or of the route that names the token's issuer.
    pub by: String,
    /// The user.
    pub user: Option<String>,
    /// The team.
    pub team: Option<String>,
}

/// Whom a caller asks for, as far as a namespace believes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Believed<'a> {
    /// The user.
    pub user: Option<&'a str>,
    /// The team.
    pub team: Option<&'a str>,
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
            session: None,
            agent: None,
            namespace_team: None,
            statements: Vec::new(),
            priority: Priority::default(),
            groups: Vec::new(),
            models: Vec::new(),
            token: None,
            certificate: None,
        }
    }

    /// Fills in what its namespace says where nothing nearer to it did.
    pub(crate) fn fill_from(&mut self, namespace: Option<&Namespace>) {
        let Some(Namespace { team, project, cost_center, priority, accept_routes_from: _ }) = namespace else { return };
        self.priority = *priority;
        self.namespace_team.clone_from(team);
        for (held, said) in [(&mut self.team, team), (&mut self.project, project), (&mut self.cost_center, cost_center)]
        {
            if held.is_none() {
                held.clone_from(said);
            }
        }
    }

    /// Whom it asks for, as far as Budgets and rates of one namespace believe it. They believe the label of the
    /// caller's namespace, the platform and their own namespace. What another namespace says could spend their pots in
    /// the name of others, or pass them by under ever new names.
    pub fn believed_by(&self, namespace: &str, platform: &str) -> Believed<'_> {
        let mut held = Believed { user: None, team: self.namespace_team.as_deref() };
        for Statement { by, user, team } in &self.statements {
            if by == namespace || by == platform {
                held.user = user.as_deref().or(held.user);
                held.team = team.as_deref().or(held.team);
            }
        }
        held
    }

    /// Notes what a namespace says of its user and team.
    pub(crate) fn is_said(&mut self, by: &str, user: Option<String>, team: Option<String>) {
        if user.is_none() && team.is_none() {
            return;
        }
        match self.statements.last_mut().filter(|last| last.by == by) {
            Some(last) => {
                last.user = user.or(last.user.take());
                last.team = team.or(last.team.take());
            }
            None => self.statements.push(Statement { by: by.to_owned(), user, team }),
        }
    }

    /// Takes over what its token says by the claims that the access of a route names, whose namespace that is.
    pub(crate) fn take_claims(&mut self, namespace: &str, access: &Access) {
        let Some(token) = &self.token else { return };
        let is_of = |issuer: &&_| token.is_of(namespace, issuer) && token.has_grant(issuer, &|_| true);
        let Some(issuer) = access.jwt.iter().find(is_of) else { return };
        let ClaimPaths { user, team, project, cost_center, groups } = &issuer.claims;
        let said = |path: &Option<String>| fact(&token.claims.text(path.as_deref()?)?);
        let facts = [user, team, project, cost_center].map(said);
        let groups = groups.iter().flat_map(|path| token.claims.texts(path));
        self.groups = groups.take(MOST_GROUPS).filter_map(fact).collect();
        self.take(namespace, facts);
    }

    /// Takes over what headers say that a route of that namespace trusts; `header` gives the value of one.
    pub(crate) fn take_headers(
        &mut self,
        namespace: &str,
        trusted: &TrustedHeaders,
        header: impl Fn(&str) -> Option<String>,
    ) {
        let TrustedHeaders { user, team, project, cost_center, session, agent } = trusted;
        let said = |name: &Option<String>| fact(header(name.as_deref()?)?.trim());
        self.take(namespace, [user, team, project, cost_center].map(said));
        [self.session, self.agent] = [session, agent].map(said);
    }

    /// Takes over user, team, project and cost centre as a namespace says them.
    fn take(&mut self, by: &str, [user, team, project, cost_center]: [Option<String>; 4]) {
        self.is_said(by, user.clone(), team.clone());
        for (held, said) in [
            (&mut self.user, user),
            (&mut self.team, team),
            (&mut self.project, project),
            (&mut self.cost_center, cost_center),
        ] {
            if said.is_some() {
                *held = said;
            }
        }
    }

    /// Whether the caller may name that model.
    pub fn may_name(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|held| held == model)
    }

    /// Whether a route of that namespace lets the caller in.
    pub(crate) fn is_admitted_by(&self, namespace: &str, access: &Access) -> bool {
        self.has_grant(namespace, access, |_| true)
    }

    /// Whether it lets the caller name that model. What admits it in several ways lets it name all that any does.
    pub(crate) fn may_use(&self, namespace: &str, access: &Access, model: &str) -> bool {
        self.has_grant(namespace, access, |models| {
            models.is_empty()
                || models.iter().any(|held| match held.strip_suffix('*') {
                    Some(prefix) => model.starts_with(prefix),
                    None => held == model,
                })
        })
    }

    /// Whether one of the ways in which a route admits the caller fits; each is the models that it may name by it,
    /// empty = all.
    fn has_grant(&self, namespace: &str, access: &Access, fits: impl Fn(&[String]) -> bool) -> bool {
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
            CallerKind::Jwt => self.token.as_ref().is_some_and(|token| {
                access.jwt.iter().any(|issuer| token.is_of(namespace, issuer) && token.has_grant(issuer, &fits))
            }),
            CallerKind::Certificate => self.certificate.as_ref().is_some_and(|certificate| {
                access.certificates.iter().any(|held| fits(&held.models) && certificate.is_of(&held.subject))
            }),
        }
    }
}

/// What is said of a caller; an empty text says nothing.
fn fact(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| short(text, FACT_BYTES))
}
