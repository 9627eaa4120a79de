//! Whom the operator tells when so much of a Budget is spent. Pods get none of it.

use weir_snapshot::Secret;

/// What happens at one threshold of a Budget.
#[derive(Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Of the limit that is used most.
    pub percent: u32,
    /// Whether an Event tells of it.
    pub event: bool,
    /// Who else is told.
    pub webhook: Option<Webhook>,
}

/// Where a webhook goes, and how it is signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// An https URL, which was checked as a Provider's is; it may hold what nobody else should know.
    pub url: Secret,
    /// The key as Standard Webhooks writes it, `whsec_` and base64.
    pub signing_key: Secret,
}
