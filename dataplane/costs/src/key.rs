//! What is summed apart.

use weir_snapshot::Name;

/// Hours of a day; days are those of UTC.
pub const HOURS_A_DAY: u64 = 24;
/// Stands for all that were too many to be told apart.
pub const OTHER: &str = "(other)";

/// Who asked for what, in which hour. Names are those of the configuration or of identities; empty = none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Hours since the Unix epoch, in which the request was settled.
    pub hour: u64,
    /// So many hours are summed: one, or those of a day once it is old.
    pub hours: u64,
    /// Currency of the price; empty where the model is unpriced.
    pub currency: String,
    /// Namespace of the caller.
    pub namespace: String,
    /// User.
    pub user: String,
    /// Team.
    pub team: String,
    /// Project.
    pub project: String,
    /// Cost centre.
    pub cost_center: String,
    /// Session.
    pub session: String,
    /// Agent within the session.
    pub agent: String,
    /// Route.
    pub route: Name,
    /// Provider.
    pub provider: Name,
    /// Its type, as in the API.
    pub provider_type: String,
    /// The model, as the configuration calls it.
    pub model: String,
}

/// A [`Key`] of one request, out of what others own.
#[derive(Debug, Clone, Copy, Hash)]
#[expect(missing_docs, reason = "they are those of the key, in their order, so that both have the same hash")]
pub struct KeyRef<'a> {
    pub hour: u64,
    pub hours: u64,
    pub currency: &'a str,
    pub namespace: &'a str,
    pub user: &'a str,
    pub team: &'a str,
    pub project: &'a str,
    pub cost_center: &'a str,
    pub session: &'a str,
    pub agent: &'a str,
    pub route: &'a Name,
    pub provider: &'a Name,
    pub provider_type: &'a str,
    pub model: &'a str,
}

impl KeyRef<'_> {
    /// Whether it names the same.
    pub(crate) fn is(&self, key: &Key) -> bool {
        let Key { hour, hours, currency, namespace, user, team, project, cost_center, route, provider, .. } = key;
        (self.hour, self.hours, self.route, self.provider) == (*hour, *hours, route, provider)
            && [self.currency, self.namespace, self.user, self.team, self.project, self.cost_center]
                == [currency, namespace, user, team, project, cost_center]
            && [self.session, self.agent, self.provider_type, self.model]
                == [&key.session, &key.agent, &key.provider_type, &key.model]
    }

    pub(crate) fn to_key(self) -> Key {
        Key {
            hour: self.hour,
            hours: self.hours,
            currency: self.currency.to_owned(),
            namespace: self.namespace.to_owned(),
            user: self.user.to_owned(),
            team: self.team.to_owned(),
            project: self.project.to_owned(),
            cost_center: self.cost_center.to_owned(),
            session: self.session.to_owned(),
            agent: self.agent.to_owned(),
            route: self.route.clone(),
            provider: self.provider.clone(),
            provider_type: self.provider_type.to_owned(),
            model: self.model.to_owned(),
        }
    }
}

impl Key {
    /// The same, borrowed.
    pub fn borrowed(&self) -> KeyRef<'_> {
        let Self { hour, hours, currency, namespace, user, team, project, cost_center, .. } = self;
        let Self { session, agent, route, provider, provider_type, model, .. } = self;
        KeyRef {
            hour: *hour,
            hours: *hours,
            currency,
            namespace,
            user,
            team,
            project,
            cost_center,
            session,
            agent,
            route,
            provider,
            provider_type,
            model,
        }
    }

    /// How many bytes its texts have.
    pub(crate) fn text_bytes(&self) -> usize {
        let Self { currency, namespace, user, team, project, cost_center, session, agent, .. } = self;
        let texts = [currency, namespace, user, team, project, cost_center, session, agent];
        let texts = texts.into_iter().chain([&self.provider_type, &self.model]);
        let names = [&self.route, &self.provider].map(|name| name.namespace.len() + name.name.len());
        texts.map(|text| text.len()).chain(names).sum()
    }

    /// The day of its hour, since the Unix epoch.
    pub const fn day(&self) -> u64 {
        self.hour / HOURS_A_DAY
    }

    /// The same for its whole day.
    pub(crate) fn of_its_day(&self) -> Self {
        Self { hour: self.day() * HOURS_A_DAY, hours: HOURS_A_DAY, ..self.clone() }
    }

    /// The same for whatever session and agent, of which there are many.
    pub(crate) fn of_other_session(&self) -> Self {
        let other = |name: &str| if name.is_empty() { String::new() } else { OTHER.to_owned() };
        Self { session: other(&self.session), agent: other(&self.agent), ..self.clone() }
    }

    /// The same for whatever user as well.
    pub(crate) fn of_other_user(&self) -> Self {
        Self { user: OTHER.to_owned(), ..self.of_other_session() }
    }

    /// What is told apart in any case: the hour and the currency.
    pub(crate) fn of_others(&self) -> Self {
        let other = || OTHER.to_owned();
        Self {
            hour: self.hour,
            hours: self.hours,
            currency: self.currency.clone(),
            namespace: other(),
            user: other(),
            team: other(),
            project: other(),
            cost_center: other(),
            session: other(),
            agent: other(),
            route: Name::new(OTHER, OTHER),
            provider: Name::new(OTHER, OTHER),
            provider_type: other(),
            model: other(),
        }
    }
}
