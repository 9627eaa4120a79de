//! The data plane of Weir as a library: `weir-dataplane` runs it behind the operator's stream,
//! `weir-operator up` in its own process.
//!
//! It knows no Kubernetes. A request's path is `pipeline.rs`.

mod account;
mod admin;
mod attempt;
mod authenticate;
mod body;
mod clock;
mod config;
mod costs;
mod drain;
mod explain;
pub mod feed;
mod funds;
mod gateway;
mod hops;
mod joined;
pub mod ledger;
mod live;
mod memory;
mod open_files;
mod overload;
mod pipeline;
mod receive;
mod record;
mod refusal;
mod rejection;
mod relay;
mod room;
mod runtime;
mod serve;
mod shares;
pub mod signals;
mod start;
mod surface;
mod tally;
mod telemetry;
mod turn_away;
mod upstream;
mod verifier;

pub use admin::{AdminAnswer, AdminRequest, serve_admin};
pub use config::{Config, Limits, StartError};
pub use drain::Drain;
pub use explain::explain;
pub use gateway::Gateway;
pub use rejection::Rejection;
pub use runtime::runtime;
pub use shares::{Holder, Place, Shares};
pub use telemetry::LogLine;
pub use upstream::{Callout, Fetcher};
pub use weir_policy::{Answer, Identity, Question};
