//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Runs Weir in a cluster, or without one from the same manifests.
#[derive(Parser)]
#[command(name = "weir-operator", version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run in a cluster: watch the objects, publish to the pods, write status
    Run(crate::run::RunArgs),
    /// Serve a folder of manifests: operator and data plane in one process, no cluster needed
    Up(crate::up::UpArgs),
    /// Check a folder of manifests; exit code 1 and one line a complaint where something is wrong
    Validate(Folder),
    /// Print what the data plane would be given, secrets as fingerprints
    Render(Folder),
    /// Say which route serves a caller's request for a model, where it goes, what it may cost and which limits it meets
    Explain(crate::explain::ExplainArgs),
    /// Print the definitions of the kinds, for kubectl apply
    Crds,
    /// Print the catalogue of prices, with its source and date, in the form that an overlay takes
    Prices(Wanted),
    /// Export what requests cost, in the form of FOCUS 1.2, for whoever pays the bills
    Costs(crate::costs::CostsArgs),
    /// API keys
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(clap::Args)]
pub(crate) struct Folder {
    /// Folder of manifests, or one file
    pub(crate) folder: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// Of this provider type alone, such as `OpenAI`
    #[arg(long)]
    pub(crate) provider_type: Option<String>,
    /// Only the price of this model, by the provider's name for it
    pub(crate) model: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Mint a key: its Secret on standard output, the key itself, once, on standard error
    New(crate::key::NewKey),
    /// Give a key's Secret a new key, which is printed, once, on standard error; the old one is good as well until it
    /// is revoked
    Rotate(crate::key::RotateKey),
    /// Print the command that revokes a key, or with --previous the Secret without the key from before its rotation
    Revoke(crate::key::RevokeKey),
}
