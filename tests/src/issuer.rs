//! An issuer of tokens as an identity provider is one: it signs them, and serves its key set over https by a
//! certificate of its own authority.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::tls::Authority;

/// The `iss` claim of its tokens.
pub const ISSUER: &str = "https://id.example";

/// A running issuer; its server stops on drop.
pub struct Issuer {
    address: SocketAddr,
    authority: Authority,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    keys: Vec<KeyPair>,
    is_down: bool,
    reads: usize,
}

impl Issuer {
    /// Starts one with one key.
    pub async fn start() -> Self {
        let authority = Authority::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let acceptor = authority.acceptor(&["localhost"], &[b"http/1.1"]);
        let state: Arc<Mutex<State>> = Arc::default();
        let served = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&served));
                tokio::spawn(async move {
                    if lock(&state).is_down {
                        return;
                    }
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let answer = service_fn(|_| {
                        let mut state = lock(&state);
                        state.reads += 1;
                        let body = Full::new(Bytes::from(state.jwks()));
                        async move { Ok::<_, Infallible>(http::Response::new(body)) }
                    });
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        let this = Self { address, authority, state, server };
        this.rotate();
        this
    }

    /// From now on a new key signs; the old ones are served beside it.
    pub fn rotate(&self) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key pair");
        lock(&self.state).keys.push(key);
    }

    /// Whether connections are closed without an answer.
    pub fn set_down(&self, is_down: bool) {
        lock(&self.state).is_down = is_down;
    }

    /// How often its key set was read.
    pub fn reads(&self) -> usize {
        lock(&self.state).reads
    }

    /// Where its key set is.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/keys", self.address.port())
    }

    /// The certificate that its server is believed by.
    pub fn ca(&self) -> String {
        self.authority.pem()
    }

    /// Its key set.
    pub fn jwks(&self) -> String {
        lock(&self.state).jwks()
    }

    /// A token of its newest key with these claims, besides its own name, an hour's life and the audience `weir`.
    pub fn token(&self, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut all = json!({"iss": ISSUER, "aud": "weir", "sub": "ann", "iat": now, "exp": now + 3_600});
        let more = claims.as_object().expect("claims are an object").clone();
        all.as_object_mut().expect("an object").extend(more);
        let state = lock(&self.state);
        let key = state.keys.last().expect("it has a key");
        let head = json!({"alg": "EdDSA", "typ": "JWT", "kid": format!("key-{}", state.keys.len())});
        let signed = format!("{}.{}", encoded(head.to_string()), encoded(all.to_string()));
        let signature = key.sign(signed.as_bytes()).expect("the key signs");
        format!("{signed}.{}", encoded(signature))
    }
}

impl State {
    fn jwks(&self) -> String {
        let key = |(at, key): (usize, &KeyPair)| {
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": format!("key-{}", at + 1),
                "x": encoded(key.der_bytes())})
        };
        json!({"keys": self.keys.iter().enumerate().map(key).collect::<Vec<_>>()}).to_string()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
