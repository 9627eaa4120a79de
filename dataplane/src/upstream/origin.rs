//! Where a provider is: its URL taken apart once, its TLS config, its connections.
//!
//! An origin is kept over config swaps as long as its definition stays, and its connections with it.

use super::mock;
use super::pool::Pool;
use super::resolve::Resolver;
use arc_swap::ArcSwapOption;
use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use weir_snapshot::{Provider, ProviderType, Upstream};

/// A provider's place.
pub(crate) enum Origin {
    /// Over the network.
    Network(Box<Network>),
    /// The data plane itself.
    Mock(mock::Mock),
}

/// Digits of a seal.
const SEAL: usize = 12;

/// All that an origin is made from.
type Definition = (ProviderType, Upstream, Option<String>);

/// An origin over the network.
pub(crate) struct Network {
    definition: Definition,
    pub(super) place: Place,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Base path, without a slash at the end.
    path: String,
    /// The URI of the path asked for last, which as a rule is that of the next; true = absolute.
    uri: ArcSwapOption<(&'static str, bool, Uri)>,
    pub(super) authority: String,
    pub(super) host: HeaderValue,
    pub(super) pool: Pool,
    pub(super) resolver: Resolver,
    seal: String,
}

/// What is dialled.
pub(super) enum Place {
    /// A name or literal address, resolved at every dial.
    Host(String, u16),
    /// Pods.
    Addresses(Vec<SocketAddr>),
}

impl Origin {
    /// The origin of a namespace's provider; `held` is kept if nothing of it changed.
    pub(crate) fn of(
        namespace: &str,
        provider: &Provider,
        held: Option<&Arc<Self>>,
        trust: &Trust,
    ) -> Result<Arc<Self>, String> {
        let definition = (provider.provider_type, provider.upstream.clone(), provider.ca_pem.clone());
        match (held.map(|held| &**held), &provider.upstream) {
            (Some(Self::Network(network)), Upstream::Url(_) | Upstream::Addresses { .. })
                if network.definition == definition =>
            {
                return held.cloned().ok_or_else(String::new);
            }
            (Some(Self::Mock(mock)), Upstream::Mock(data)) if *mock.data() == *data => {
                return held.cloned().ok_or_else(String::new);
            }
            _ => {}
        }
        match &provider.upstream {
            Upstream::Mock(data) => Ok(Arc::new(Self::Mock(mock::Mock::new(data.clone())))),
            Upstream::Url(url) => Network::of_url(url, definition, namespace, trust)
                .map(|network| Arc::new(Self::Network(Box::new(network)))),
            Upstream::Addresses { host, addresses } => {
                let place = Place::Addresses(addresses.clone());
                let path = match provider.provider_type {
                    ProviderType::OpenAI | ProviderType::OpenAICompatible | ProviderType::Mock => "/v1",
                    ProviderType::Anthropic => "",
                };
                Network::new(place, None, path, host.clone(), definition, namespace)
                    .map(|network| Arc::new(Self::Network(Box::new(network))))
            }
        }
    }

    /// The word by which signatures of this place are known again. It tells nothing of where it is.
    pub(crate) fn seal(&self) -> &str {
        match self {
            Self::Network(network) => &network.seal,
            Self::Mock(_) => "mock",
        }
    }

    /// Closes the connections that no request has used for so long.
    pub(crate) fn close_idle(&self, since_at_least: Duration) {
        if let Self::Network(network) = self {
            network.pool.close_idle(since_at_least);
        }
    }
}

impl Network {
    /// `namespace` is whose name lookups count for.
    pub(super) fn of_url(url: &str, definition: Definition, namespace: &str, trust: &Trust) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("the endpoint's URL cannot be read: {e}"))?;
        let authority = uri.authority().ok_or("the endpoint's URL has no host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => {
                let name =
                    ServerName::try_from(host.clone()).map_err(|_| "the endpoint's host is no DNS name or address")?;
                Some((trust.config(definition.2.as_deref())?, name))
            }
            Some("http") => None,
            _ => return Err("the endpoint's URL begins neither with https:// nor with http://".into()),
        };
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        Self::new(Place::Host(host, port), tls, path, authority.to_string(), definition, namespace)
    }

    fn new(
        place: Place,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        path: &str,
        authority: String,
        definition: Definition,
        namespace: &str,
    ) -> Result<Self, String> {
        let host = HeaderValue::from_str(&authority).map_err(|_| "the endpoint's host is no header value")?;
        let seal = blake3::hash(authority.as_bytes()).to_hex().as_str().chars().take(SEAL).collect();
        Ok(Self {
            definition,
            place,
            tls,
            path: path.to_owned(),
            authority,
            host,
            uri: ArcSwapOption::empty(),
            pool: Pool::default(),
            resolver: Resolver::new(namespace),
            seal,
        })
    }

    /// The URI of a path below the base; absolute for HTTP/2, which has no `host` header.
    pub(super) fn uri(&self, path: &'static str, absolute: bool) -> Result<Uri, hyper::http::Error> {
        if let Some(last) = &*self.uri.load()
            && (last.0, last.1) == (path, absolute)
        {
            return Ok(last.2.clone());
        }
        let uri = self.built(path, absolute)?;
        self.uri.store(Some(Arc::new((path, absolute, uri.clone()))));
        Ok(uri)
    }

    fn built(&self, path: &str, absolute: bool) -> Result<Uri, hyper::http::Error> {
        let builder = Uri::builder().path_and_query(format!("{}{path}", self.path));
        if !absolute {
            return builder.build();
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        builder.scheme(scheme).authority(self.authority.as_str()).build()
    }
}

/// Which server certificates are believed: the public roots, those of the system, and a provider's own.
#[derive(Default)]
pub(crate) struct Trust {
    /// Made when the first provider needs it; most memory of an idle process would be here.
    public: OnceLock<(RootCertStore, Arc<ClientConfig>)>,
}

impl Trust {
    fn config(&self, extra_pem: Option<&str>) -> Result<Arc<ClientConfig>, String> {
        let (roots, public) = self.public.get_or_init(|| {
            let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let config = client(roots.clone());
            (roots, config)
        });
        let Some(pem) = extra_pem else { return Ok(Arc::clone(public)) };
        let mut roots = roots.clone();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| format!("the CA bundle is not PEM: {e}"))?;
            roots.add(certificate).map_err(|e| format!("the CA bundle holds what is no certificate: {e}"))?;
        }
        Ok(client(roots))
    }
}

fn client(roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}
