//! Which target is tried, which next, and when to stop: one counter over retries and failovers.
//!
//! Another ready target comes before the same one again, since it costs no wait. Budgets bound repeats at a target that
//! fails and the step to one that is failing too, never the step to one that is well. It sends nothing and sleeps nowhere.

mod resort;

use crate::rates::Needed;
use crate::table::{Credential, Route, Target};
use crate::{Failure, FailureKind, Millis, Standing, Taken, health};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_dialect::{ErrorType, Refusal};

/// Share of a route's requests in flight that may be at once at a target that is failing, after another one failed.
const FAILOVER_PERCENT: u32 = 50;
/// Retries and waits that may always be in flight, however quiet the route.
const RETRY_FLOOR: u32 = 3;
/// Repeats of requests that the provider surely did not see; they count as no attempt.
const MAX_UNPROCESSED: u32 = 2;
/// A hint up to which the only target is waited for.
const MAX_WAIT_MS: u64 = 2_000;

/// The attempts of one request.
pub struct Plan<'t> {
    route: &'t Arc<Route>,
    model: &'t str,
    /// What it takes of an upstream's own rates.
    needed: Needed,
    deadline: Millis,
    began: Millis,
    /// Whether the client's SDK is itself repeating: then the same target is not tried twice.
    client_retries: bool,
    /// By which targets and credentials remember its caller.
    caller: u64,
    attempts: u32,
    unprocessed: u32,
    lanes: Vec<Lane<'t>>,
    again: Option<Again>,
    best: Option<Failure>,
    retrying: bool,
    failing_over: bool,
    /// A budget had no room for one more attempt.
    over_budget: bool,
}

/// One credential of one target.
#[derive(Clone, Copy)]
struct Lane<'t> {
    index: usize,
    target: &'t Target,
    credential: Option<&'t Credential>,
    spent: bool,
    repeated: bool,
}

impl<'t> Lane<'t> {
    /// Of its credential; empty where it has none.
    fn name(&self) -> &'t str {
        self.credential.map_or("", |credential| &credential.name)
    }

    fn look(&self, caller: u64, now: Millis) -> health::Look {
        self.target.health.look(self.name(), caller, now)
    }

    /// How long a request may wait for it.
    fn patience(&self) -> u64 {
        self.target.provider.data.limits.queue.map_or(MAX_WAIT_MS, |queue| queue.max_wait_ms)
    }
}

#[derive(Clone, Copy)]
struct Again {
    lane: usize,
    wait_ms: u64,
}

/// What a request needs of a model, in tokens.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// What its input surely comes to.
    pub input: u64,
    /// Most output that the caller asked for.
    pub max_output: Option<u64>,
    /// The member that asks for it.
    pub max_output_name: &'static str,
    /// Whether it counts in the provider's own rates.
    pub rated: bool,
}

impl Needs {
    fn of_rates(&self) -> Needed {
        let output = self.max_output.unwrap_or(0);
        if self.rated { [1, self.input.saturating_add(output), self.input, output] } else { Needed::default() }
    }
}

/// What to do next.
pub enum Step<'t> {
    /// Try this target with this credential after so many milliseconds.
    Attempt {
        /// Where to.
        target: &'t Target,
        /// With which secret.
        credential: Option<&'t Credential>,
        /// After which pause.
        wait_ms: u64,
        /// What it takes of the upstream's own rates.
        taken: Taken<'t>,
    },
    /// Nothing more to try: the client's answer.
    Refuse(Refusal),
}

impl<'t> Plan<'t> {
    /// The plan of a request for `model` that must end at `deadline`, at the target of the name `only` if there is one,
    /// else at those that have a weight. Needs of the request that no target can
    /// meet are refused here.
    pub fn new(
        route: &'t Arc<Route>,
        model: &'t str,
        needs: Needs,
        only: Option<&str>,
        client_retries: bool,
        now: Millis,
        deadline: Millis,
    ) -> Result<Self, Refusal> {
        if let Some(why) =
            route.data.refusal.as_ref().or_else(|| route.data.rules.iter().find_map(|rule| rule.unavailable.as_ref()))
        {
            return Err(unavailable(route, why));
        }
        let (mut lanes, mut too_small) = (Vec::new(), None);
        let may = |target: &&Target| only.map_or(target.data.weight > 0, |only| target.data.name == only);
        for target in route.targets.iter().filter(may) {
            if target.upstream_model(model).is_none() {
                continue;
            }
            if let Some(why) = misfit(target, model, needs) {
                too_small = Some(why);
                continue;
            }
            let credentials = &target.provider.credentials;
            let with = credentials.iter().map(Some).chain(target.provider.data.credentials.is_empty().then_some(None));
            lanes.extend(with.map(|credential| Lane { index: 0, target, credential, spent: false, repeated: false }));
        }
        lanes.iter_mut().enumerate().for_each(|(index, lane)| lane.index = index);
        match (lanes.is_empty(), too_small) {
            (true, Some(refusal)) => return Err(refusal),
            (true, None) => return Err(unavailable(route, "none of its targets has this model and a credential")),
            (false, _) => {}
        }
        route.load.active.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            route,
            model,
            needed: needs.of_rates(),
            deadline,
            began: now,
            client_retries,
            caller: 0,
            attempts: 0,
            unprocessed: 0,
            lanes,
            again: None,
            best: None,
            retrying: false,
            failing_over: false,
            over_budget: false,
        })
    }

    /// Says by which [mark](crate::mark_of) targets and credentials remember the caller.
    pub const fn called_by(&mut self, caller: u64) {
        self.caller = caller;
    }

    /// Attempts so far.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The model that the client named.
    pub const fn model(&self) -> &'t str {
        self.model
    }

    /// The next step. `draw` is any random number.
    pub fn next(&mut self, now: Millis, draw: u64) -> Step<'t> {
        self.leave_budgets();
        if let Some(Again { lane, wait_ms }) = self.again.take()
            && let Some(lane) = self.lanes.get(lane).copied()
        {
            return self.attempt(lane, wait_ms, now);
        }
        if self.attempts >= self.route.data.retry.max_attempts.max(1) || now >= self.deadline {
            return self.give_up(now);
        }
        let found = self.choose(now, draw).map(|lane| (lane, 0));
        let found = found.or_else(|| self.soonest(now)).or_else(|| Some((self.last_resort(now)?, 0)));
        let Some((lane, wait_ms)) = found else { return self.give_up(now) };
        if self.attempts > 0 && lane.look(self.caller, now).failing && !self.may_fail_over() {
            return self.give_up(now);
        }
        if lane.target.health.standing(self.caller, now) != Standing::Ready {
            lane.target.health.begin_probe();
        }
        self.attempt(lane, wait_ms, now)
    }

    fn attempt(&mut self, lane: Lane<'t>, wait_ms: u64, now: Millis) -> Step<'t> {
        self.attempts += 1;
        if let Some(held) = self.lanes.get_mut(lane.index) {
            held.spent = true;
        }
        let taken = lane.target.health.rates.take(lane.name(), &self.needed, now);
        let wait_ms = wait_ms.max(taken.wait_ms.min(lane.patience()));
        Step::Attempt { target: lane.target, credential: lane.credential, wait_ms, taken }
    }

    /// Records the outcome of the last attempt; a further one may follow. Health is told by the caller.
    pub fn failed(
        &mut self,
        target: &Target,
        credential: Option<&Credential>,
        failure: Failure,
        now: Millis,
        draw: u64,
    ) {
        let same = |lane: &Lane<'_>| {
            std::ptr::eq(lane.target, target) && lane.credential.map(|c| &c.name) == credential.map(|c| &c.name)
        };
        let Some(tried) = self.lanes.iter().position(same) else { return };
        if failure.kind == FailureKind::Unprocessed && self.unprocessed < MAX_UNPROCESSED {
            self.unprocessed += 1;
            self.attempts -= 1;
            self.again = Some(Again { lane: tried, wait_ms: 0 });
            return;
        }
        if !failure.of_credential() {
            for lane in self.lanes.iter_mut().filter(|lane| std::ptr::eq(lane.target, target)) {
                lane.spent = true;
            }
        }
        // Nothing was sent: another target may well be asked.
        let not_sent = failure.kind == FailureKind::NotSent;
        self.attempts -= u32::from(not_sent);
        let may = not_sent || failure.retry_on().is_some_and(|on| self.route.data.retry.on.contains(&on));
        if !may
            || (failure.kind == FailureKind::Timeout
                && self.deadline.saturating_sub(now) * 4 < self.deadline - self.began)
        {
            self.lanes.iter_mut().for_each(|lane| lane.spent = true);
        } else if self.choose(now, draw).is_none() {
            self.again = self.same_again(tried, &failure, now, draw);
        }
        if self.best.as_ref().is_none_or(|best| best.weight() <= failure.weight()) {
            self.best = Some(failure);
        }
    }

    /// The same target once more, where nothing else is ready and the failure allows it.
    fn same_again(&mut self, tried: usize, failure: &Failure, now: Millis, draw: u64) -> Option<Again> {
        if !failure.same_target() {
            return None;
        }
        let retry = &self.route.data.retry;
        let lane = self.lanes.get(tried)?;
        let span = (retry.backoff_base_ms << self.attempts.saturating_sub(1).min(16)).min(retry.backoff_max_ms);
        let backoff = if failure.kind == FailureKind::Connect {
            0
        } else if matches!(failure.kind, FailureKind::RateLimited | FailureKind::Overloaded) {
            // Who has too much to do is left alone for half of the pause at least.
            span / 2 + draw % (span / 2).max(1)
        } else {
            draw % span.max(1)
        };
        let hint = failure.retry_after_ms.map_or(0, |ms| ms.max(100));
        let cooling = lane.look(self.caller, now).cooling_until.saturating_sub(now);
        let wait_ms = backoff.max(hint).max(cooling).max(self.rated_ms(lane, now));
        let allowed = self.attempts < retry.max_attempts
            && !self.client_retries
            && !lane.repeated
            && wait_ms <= MAX_WAIT_MS.max(retry.backoff_max_ms)
            && now + wait_ms < self.deadline;
        if !allowed || !self.may_retry() {
            return None;
        }
        self.lanes.get_mut(tried)?.repeated = true;
        Some(Again { lane: tried, wait_ms })
    }

    fn may_retry(&mut self) -> bool {
        let budget = RETRY_FLOOR.max(self.active() * self.route.data.retry.budget_percent / 100);
        self.retrying = self.retrying || enter(&self.route.load.retries, budget);
        self.over_budget |= !self.retrying;
        self.retrying
    }

    fn may_fail_over(&mut self) -> bool {
        self.failing_over = enter(&self.route.load.failovers, RETRY_FLOOR.max(self.active() * FAILOVER_PERCENT / 100));
        self.over_budget |= !self.failing_over;
        self.failing_over
    }

    fn active(&self) -> u32 {
        self.route.load.active.load(Ordering::Relaxed)
    }

    /// By priority, then weight of the target, then weight of the credential, among those that are ready. After a
    /// failure one that is failing comes last, and the last attempt goes to one that is known to be well.
    fn choose(&self, now: Millis, draw: u64) -> Option<Lane<'t>> {
        let mut ready = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes.iter().filter(|lane| !lane.spent && self.parked_until(lane, now) == 0) {
            let look = lane.look(self.caller, now);
            let fit = look.cooling_until == 0 && !matches!(look.standing, Standing::Out(_));
            if fit && self.rated_ms(lane, now) == 0 {
                ready.push((lane, look));
            }
        }
        if self.attempts > 0 {
            let is_last = self.attempts + 1 >= self.route.data.retry.max_attempts;
            prefer(&mut ready, |(_, look)| !look.failing && look.standing == Standing::Ready);
            prefer(&mut ready, |(_, look)| is_last && look.well);
        }
        let first = ready.iter().map(|(lane, _)| lane.target.data.priority).min()?;
        ready.retain(|(lane, _)| lane.target.data.priority == first);
        let is_first_of_target =
            |at: usize, target: &Target| !ready.iter().take(at).any(|(held, _)| std::ptr::eq(held.target, target));
        // A target that a Budget named may have no weight of its own.
        let targets = ready.iter().enumerate().filter(|(at, (lane, _))| is_first_of_target(*at, lane.target));
        let target =
            weighted(targets.map(|(_, (lane, _))| (lane.target, u64::from(lane.target.data.weight).max(1))), draw)?;
        let credentials = ready.iter().filter(|(lane, _)| std::ptr::eq(lane.target, target));
        let weight = |lane: &Lane<'_>| lane.credential.map_or(1, |credential| u64::from(credential.weight));
        weighted(credentials.map(|(lane, _)| (**lane, weight(lane))), draw >> 32)
    }

    /// How long the upstream's own rates have no room for the request.
    fn rated_ms(&self, lane: &Lane<'_>, now: Millis) -> u64 {
        lane.target.health.rates.wait(lane.name(), &self.needed, now)
    }

    fn parked_until(&self, lane: &Lane<'_>, now: Millis) -> Millis {
        lane.credential.map_or(0, |credential| credential.health.parked_until(self.caller, now))
    }

    /// Where rates or a cooldown alone are in the way: the one that has room first, if that can be waited for.
    fn soonest(&mut self, now: Millis) -> Option<(Lane<'t>, u64)> {
        let wait = |lane: &Lane<'t>| {
            let look = lane.look(self.caller, now);
            let fit = !lane.spent && !matches!(look.standing, Standing::Out(_)) && self.parked_until(lane, now) == 0;
            let cooling = look.cooling_until.saturating_sub(now);
            fit.then(|| (self.rated_ms(lane, now).max(cooling), cooling > 0, *lane))
        };
        let (wait_ms, cools, lane) = self.lanes.iter().filter_map(wait).min_by_key(|(wait_ms, ..)| *wait_ms)?;
        let can_wait = wait_ms <= lane.patience() && now + wait_ms < self.deadline;
        (can_wait && (!cools || self.may_retry())).then_some((lane, wait_ms))
    }

    fn leave_budgets(&mut self) {
        for (held, counter) in
            [(&mut self.retrying, &self.route.load.retries), (&mut self.failing_over, &self.route.load.failovers)]
        {
            // A retry that was just planned stays in its budget until its attempt is over.
            if *held && self.again.is_none() {
                counter.fetch_sub(1, Ordering::Relaxed);
                *held = false;
            }
        }
    }
}

impl Drop for Plan<'_> {
    fn drop(&mut self) {
        self.again = None;
        self.leave_budgets();
        self.route.load.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Enters a budget if it has room.
fn enter(counter: &AtomicU32, budget: u32) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < budget).then_some(held + 1)).is_ok()
}

/// Keeps those alone that a rule likes, if it likes any.
fn prefer<T>(items: &mut Vec<T>, likes: impl Fn(&T) -> bool) {
    if items.iter().any(&likes) {
        items.retain(likes);
    }
}

fn weighted<T>(items: impl Iterator<Item = (T, u64)> + Clone, draw: u64) -> Option<T> {
    let total: u64 = items.clone().map(|(_, weight)| weight).sum();
    let mut left = draw.checked_rem(total)?;
    for (item, weight) in items {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return Some(item),
        }
    }
    None
}

/// Why a target cannot hold the request at all.
pub(crate) fn misfit(target: &Target, model: &str, needs: Needs) -> Option<Refusal> {
    let Needs { input, max_output, max_output_name, rated: _ } = needs;
    let limits = target.limits_for(model);
    if let (Some(limit), Some(wanted)) = (limits.max_output, max_output)
        && wanted > limit
    {
        let message = format!("`{max_output_name}` is {wanted}, but the model writes at most {limit} tokens");
        return Some(Refusal::invalid("invalid_value", Some(max_output_name), message));
    }
    let window = limits.context_window?;
    let total = input.saturating_add(max_output.unwrap_or(0));
    (total > window).then(|| {
        let message = format!(
            "the request needs about {total} tokens, but the model's context window has {window}; shorten `messages`"
        );
        Refusal::invalid("context_length_exceeded", Some("messages"), message)
    })
}

fn unavailable(route: &Route, why: &str) -> Refusal {
    let message = format!("the route {} cannot serve: {why}", route.id);
    Refusal::new(503, ErrorType::Overloaded, "route_unavailable", message)
}
