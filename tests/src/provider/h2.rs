//! HTTP/2 for a provider: the same scripts, whose resets are those of the stream.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

use super::record::Record;
use super::script::{Script, Step};
use super::socket::Socket;
use super::state::State;

/// Streams that one connection takes at once; as few as a strict provider allows.
const STREAMS: u32 = 20;

type Piece = Result<Frame<Bytes>, io::Error>;
type Body = StreamBody<futures_util::stream::BoxStream<'static, Piece>>;

/// Serves the connection until the client closes it.
pub(super) async fn serve<S: Socket>(socket: S, connection: u64, state: Arc<State>) {
    let service = service_fn(move |request| respond(request, connection, Arc::clone(&state)));
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS)
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

async fn respond(request: Request<Incoming>, connection: u64, state: Arc<State>) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let (at, gone, sent) = (Instant::now(), watch::Sender::new(None), AtomicU64::new(0));
    let record = Record {
        connection,
        version: parts.version,
        method: parts.method,
        path,
        headers: parts.headers,
        body,
        at,
        gone,
        sent,
    };
    let (record, script) = state.receive(record);
    let (head_sender, head) = oneshot::channel();
    tokio::spawn(play(script, head_sender, record));
    head.await.map_err(|_| io::ErrorKind::ConnectionReset.into())
}

/// Runs a script; dropping `head` unused, or an error in the body, resets the stream.
async fn play(script: Script, head: oneshot::Sender<Response<Body>>, record: Arc<Record>) {
    let mut head = Some(head);
    let mut body: Option<mpsc::Sender<Piece>> = None;
    for step in script.steps {
        let going_on = match step {
            Step::Head(status, headers) => {
                let (sender, receiver) = mpsc::channel(1);
                let mut response = Response::new(StreamBody::new(pieces(receiver)));
                *response.status_mut() = status;
                response.headers_mut().extend(headers);
                body = Some(sender);
                head.take().is_some_and(|head| head.send(response).is_ok())
            }
            Step::Body(piece) => send(body.as_ref(), piece, &record).await,
            Step::Endless(piece) => {
                while send(body.as_ref(), piece.clone(), &record).await {}
                false
            }
            Step::Wire(_) => panic!("only HTTP/1.1 has bytes outside a frame"),
            Step::Wait(signal) => tokio::select! {
                () = signal.fired() => true,
                () = client_gone(&mut head, body.as_ref()) => false,
            },
            Step::Stall => {
                client_gone(&mut head, body.as_ref()).await;
                false
            }
            Step::Reset | Step::Close => {
                if let Some(body) = body {
                    let _ = body.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                }
                return;
            }
        };
        if !going_on {
            return record.mark_gone();
        }
    }
}

/// False once the client has gone.
async fn send(body: Option<&mpsc::Sender<Piece>>, piece: Bytes, record: &Record) -> bool {
    let body = body.expect("a script's head comes before its body");
    let length = piece.len();
    let taken = body.send(Ok(Frame::data(piece))).await.is_ok();
    record.took(if taken { length } else { 0 });
    taken
}

async fn client_gone(head: &mut Option<oneshot::Sender<Response<Body>>>, body: Option<&mpsc::Sender<Piece>>) {
    match (head, body) {
        (Some(head), _) => head.closed().await,
        (None, Some(body)) => body.closed().await,
        (None, None) => {}
    }
}

fn pieces(receiver: mpsc::Receiver<Piece>) -> futures_util::stream::BoxStream<'static, Piece> {
    futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
    .boxed()
}
