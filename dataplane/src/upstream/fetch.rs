//! One small document of a URL, such as an issuer's key set: read under the rules for upstreams.
//!
//! The address that was checked is the one that is dialled, no redirect is followed, and the connection is not kept.

use super::encoding::Encoding;
use super::origin::{Network, Origin, Trust};
use super::pieces::Pieces;
use super::send::AGENT;
use super::source::{LeaseOf, Source};
use bytes::Bytes;
use hyper::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use std::sync::Arc;
use std::time::Duration;
use weir_policy::Failure;
use weir_snapshot::{ProviderType, Settings, Upstream};

/// Reads documents; made once, for the certificates that it trusts.
#[derive(Default)]
pub struct Fetcher {
    trust: Trust,
}

impl Fetcher {
    /// The document at a URL, by the public certificates and those in PEM, within that time.
    ///
    /// # Errors
    /// Why there is none, as a sentence; nothing of what was read is in it.
    pub async fn fetch(
        &self,
        url: &str,
        ca_pem: Option<&str>,
        rules: &Settings,
        most_bytes: usize,
        within: Duration,
    ) -> Result<Bytes, String> {
        let read = Box::pin(self.read(url, ca_pem, rules, most_bytes));
        let read = tokio::time::timeout(within, read).await;
        read.unwrap_or_else(|_| Err(format!("no answer within {} ms", within.as_millis())))
    }

    async fn read(&self, url: &str, ca_pem: Option<&str>, rules: &Settings, most: usize) -> Result<Bytes, String> {
        let definition = (ProviderType::OpenAI, Upstream::Url(url.to_owned()), ca_pem.map(str::to_owned));
        let origin = Arc::new(Origin::Network(Box::new(Network::of_url(url, definition, "", &self.trust)?)));
        let Origin::Network(network) = &*origin else { return Err("the URL is no address".to_owned()) };
        let told = |failure: Failure| failure.message;
        let mut lease = network.dial(rules).await.map_err(told)?;
        let request = request(url, network, lease.is_h2())?;
        let response = lease.send(request).await.map_err(|e| format!("the connection broke: {}", e.error()))?;
        let (head, body) = response.into_parts();
        if head.status != hyper::StatusCode::OK {
            return Err(format!("the answer is {}, where only 200 counts", head.status));
        }
        let origin = Arc::clone(&origin);
        let encoding = Encoding::of(&head.headers);
        let source = Source::Network { body, lease: Some(LeaseOf { lease, origin }), encoding };
        source.collect(most, None).await.map_err(told)
    }
}

fn request(url: &str, network: &Network, h2: bool) -> Result<Request<Pieces>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("the request cannot be built: {e}");
    let uri: Uri = url.parse().map_err(|e| wrong(&e))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Pieces::new(&[]));
    *request.uri_mut() = if h2 { uri.clone() } else { path.parse().map_err(|e| wrong(&e))? };
    let headers = request.headers_mut();
    if !h2 {
        headers.insert(HOST, network.host.clone());
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}
