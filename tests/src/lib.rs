//! The test harness of Weir: real parts, started and stopped.

pub mod codegen;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_path_buf()
}
