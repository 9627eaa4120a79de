//! A request of the operator's own to a URL: dialled by the rules of upstreams, answered by a status alone.

use super::origin::{Network, Origin, Trust};
use super::send::{Outgoing, send};
use bytes::Bytes;
use hyper::header::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use weir_dialect::Dialect;
use weir_snapshot::{Headers, ProviderType, Settings, Upstream};

/// To a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Sends JSON to URLs that are no providers.
#[derive(Default)]
pub struct Callout {
    trust: Trust,
}

impl Callout {
    /// Posts `body` with these headers besides the usual ones; gives the answer's status, following no redirect.
    /// The caller bounds the wait. An error holds nothing of the URL but its host.
    pub async fn post(&self, url: &str, headers: Headers, body: Vec<u8>, rules: &Settings) -> Result<u16, String> {
        let definition = (ProviderType::OpenAICompatible, Upstream::Url(url.to_owned()), None);
        let network = Network::of_url(url, definition, "", &self.trust)?;
        let outgoing = Outgoing {
            dialect: Dialect::OpenAI,
            path: "",
            pieces: &[Bytes::from(body)],
            model: "",
            stream: false,
            input_tokens: 0,
            credential: None,
            headers: &headers,
            caller: &HeaderMap::new(),
            caller_dialect: Dialect::OpenAI,
        };
        let answer = send(&Arc::new(Origin::Network(Box::new(network))), &outgoing, rules, CONNECT, 0, || {}).await;
        answer.map(|answer| answer.status).map_err(|failure| failure.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_callout_is_dialled_by_the_rules_of_upstreams_and_follows_no_redirect() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let headers = Headers { set: [("webhook-id".to_owned(), "m1".to_owned())].into(), remove: Vec::new() };
        let post = |rules: Settings| {
            let (headers, url) = (headers.clone(), url.clone());
            async move { Callout::default().post(&url, headers, b"{}".to_vec(), &rules).await }
        };
        assert!(post(Settings::default()).await.unwrap_err().contains("--allow-upstream-cidr"));
        let open = Settings { allow_upstream_cidrs: vec!["127.0.0.0/8".to_owned()], ..Settings::default() };
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = vec![0; 4096];
            let mut text = String::new();
            while !text.ends_with("{}") {
                let count = stream.read(&mut read).await.unwrap();
                text.push_str(std::str::from_utf8(&read[..count]).unwrap());
            }
            let moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(moved).await.unwrap();
            text
        };
        let (status, asked) = tokio::join!(post(open), served);
        assert_eq!(status, Ok(302));
        assert!(asked.starts_with("POST /hook HTTP/1.1\r\n") && asked.contains("webhook-id: m1\r\n"), "{asked}");
    }
}
