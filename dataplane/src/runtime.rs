//! What requests run on.

use std::io;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use tokio::runtime::{Builder, Runtime};

/// With one worker, a queue that everything goes through in the order of coming; with more of them one each, which take from
/// each other. Where nobody says how many, as many as the process has cores by its affinity and its CPU limit.
pub fn runtime(workers: Option<NonZeroUsize>) -> io::Result<Runtime> {
    let workers = workers.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(workers).enable_all().build()
}
