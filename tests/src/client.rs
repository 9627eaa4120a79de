//! A client of a gateway, over one connection a request unless a connection is kept on purpose.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wait::PATIENCE;

/// Who asks, and whom.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    credential: Option<String>,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer whose body is still to come; dropping it closes the connection.
pub struct Stream {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    _connection: Sender,
}

/// A kept connection.
pub enum Sender {
    /// HTTP/1.1.
    H1(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2 without TLS, begun without an upgrade.
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// A caller without any credential.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, credential: None, headers: Vec::new() }
    }

    /// The same with this bearer token.
    #[must_use]
    pub fn with_credential(&self, credential: &str) -> Self {
        Self { credential: Some(credential.to_owned()), ..self.clone() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut this = self.clone();
        this.headers.push((name.to_owned(), value.to_owned()));
        this
    }

    /// Whom it asks.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A chat of one short message, answered whole.
    pub async fn chat(&self, model: &str) -> Reply {
        self.post("/v1/chat/completions", &chat(model)).await
    }

    /// The same, streamed.
    pub async fn chat_stream(&self, model: &str) -> Stream {
        let mut body = chat(model);
        body["stream"] = json!(true);
        self.stream("/v1/chat/completions", &body).await
    }

    /// A GET, answered whole.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Bytes::new()).await.whole().await
    }

    /// The value of a metric without labels, of an admin listener.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8_lossy(&self.get("/metrics").await.body).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{name} is no metric:\n{text}"))
    }

    /// A POST of JSON, answered whole.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.stream(path, body).await.whole().await
    }

    /// A POST of JSON whose answer is read piece by piece.
    pub async fn stream(&self, path: &str, body: &Value) -> Stream {
        self.send(Method::POST, path, Bytes::from(body.to_string())).await
    }

    /// Any request, over a connection of its own; panics where no answer begins.
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Stream {
        let mut sender = self.connect().await.expect("the gateway accepts a connection");
        let answer = sender.send(self.request(method, path, body)).await.expect("an answer begins");
        Stream::new(answer, sender)
    }

    /// Opens a connection of HTTP/1.1 that can be kept.
    pub async fn connect(&self) -> std::io::Result<Sender> {
        let socket = TcpStream::connect(self.address).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::H1(sender))
    }

    /// Opens a connection of HTTP/1.1 over TLS that can be kept.
    pub async fn connect_tls(&self, config: ClientConfig, name: ServerName<'static>) -> std::io::Result<Sender> {
        let socket = TcpStream::connect(self.address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::H1(sender))
    }

    /// A chat over a connection; nothing where it breaks before an answer.
    pub async fn chat_over(&self, mut connection: Sender, model: &str) -> Option<Reply> {
        let body = Bytes::from(chat(model).to_string());
        let answer = connection.send(self.request(Method::POST, "/v1/chat/completions", body)).await.ok()?;
        Some(Stream::new(answer, connection).whole().await)
    }

    /// Opens a connection of HTTP/2 that can be kept.
    pub async fn connect_h2(&self) -> std::io::Result<Sender> {
        let socket = TcpStream::connect(self.address).await?;
        let shake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
        let (sender, connection) = shake.await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::H2(sender))
    }

    /// The request that [`Client::send`] sends.
    pub fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        if let Some(credential) = &self.credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).expect("a test's request is well-formed")
    }
}

impl Sender {
    /// Sends one request.
    ///
    /// # Errors
    /// What hyper says when no answer begins.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<http::Response<Incoming>> {
        let answer = async {
            match self {
                Self::H1(sender) => {
                    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
                    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
                    *request.uri_mut() = path.parse().expect("a path is a URI");
                    if !request.headers().contains_key("host") {
                        request.headers_mut().insert("host", authority.parse().expect("an address is a header value"));
                    }
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Self::H2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer begins in time")
    }
}

impl Stream {
    /// An answer that came over `connection`.
    pub fn new(answer: http::Response<Incoming>, connection: Sender) -> Self {
        let (parts, body) = answer.into_parts();
        Self { status: parts.status, headers: parts.headers, body, buffer: BytesMut::new(), _connection: connection }
    }

    /// The next event of a stream of server-sent events; `None` at its end, an error where it was cut.
    ///
    /// # Errors
    /// What hyper says of the cut.
    pub async fn event(&mut self) -> hyper::Result<Option<String>> {
        loop {
            // Lines end in LF or CRLF; of a blank one the LF may come later, and begins no event.
            let lf = self.buffer.windows(2).position(|window| window == b"\n\n").map(|at| (at, at + 2));
            let crlf = self.buffer.windows(3).position(|window| window == b"\r\n\r").map(|at| (at, at + 3));
            if let Some((at, end)) = lf.into_iter().chain(crlf).min() {
                let event = self.buffer.split_to(end);
                let text = String::from_utf8_lossy(&event[..at]).trim_start_matches('\n').to_owned();
                return Ok(Some(text));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("the stream goes on or ends");
            match frame {
                None => {
                    return Ok(
                        (!self.buffer.is_empty()).then(|| String::from_utf8_lossy(&self.buffer.split()).into_owned())
                    );
                }
                Some(frame) => self.buffer.extend_from_slice(&frame?.into_data().unwrap_or_default()),
            }
        }
    }

    /// All events that are still to come, and the error where the stream was cut.
    pub async fn events(mut self) -> (Vec<String>, Option<hyper::Error>) {
        let mut events = Vec::new();
        loop {
            match self.event().await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return (events, None),
                Err(error) => return (events, Some(error)),
            }
        }
    }

    /// The text of a chat that is streamed to its end.
    pub async fn text(self) -> String {
        let (events, error) = self.events().await;
        assert!(error.is_none(), "the stream is cut: {error:?}");
        assert_eq!(events.last().map(String::as_str), Some("data: [DONE]"), "the stream ends in full: {events:?}");
        let deltas =
            events.iter().filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok());
        deltas.filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
    }

    /// The rest, whole.
    pub async fn whole(self) -> Reply {
        let Self { status, headers, body, _connection, .. } = self;
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer ends in time");
        Reply { status, headers, body: body.expect("the answer is whole").to_bytes() }
    }
}

impl Reply {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The text of a chat answer; panics where the answer is none.
    pub fn text(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        self.json()["choices"][0]["message"]["content"].as_str().expect("a chat answer has content").to_owned()
    }

    /// A header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A chat of one short message.
pub fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Say hello."}]})
}
