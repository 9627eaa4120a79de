//! The stream from the operator: who the pod is, what it holds, what it is given.
//!
//! The operator away changes nothing for requests: the last good config stays, also over a restart.

mod config;
mod follow;
mod holding;
mod observed;
mod parts;
mod service;
mod session;
mod store;

pub use config::Config;
pub use follow::follow;
pub use holding::{Held, Holding};
pub(crate) use session::{dial, read};
