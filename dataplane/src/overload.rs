//! Knowing that the process cannot keep up: a task that now and then goes to the end of the queue of all that can run, and
//! how long it waits there.

use crate::gateway::Gateway;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::Instant;
use weir_dialect::{ErrorType, Refusal};
use weir_policy::{LOOK_MS, Sender};
use weir_snapshot::Priority;

/// So much of a body is read of those who are turned away, to drop it. What is longer costs more than the new connection that
/// the client needs where it is not read.
pub(crate) const READ_BYTES: u64 = 256 * 1024;
/// Between two log lines on those of whom nothing was read.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Looks at the queue as long as the gateway lives.
pub(crate) async fn watch(gateway: Weak<Gateway>) {
    let (mut said, mut said_at) = (0, Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        let queued = Instant::now();
        tokio::task::yield_now().await;
        let Some(gateway) = gateway.upgrade() else { return };
        let waited = u64::try_from(queued.elapsed().as_micros()).unwrap_or(u64::MAX);
        gateway.shedding.waited(waited, gateway.clock.now());
        let metrics = &gateway.telemetry.metrics;
        metrics.load.shed_ratio.set(f64::from(gateway.shedding.per_mille()) / 1_000.0);
        let unread = metrics.load.unread.get();
        if unread > said && said_at.elapsed() >= SAY_EVERY {
            tracing::warn!(
                requests = unread - said,
                "there are more requests than can be served: some were turned away unread"
            );
            (said, said_at) = (unread, Instant::now());
        }
    }
}

/// Turns a request of that class away where there are too many, first of who sends most; clients that come again do so at
/// different times.
pub(crate) fn admit(gateway: &Gateway, class: Priority, lot: u32, sender: Sender) -> Result<(), Refusal> {
    if !gateway.shedding.sheds(class, lot, sender, gateway.clock.now()) {
        return Ok(());
    }
    let message = "the gateway has more requests than it can serve; try again later";
    let refusal = Refusal::new(503, ErrorType::Overloaded, "gateway_overloaded", message);
    Err(Refusal { retry_after_ms: Some(fastrand::u64(1_000..5_000)), ..refusal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::config::Config;
    use bytes::Bytes;
    use clap::Parser as _;
    use hyper::Request;
    use hyper::body::Body as _;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use std::pin::Pin;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    #[tokio::test]
    async fn who_is_turned_away_unread_is_counted_and_keeps_the_connection() {
        const REQUESTS: u64 = 100;
        let flags = Flags::parse_from(["test", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]);
        let gateway = Gateway::new(flags.config);
        let (address, _, _serving) = gateway.start().unwrap();
        let later = gateway.clock.now() + 3_600_000;
        (0..100).for_each(|window| gateway.shedding.waited(500_000, later + window * 100));
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let _connection = tokio::spawn(connection);
        let mut overloaded = 0;
        for _ in 0..REQUESTS {
            let body = Body::whole(Bytes::from(vec![b'x'; 20_000]));
            client.ready().await.unwrap();
            let mut answer = client.send_request(Request::post("/v1/messages").body(body).unwrap()).await.unwrap();
            assert!(answer.headers().contains_key("x-weir-request-id"));
            let told = answer.headers().contains_key("retry-after");
            let frame = std::future::poll_fn(|cx| Pin::new(answer.body_mut()).poll_frame(cx)).await;
            let text = frame.unwrap().unwrap().into_data().unwrap();
            let is = text.windows(16).any(|at| at == b"overloaded_error");
            assert_eq!(told, is, "{text:?}");
            overloaded += u64::from(is);
        }
        let unread = gateway.telemetry.metrics.load.unread.get();
        assert!(REQUESTS / 2 < unread && unread <= overloaded, "{unread} of {overloaded}: some were read first");
    }
}
