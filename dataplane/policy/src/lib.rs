//! Every decision of the data plane, from facts and a given `now`: who calls, which route serves,
//! which target is tried next, what a failure means, what an answer cost.
//!
//! It opens no socket and reads no clock; times are milliseconds on any monotonic scale.

mod budgets;
mod caller;
mod certificate;
mod credential;
mod ejection;
mod explain;
mod health;
mod kind;
mod line;
mod listing;
mod load;
mod meaning;
mod outcome;
mod params;
mod plan;
mod price;
mod proof;
mod question;
mod rates;
mod shedding;
mod short;
mod spend;
mod table;
mod token;

pub use budgets::Budget;
pub use caller::{Believed, Caller, CallerKind, Statement};
pub use certificate::Certificate;
pub use credential::{CredentialHealth, CredentialState, mark_of};
pub use ejection::Standing;
pub use explain::{Explanation, Moment};
pub use health::TargetHealth;
pub use kind::FailureKind;
pub use line::{Line, Place, Turn};
pub use load::Load;
pub use outcome::{Failure, Trouble, classify_error, classify_status};
pub use plan::{Needs, Plan, Step};
pub use price::{Cost, Parts, cost, dearest, estimate_output, estimate_unseen, parts};
pub use proof::{SEND_CREDENTIAL, TokenClaims, unauthenticated};
pub use question::{Answer, Identity, Question};
pub use rates::{Rates, Taken};
pub use shedding::{LOOK_MS, Sender, Shedding};
pub use spend::{Asked, Bound, Came, Charge, Payer, no_room, refusal};
pub use table::{Credential, Facts, Limits, Provider, Route, Table, Target, TargetId};
pub use token::{Claims, Token};

/// Milliseconds on a monotonic scale whose zero is the process's business.
pub type Millis = u64;
