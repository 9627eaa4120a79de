//! Lines on standard output: the access log and the process's own log, written by a thread of their own.
//!
//! A blocked pipe blocks nobody: lines that do not fit the queue are dropped and counted.

use prometheus::IntCounter;
use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Lines that may wait to be written.
const QUEUE: usize = 8_192;
/// How long lines gather. A thread that waits for the next line is woken for each, which costs a busy pod more
/// than the line.
const GATHER: Duration = Duration::from_millis(10);
/// How long the end of the process waits for them.
const FLUSH: Duration = Duration::from_secs(2);

/// The process's standard output; there is but one.
static LINES: LazyLock<Lines> = LazyLock::new(Lines::start);

/// Everything that waits for standard output.
pub(crate) struct Lines {
    sender: SyncSender<Vec<u8>>,
    dropped: IntCounter,
    taken: AtomicU64,
    written: Mutex<u64>,
    progress: Condvar,
}

impl Lines {
    /// Those of this process.
    pub(crate) fn of_process() -> &'static Self {
        &LINES
    }

    #[expect(clippy::expect_used, reason = "a constant of this file is wrong, which no run survives")]
    fn start() -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        if let Err(e) = std::thread::Builder::new().name("lines".into()).spawn(move || LINES.write_all(&receiver)) {
            tracing::error!(error = %e, "no thread for the log: its lines are dropped");
        }
        let dropped = IntCounter::new("weir_log_lines_dropped_total", "Log lines that could not be written in time");
        Self {
            sender,
            dropped: dropped.expect("the metric's description is valid"),
            taken: AtomicU64::new(0),
            written: Mutex::default(),
            progress: Condvar::new(),
        }
    }

    /// Lines that were dropped.
    pub(crate) const fn dropped(&self) -> &IntCounter {
        &self.dropped
    }

    /// Takes a line with its line break, or drops it.
    pub(crate) fn push(&self, line: Vec<u8>) {
        match self.sender.try_send(line) {
            Ok(()) => drop(self.taken.fetch_add(1, Ordering::Relaxed)),
            Err(_) => self.dropped.inc(),
        }
    }

    /// Waits until what was taken is written, though not for long.
    pub(crate) fn flush(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.progress.wait_timeout_while(written, FLUSH, |written| *written < taken));
    }

    /// Writes what has come, and flushes when nothing more waits.
    fn write_all(&self, receiver: &Receiver<Vec<u8>>) {
        let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
        while let Ok(line) = receiver.recv() {
            let mut count = 1;
            let _ = out.write_all(&line);
            std::thread::sleep(GATHER);
            while let Ok(line) = receiver.try_recv() {
                count += 1;
                let _ = out.write_all(&line);
            }
            let _ = out.flush();
            *self.written.lock().unwrap_or_else(PoisonError::into_inner) += count;
            self.progress.notify_all();
        }
    }
}

/// One event of the process's own log: what `tracing_subscriber` writes to it joins the lines when it is dropped.
#[derive(Default)]
pub struct LogLine(Vec<u8>);

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        LINES.push(std::mem::take(&mut self.0));
    }
}
