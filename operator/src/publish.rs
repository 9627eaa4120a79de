//! Config on its way to the pods: what is wanted, what each pod has, and the difference between the two.
//!
//! It decides nothing about objects; whatever reconcile publishes is sent as it is.

mod connection;
mod delta;
mod pace;
mod pods;
mod server;
mod service;
mod session;

pub(crate) use connection::Proof;
#[cfg(test)]
pub(crate) use delta::Holdings;
pub(crate) use delta::{Desired, Difference, Kept};
pub(crate) use pods::{PodState, Pods};
pub(crate) use server::{Listener, serve};
pub(crate) use session::Shared;
