//! HTTP/1.1 by hand, so that a script decides over every byte on the wire.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::record::Record;
use super::script::{Script, Step};
use super::socket::Socket;
use super::state::State;

/// Answers request after request until either side closes.
pub(super) async fn serve<S: Socket>(mut socket: S, connection: u64, state: Arc<State>) {
    let mut buffer = BytesMut::new();
    while let Ok(Some(record)) = read_request(&mut socket, &mut buffer, connection).await {
        let (record, script) = state.receive(record);
        let (mut reader, mut writer) = tokio::io::split(socket);
        let ending = tokio::select! {
            ending = answer(&mut writer, &script, &record) => ending,
            () = client_gone(&mut reader, &mut buffer) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        socket = reader.unsplit(writer);
        match ending {
            Ok(Ending::KeepAlive) => {}
            Ok(Ending::Close) => {
                let _ = socket.shutdown().await;
                return;
            }
            Ok(Ending::Reset) => return socket.reset_on_drop(),
            Err(_) => return record.mark_gone(),
        }
    }
}

/// How an answer leaves the connection.
enum Ending {
    KeepAlive,
    Close,
    Reset,
}

async fn answer<S: Socket>(writer: &mut WriteHalf<S>, script: &Script, record: &Record) -> io::Result<Ending> {
    let mut chunked = false;
    for (at, step) in script.steps.iter().enumerate() {
        match step {
            Step::Head(status, headers) => {
                let length = known_length(&script.steps[at + 1..]);
                chunked = length.is_none();
                writer.write_all(head(*status, headers, length).as_bytes()).await?;
            }
            Step::Body(piece) => write_piece(writer, piece, chunked, record).await?,
            Step::Endless(piece) => loop {
                write_piece(writer, piece, chunked, record).await?;
            },
            Step::Wire(bytes) => writer.write_all(bytes).await?,
            Step::Wait(signal) => signal.fired().await,
            Step::Stall => std::future::pending().await,
            Step::Reset => return Ok(Ending::Reset),
            Step::Close => return Ok(Ending::Close),
        }
        writer.flush().await?;
    }
    if chunked {
        writer.write_all(b"0\r\n\r\n").await?;
        writer.flush().await?;
    }
    Ok(Ending::KeepAlive)
}

async fn write_piece<S: Socket>(
    writer: &mut WriteHalf<S>,
    piece: &[u8],
    chunked: bool,
    record: &Record,
) -> io::Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    if chunked {
        let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        writer.write_all(&framed).await?;
    } else {
        writer.write_all(piece).await?;
    }
    record.took(piece.len());
    Ok(())
}

/// The length of a body that is there whole, at once and to its end.
fn known_length(rest: &[Step]) -> Option<usize> {
    match rest {
        [] => Some(0),
        [Step::Body(body)] => Some(body.len()),
        _ => None,
    }
}

fn head(status: StatusCode, headers: &[(HeaderName, HeaderValue)], length: Option<usize>) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Status"));
    for (name, value) in headers {
        let _ = write!(head, "{name}: {}\r\n", value.to_str().expect("scripts use visible characters"));
    }
    if !headers.iter().any(|(name, _)| name == http::header::CONTENT_LENGTH) {
        let _ = match length {
            Some(length) => write!(head, "content-length: {length}\r\n"),
            None => write!(head, "transfer-encoding: chunked\r\n"),
        };
    }
    head + "\r\n"
}

/// Returns once the client has closed or reset; what it sends meanwhile belongs to its next request.
async fn client_gone<S: Socket>(reader: &mut ReadHalf<S>, buffer: &mut BytesMut) {
    while reader.read_buf(buffer).await.is_ok_and(|read| read > 0) {}
}

async fn read_request<S: Socket>(socket: &mut S, buffer: &mut BytesMut, connection: u64) -> io::Result<Option<Record>> {
    let Some(end) = read_past(socket, buffer, b"\r\n\r\n").await? else { return Ok(None) };
    let head = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = Method::from_bytes(words.next().unwrap_or_default().as_bytes()).map_err(io::Error::other)?;
    let path = words.next().unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(io::Error::other)?);
    }
    let body = read_body(socket, buffer, &headers).await?;
    let (at, gone, sent) = (Instant::now(), watch::Sender::new(None), AtomicU64::new(0));
    Ok(Some(Record { connection, version: Version::HTTP_11, method, path, headers, body, at, gone, sent }))
}

async fn read_body<S: Socket>(socket: &mut S, buffer: &mut BytesMut, headers: &HeaderMap) -> io::Result<Bytes> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text("transfer-encoding").is_none() {
        let length = text("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        return read_exactly(socket, buffer, length).await;
    }
    let mut body = BytesMut::new();
    loop {
        let end = read_past(socket, buffer, b"\r\n").await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let line = String::from_utf8_lossy(&buffer.split_to(end)).trim().to_owned();
        let length = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
        body.extend_from_slice(&read_exactly(socket, buffer, length).await?);
        read_exactly(socket, buffer, 2).await?;
        if length == 0 {
            return Ok(body.freeze());
        }
    }
}

/// Reads until `mark` has come and says where what follows it begins; `None` when the client closed.
async fn read_past<S: Socket>(socket: &mut S, buffer: &mut BytesMut, mark: &[u8]) -> io::Result<Option<usize>> {
    loop {
        if let Some(at) = buffer.windows(mark.len()).position(|window| window == mark) {
            return Ok(Some(at + mark.len()));
        }
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read_exactly<S: Socket>(socket: &mut S, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    while buffer.len() < length {
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.copy_to_bytes(length))
}
