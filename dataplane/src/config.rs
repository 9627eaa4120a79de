//! The flags of a data plane; every one can be given by environment variable as well.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Where it listens and how it ends; the same for a pod and for `up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Address for requests
    #[arg(long, env = "WEIR_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Address for probes, metrics and the config dump
    #[arg(long, env = "WEIR_ADMIN", default_value = "0.0.0.0:9090")]
    pub admin: SocketAddr,
    /// Folder with `tls.crt` and `tls.key`, such as a mounted Secret; requests then come over TLS. With
    /// `client-ca.crt` beside them, clients may prove themselves by certificates of these authorities
    #[arg(long, env = "WEIR_TLS_DIR")]
    pub tls_dir: Option<PathBuf>,
    /// Trust domain of ServiceAccounts' certificates (SPIFFE), spiffe://DOMAIN/ns/NAMESPACE/sa/NAME
    #[arg(long, env = "WEIR_TRUST_DOMAIN", default_value = "cluster.local")]
    pub trust_domain: String,
    /// How long requests are still accepted after SIGTERM, while load balancers learn of it
    #[arg(long, env = "WEIR_DRAIN_DELAY", default_value = "15s", value_parser = duration)]
    pub drain_delay: Duration,
    /// How long running streams may go on after that
    #[arg(long, env = "WEIR_DRAIN_TIMEOUT", default_value = "600s", value_parser = duration)]
    pub drain_timeout: Duration,
    /// How long after SIGTERM the process is killed; running streams are told 5 s before
    #[arg(long, env = "WEIR_GRACE_PERIOD", value_parser = duration)]
    pub grace_period: Option<Duration>,
    /// Leave the headers `x-weir-route` and `x-weir-target` out of answers, since they name internal objects
    #[arg(long, env = "WEIR_HIDE_TARGETS")]
    pub hide_targets: bool,
    /// Threads that serve requests; as many as there are cores when absent. With one, overload is known at once
    #[arg(long, env = "WEIR_WORKERS")]
    pub workers: Option<NonZeroUsize>,
    /// Largest request body in bytes
    #[arg(long, env = "WEIR_MAX_BODY_BYTES", default_value_t = 32 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1024..=64 * 1024 * 1024))]
    pub max_body_bytes: u64,
    /// Bytes of requests and answers that may be held at once, over all callers; half of the memory that the process may
    /// use when absent
    #[arg(long, env = "WEIR_MAX_HELD_BYTES", value_parser = clap::value_parser!(u64).range(1024 * 1024..))]
    pub max_held_bytes: Option<u64>,
}

/// Bounds that are no flags, each with its reason.
pub struct Limits;

impl Limits {
    /// Longest request target.
    pub const URI_BYTES: usize = 8 * 1024;
    /// Most headers of a request.
    pub const HEADERS: usize = 100;
    /// All headers of a request together.
    pub const HEADER_BYTES: usize = 64 * 1024;
    /// A client that has not sent its head by then is gone.
    pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
    /// Between two reads of a request body.
    pub const BODY_IDLE: Duration = Duration::from_secs(10);
    /// A request body, whole.
    pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
    /// Streams of one HTTP/2 connection.
    pub const STREAMS: u32 = 250;
    /// Largest whole answer of an upstream.
    pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;
    /// Largest error body of an upstream.
    pub const ERROR_BYTES: usize = 64 * 1024;
    /// How long an answer's head is held back for its first content; then keep-alives begin, so far apart. In a
    /// translated stream, how long a client hears nothing before a keep-alive.
    pub const HEAD_HOLD: Duration = Duration::from_secs(10);
    /// Connection, TLS included, where the provider sets nothing.
    pub const CONNECT_MS: u64 = 5_000;
    /// One address of several.
    pub const CONNECT_ADDRESS: Duration = Duration::from_secs(2);
    /// First sign of the answer in a stream: content, or that the model begins to think. Pings and comments are none.
    pub const FIRST_TOKEN_MS: u64 = 60_000;
    /// Between two reads of a stream; pings and comments count.
    pub const STREAM_IDLE_MS: u64 = 60_000;
    /// A client's request for a whole answer.
    pub const REQUEST_MS: u64 = 600_000;
    /// A client's request for a stream.
    pub const STREAM_MS: u64 = 3_600_000;
}

/// Why a data plane could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The TLS files could not be used.
    Tls(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, e) => write!(f, "cannot listen on {address}: {e}; choose another address"),
            Self::Tls(why) => write!(f, "cannot use the TLS files: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Reads `600s`, `10m`, `1h` or `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let n: u64 = digits.parse().map_err(|_| format!("{text:?} is no duration; write it like 30s"))?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{text:?} needs a unit: ms, s, m or h")),
    };
    n.checked_mul(ms).map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}
