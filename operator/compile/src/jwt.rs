//! Issuers whose tokens a route takes, and the keys that they are checked by.
//!
//! Keys that cannot be had now leave out nothing else; pods keep those that they have.

use crate::claimed::Credential;
use crate::findings::{Findings, Gravity};
use crate::index::Index;
use crate::key_set::{KeySource, ReadKeys, read_key_set};
use crate::models::Served;
use crate::{reference, url};
use std::collections::BTreeSet;
use weir_crds::{KeySetRef, LLMRoute};
use weir_snapshot::{AdmittedGroup, ClaimPaths, Kind, Name, ResourceId, TokenIssuer};

const KEY: &str = "jwks.json";

/// The key sets that a route's issuers name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Those that are there, by the name that pods know them by.
    pub(crate) sets: Vec<(String, String)>,
    /// Those that could not be had by URL yet.
    pub(crate) missing: BTreeSet<ResourceId>,
    /// Where they are read from.
    pub(crate) sources: BTreeSet<KeySource>,
    /// Whether one of them was never asked for yet, so that nothing can be said.
    pub(crate) pending: bool,
}

/// What is known while a route is compiled.
pub(crate) struct Scene<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) index: &'a Index,
    pub(crate) served: Served<'a>,
    /// Credentials that belong to another namespace.
    pub(crate) elsewhere: &'a BTreeSet<Credential>,
}

/// The issuers of a route, and their keys.
pub(crate) fn build(
    spec: &[weir_crds::TokenIssuer],
    scene: &Scene<'_>,
    findings: &mut Findings,
) -> (Vec<TokenIssuer>, Keys) {
    let (mut issuers, mut keys) = (Vec::new(), Keys::default());
    for (at, issuer) in spec.iter().enumerate() {
        let path = format!("spec.access.jwt[{at}]");
        if scene.index.objects.issuer.as_ref().is_some_and(|held| held.issuer == issuer.issuer) {
            let message = "this issuer signs the cluster's ServiceAccount tokens; name serviceAccounts instead";
            findings.add(Gravity::Invalid, "ClusterIssuer", format!("{path}.issuer"), message);
        }
        let audiences = audiences(issuer, scene, &path, findings);
        let name = name(issuer);
        add_keys(&name, issuer, scene, &path, &mut keys, findings);
        let groups = issuer.groups.iter().enumerate().map(|(at, group)| AdmittedGroup {
            name: group.name.clone(),
            models: scene.served.rights(&group.models, &format!("{path}.groups[{at}].models"), findings),
        });
        let groups = groups.collect();
        if !audiences.is_empty() {
            let claims = issuer.claims.as_ref().map(claims).unwrap_or_default();
            issuers.push(TokenIssuer { issuer: issuer.issuer.clone(), audiences, keys: name, claims, groups });
        }
    }
    keys.sets.sort();
    keys.sets.dedup();
    (issuers, keys)
}

/// The key sets of a route that hang on a ConfigMap, and on which.
pub fn mapped_key_sets(route: &LLMRoute) -> Vec<(ResourceId, Name)> {
    let namespace = crate::index::name(&route.metadata).namespace;
    let issuers = route.spec.access.iter().flat_map(|access| &access.jwt);
    let of = |issuer: &weir_crds::TokenIssuer| {
        let keys = issuer.jwks_config_map_ref.as_ref().map(|map| &map.name);
        let map = keys.or(issuer.ca_config_map_ref.as_ref().map(|map| &map.name))?;
        Some((ResourceId::new(Kind::KeySet, &namespace, name(issuer)), Name::new(&namespace, map)))
    };
    issuers.filter_map(of).collect()
}

/// What pods know an issuer's key set by: its place, which no two sets of a namespace share. No URL that may be
/// read holds a `#`.
fn name(issuer: &weir_crds::TokenIssuer) -> String {
    if let Some(KeySetRef { name, key }) = &issuer.jwks_config_map_ref {
        return format!("{name}/{}", key.as_deref().unwrap_or(KEY));
    }
    let url = issuer.jwks_url.as_deref().unwrap_or_default();
    match &issuer.ca_config_map_ref {
        Some(ca) => format!("{url}#{}/{}", ca.name, ca.key.as_deref().unwrap_or(reference::CA_KEY)),
        None => url.to_owned(),
    }
}

/// Those that belong to this namespace.
fn audiences(issuer: &weir_crds::TokenIssuer, scene: &Scene<'_>, path: &str, findings: &mut Findings) -> Vec<String> {
    let is_elsewhere =
        |audience: &String| scene.elsewhere.contains(&Credential::Token(issuer.issuer.clone(), audience.clone()));
    let (lost, mut kept): (Vec<String>, Vec<String>) = issuer.audiences.iter().cloned().partition(is_elsewhere);
    for audience in lost {
        let message = format!(
            "tokens of this issuer for the audience {audience} belong to the routes of another namespace already; \
             have the issuer sign for an audience of your own"
        );
        findings.add(Gravity::Unresolved, "AudienceTaken", format!("{path}.audiences"), message);
    }
    kept.sort();
    kept
}

fn add_keys(
    name: &str,
    issuer: &weir_crds::TokenIssuer,
    scene: &Scene<'_>,
    path: &str,
    keys: &mut Keys,
    findings: &mut Findings,
) {
    let Scene { namespace, index, .. } = *scene;
    if let Some(wanted) = &issuer.jwks_config_map_ref {
        let key = wanted.key.as_deref().unwrap_or(KEY);
        match reference::config_map(index, namespace, &wanted.name, key).map(read_key_set) {
            Ok(Ok(jwks)) => keys.sets.push((name.to_owned(), jwks)),
            Ok(Err(why)) => {
                let message = format!("the key {key} of the ConfigMap {namespace}/{} {why}", wanted.name);
                findings.add(Gravity::Unresolved, "KeySetInvalid", format!("{path}.jwksConfigMapRef"), message);
            }
            Err(e) => findings.add(Gravity::Unresolved, e.reason, format!("{path}.jwksConfigMapRef"), e.message),
        }
        return;
    }
    let Some(source) = source(issuer, scene, path, findings) else { return };
    match index.objects.key_sets.get(&source) {
        None => keys.pending = true,
        Some(ReadKeys { jwks, trouble }) => {
            keys.sets.extend(jwks.iter().map(|jwks| (name.to_owned(), jwks.clone())));
            let (gravity, state) = match jwks {
                Some(_) => (Gravity::Partial, "the last good key set stays in use, and it is old"),
                None => (Gravity::Unresolved, "the key set could not be read yet"),
            };
            if let Some(why) = trouble {
                findings.add(gravity, "KeysUnavailable", format!("{path}.jwksUrl"), format!("{state}: {why}"));
            }
        }
    }
    if keys.sets.iter().all(|(held, _)| held != name) {
        keys.missing.insert(ResourceId::new(Kind::KeySet, namespace, name));
    }
    keys.sources.insert(source);
}

/// Where the key set is read from, if it may be.
fn source(
    issuer: &weir_crds::TokenIssuer,
    scene: &Scene<'_>,
    path: &str,
    findings: &mut Findings,
) -> Option<KeySource> {
    let Scene { namespace, index, .. } = *scene;
    let url = issuer.jwks_url.as_deref()?;
    // Some issuers tell their key sets apart by a query; all else is as for a Provider.
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let plaintext = index.objects.permits_plaintext(namespace);
    let refused = match url::check(base, plaintext, &index.objects.settings) {
        Ok(_) if query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') => None,
        Ok(_) => Some(("InvalidURL", "the URL's query holds what must be percent-encoded there".to_owned())),
        Err(url::Refused::Form(why)) => Some(("InvalidURL", why)),
        Err(url::Refused::Address(why)) => Some(("AddressForbidden", why)),
        Err(url::Refused::Plaintext) => Some((
            "PlaintextForbidden",
            format!("http needs the operator's --allow-plaintext-namespace={namespace}; better use https"),
        )),
    };
    if let Some((reason, message)) = refused {
        findings.add(Gravity::Invalid, reason, format!("{path}.jwksUrl"), message);
        return None;
    }
    let ca = issuer.ca_config_map_ref.as_ref().map(|ca| reference::certificates(index, namespace, ca)).transpose();
    let ca_pem = ca
        .map_err(|e| findings.add(Gravity::Unresolved, e.reason, format!("{path}.caConfigMapRef"), e.message))
        .ok()?;
    Some(KeySource { url: url.to_owned(), ca_pem })
}

fn claims(spec: &weir_crds::ClaimPaths) -> ClaimPaths {
    let weir_crds::ClaimPaths { user, team, project, cost_center, groups } = spec.clone();
    ClaimPaths { user, team, project, cost_center, groups }
}
