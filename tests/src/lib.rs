//! The test harness of Weir: real parts, started and stopped.
//!
//! It holds no test; each file of `tests/` holds one promise. A failed expectation panics at once.

pub mod apiserver;
pub mod client;
pub mod codegen;
pub mod crossing;
pub mod delay;
pub mod fleet;
pub mod frames;
pub mod front;
pub mod gateway;
pub mod helm;
pub mod isolated;
pub mod issuer;
pub mod kubectl;
pub mod manifests;
pub mod modules;
pub mod process;
pub mod provider;
pub mod raw;
pub mod redis;
pub mod resolver;
pub mod schema;
pub mod sdk;
pub mod till;
pub mod tls;
pub mod vendor;
pub mod wait;
pub mod workspace;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_path_buf()
}

/// A tool that `tests/run` found or built, by the variable it hands it on in.
pub fn tool(variable: &str) -> PathBuf {
    let found = std::env::var_os(variable).filter(|path| !path.is_empty());
    let found =
        found.unwrap_or_else(|| panic!("{variable} is not set: run this by `tests/run cargo test -p weir-tests ...`"));
    PathBuf::from(found)
}
