//! x
mod authority;
mod brake;
mod election;
mod proof;
mod publish;
mod source;
mod status;
mod telemetry;
fn main() {}
