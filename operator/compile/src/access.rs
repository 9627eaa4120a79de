//! Who may use a route, as pods check it.
//!
//! It fails closed: whoever cannot be resolved or has not agreed is left out.

use crate::claimed::Credential;
use crate::findings::{Findings, Gravity};
use crate::index::Index;
use crate::jwt::{self, Keys, Scene};
use crate::reference;
use std::collections::{BTreeMap, BTreeSet};
use weir_crds::{ApiKeys, LLMRouteSpec};
use weir_snapshot::{Access, AccountRef, AdmittedAccount, AdmittedCertificate, TrustedHeaders};

const API_KEYS: &str = "spec.access.apiKeys";

/// The access of a route, and the keys that the tokens of its callers are checked by; without any said, for the
/// ServiceAccounts and keys of its own namespace.
pub(crate) fn build(spec: &LLMRouteSpec, scene: &Scene<'_>, findings: &mut Findings) -> (Access, Keys) {
    let Scene { namespace: own, index, served, .. } = *scene;
    let Some(spec) = &spec.access else {
        let access = Access {
            service_accounts: vec![AdmittedAccount {
                account: AccountRef { namespace: own.to_owned(), name: "*".into() },
                models: Vec::new(),
            }],
            api_key_namespaces: vec![own.to_owned()],
            ..Access::default()
        };
        return (access, Keys::default());
    };
    let (jwt, token_keys) = jwt::build(&spec.jwt, scene, findings);
    let mut access = Access {
        anonymous: spec.anonymous.unwrap_or(false),
        service_accounts: accounts(&spec.service_accounts, scene, findings),
        jwt,
        certificates: certificates(&spec.certificates, scene, findings),
        ..Access::default()
    };
    if let Some(keys) = &spec.api_keys {
        access.api_key_models = served.rights(&keys.models, &format!("{API_KEYS}.models"), findings);
        admit_keys(keys, own, index, &mut access, findings);
    }
    (access, token_keys)
}

/// Headers that say whom a request is for.
pub(crate) fn trusted_headers(spec: Option<&weir_crds::TrustedHeaders>) -> TrustedHeaders {
    let Some(weir_crds::TrustedHeaders { user, team, project, cost_center, session, agent }) = spec else {
        return TrustedHeaders::default();
    };
    TrustedHeaders {
        user: user.clone(),
        team: team.clone(),
        project: project.clone(),
        cost_center: cost_center.clone(),
        session: session.clone(),
        agent: agent.clone(),
    }
}

fn accounts(spec: &[weir_crds::AdmittedAccount], scene: &Scene<'_>, findings: &mut Findings) -> Vec<AdmittedAccount> {
    let Scene { namespace: own, index, served, .. } = *scene;
    let mut accounts = BTreeMap::new();
    for (at, weir_crds::AdmittedAccount { account, models }) in spec.iter().enumerate() {
        let path = format!("spec.access.serviceAccounts[{at}]");
        let models = served.rights(models, &format!("{path}.models"), findings);
        match reference::callers(index, own, &account.namespace) {
            Ok(()) => drop(accounts.insert((&account.namespace, &account.name), models)),
            Err(unresolved) => {
                let path = format!("{path}.namespace");
                findings.add(Gravity::Unresolved, unresolved.reason, path, unresolved.message);
            }
        }
    }
    let admitted = |((namespace, name), models): ((&String, &String), _)| AdmittedAccount {
        account: AccountRef { namespace: namespace.clone(), name: name.clone() },
        models,
    };
    accounts.into_iter().map(admitted).collect()
}

fn certificates(
    spec: &[weir_crds::AdmittedCertificate],
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> Vec<AdmittedCertificate> {
    let mut certificates = Vec::new();
    for (at, weir_crds::AdmittedCertificate { subject, models }) in spec.iter().enumerate() {
        let path = format!("spec.access.certificates[{at}]");
        let models = scene.served.rights(models, &format!("{path}.models"), findings);
        if scene.elsewhere.contains(&Credential::Subject(subject.clone())) {
            let message = "certificates of this subject belong to the routes of another namespace already; \
                           have one issued for a subject of your own";
            findings.add(Gravity::Unresolved, "SubjectTaken", format!("{path}.subject"), message);
        } else {
            certificates.push(AdmittedCertificate { subject: subject.clone(), models });
        }
    }
    certificates.sort_by(|one, other| one.subject.cmp(&other.subject));
    certificates
}

fn admit_keys(spec: &ApiKeys, own: &str, index: &Index, access: &mut Access, findings: &mut Findings) {
    let namespaces: Vec<&str> = match &spec.namespaces {
        None => vec![own],
        Some(_) if own != index.objects.settings.platform_namespace => {
            let message = "only routes of the platform namespace may admit API keys of other namespaces; \
                           remove namespaces, which then means the keys of the route's own";
            findings.add(Gravity::Invalid, "NamespacesForbidden", format!("{API_KEYS}.namespaces"), message);
            return;
        }
        Some(namespaces) => index.namespaces_matching(&namespaces.selector).collect(),
    };
    for namespace in namespaces {
        if let Err(unresolved) = reference::readable(index, namespace) {
            findings.add(Gravity::Unresolved, unresolved.reason, API_KEYS, unresolved.message);
            continue;
        }
        match spec.selector.as_ref().filter(|selector| !selector.is_empty()) {
            None => access.api_key_namespaces.push(namespace.to_owned()),
            Some(selector) => {
                let of_namespace = index.keys.iter().filter(|(secret, _)| secret.namespace == namespace);
                let selected = of_namespace.filter(|(_, key)| selector.matches(&key.labels));
                let ids: BTreeSet<_> = selected.map(|(_, key)| key.id.clone()).collect();
                if !ids.is_empty() {
                    access.api_keys.insert(namespace.to_owned(), ids.into_iter().collect());
                }
            }
        }
    }
}
