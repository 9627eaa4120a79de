//! What requests run on.

use std::io;
use std::thread::available_parallelism;
use tokio::runtime::{Builder, Runtime};

/// Where the process has one core, by its affinity or its CPU limit, a queue that everything goes through in the order of
/// coming; on more cores one each, which take from each other.
pub fn runtime() -> io::Result<Runtime> {
    let alone = available_parallelism().is_ok_and(|cores| cores.get() == 1);
    let mut builder = if alone { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
}
