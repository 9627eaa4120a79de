//! The access log: one JSON line a request on standard output, written by a thread of its own.
//!
//! A blocked pipe blocks nobody: lines that do not fit the queue are dropped and counted.

use crate::record::Record;
use std::io::{BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that may wait to be written.
const QUEUE: usize = 8_192;

/// How long lines gather. A thread that waits for the next line is woken for each, which costs a busy pod more
/// than the line.
const GATHER: Duration = Duration::from_millis(10);

/// The sending side.
pub(super) struct AccessLog(SyncSender<Vec<u8>>);

impl AccessLog {
    pub(super) fn start() -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        if let Err(e) = std::thread::Builder::new().name("access-log".into()).spawn(move || write(&receiver)) {
            tracing::error!(error = %e, "no thread for the access log: its lines are dropped");
        }
        Self(sender)
    }

    /// False when the line was dropped.
    pub(super) fn write(&self, record: &Record) -> bool {
        let mut line = b"{\"log\":\"access\",".to_vec();
        let at = line.len();
        if serde_json::to_writer(&mut line, record).is_err() {
            return false;
        }
        // The record's own opening brace gives way to the mark before it.
        line.remove(at);
        line.push(b'\n');
        self.0.try_send(line).is_ok()
    }
}

/// Writes what has come, and flushes when nothing more waits.
fn write(receiver: &Receiver<Vec<u8>>) {
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
    while let Ok(line) = receiver.recv() {
        let _ = out.write_all(&line);
        std::thread::sleep(GATHER);
        while let Ok(line) = receiver.try_recv() {
            let _ = out.write_all(&line);
        }
        let _ = out.flush();
    }
}
