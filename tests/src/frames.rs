//! Frames of HTTP/2 by hand, for peers that no library would be.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A head.
    pub const HEADERS: u8 = 1;
    /// What a stream depends on.
    pub const PRIORITY: u8 = 2;
    /// The end of a stream before its time.
    pub const RST_STREAM: u8 = 3;
    /// Settings, or their acknowledgement.
    pub const SETTINGS: u8 = 4;
    /// A ping, or its answer.
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// Room for more bytes.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a head.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    /// No flag.
    pub const NONE: u8 = 0;
    /// An acknowledgement.
    pub const ACK: u8 = 1;
    /// The last frame of its stream.
    pub const END_STREAM: u8 = 1;
    /// The last frame of its head.
    pub const END_HEADERS: u8 = 4;
}

/// A frame that was read.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame of that length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers in the plainest form of HPACK: literals without any table.
pub fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            match length {
                Some(length) => block.push(length),
                None => {
                    block.push(127);
                    let mut rest = text.len() - 127;
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).expect("below 128") | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).expect("below 128"));
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The next frame; `None` at the end.
///
/// # Errors
/// Where the connection is reset.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut head = [0; 9];
    match socket.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, c, kind, flags, d, e, f, g] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    socket.read_exact(&mut payload).await?;
    Ok(Some(Frame { kind, flags, stream: u32::from_be_bytes([d & 0x7f, e, f, g]), payload }))
}
