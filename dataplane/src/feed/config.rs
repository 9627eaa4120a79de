//! The flags of the stream from the operator.

use std::path::PathBuf;

/// Where the operator is, and how this pod proves itself.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "feed")]
pub struct Config {
    /// Addresses of the operator, host:port; a name with several addresses counts for all of them
    #[arg(long, env = "WEIR_OPERATOR", value_delimiter = ',', required = true)]
    pub operator: Vec<String>,
    /// File with the operator's CA certificates, awaited if it is not there yet
    #[arg(long, env = "WEIR_OPERATOR_CA")]
    pub operator_ca: PathBuf,
    /// File with this pod's projected ServiceAccount token, audience `weir-operator`
    #[arg(long, env = "WEIR_TOKEN_FILE")]
    pub token_file: PathBuf,
    /// Name of the data-plane deployment that this pod belongs to
    #[arg(long, env = "WEIR_GATEWAY", default_value = "weir")]
    pub gateway: String,
    /// Memory-backed folder for the last good config, which holds secrets
    #[arg(long, env = "WEIR_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
}
