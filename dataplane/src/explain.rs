//! Why a request went where it did: for a caller that asks with it, and for a request that nobody sent.

use crate::gateway::Gateway;
use crate::live::Live;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use weir_policy::{Answer, Asked, Moment, Question, Table};
use weir_snapshot::Snapshot;

/// Asks with the value `1`, and answers.
const EXPLAIN: HeaderName = HeaderName::from_static("x-weir-explain");

/// Tells the caller, where it asks and both its route and this data plane let it know the names of targets.
pub(crate) fn tell(gateway: &Gateway, live: &Live, asked: &Asked<'_>, headers: &HeaderMap, told: &mut HeaderMap) {
    let asks = headers.get(&EXPLAIN).is_some_and(|value| value == "1");
    if !asks || !asked.route.data.explain || gateway.config.hide_targets {
        return;
    }
    let moment = Moment { now: gateway.clock.now(), standing: &|claim| gateway.ledger.standing(claim) };
    if let Ok(text) = HeaderValue::try_from(live.table.explain(asked, moment).header()) {
        told.insert(EXPLAIN, text);
    }
}

/// What a snapshot makes of a request; an error where nobody of that name is known.
pub fn explain(snapshot: Snapshot, question: &Question) -> Result<Answer, String> {
    Table::build(&snapshot.into_resources(), &Table::default()).answer(question)
}
