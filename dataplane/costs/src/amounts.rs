//! Sums of requests, tokens and money. Each only grows.

/// What is charged at a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named after the members of a price")]
pub enum Class {
    Input,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
    Output,
    Reasoning,
    Request,
}

impl Class {
    /// Every class, in the order of [`Amounts::sums`].
    pub const ALL: [Self; 7] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::Request,
    ];

    /// Its name in exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache-read",
            Self::CacheWrite5m => "cache-write-5m",
            Self::CacheWrite1h => "cache-write-1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::Request => "request",
        }
    }
}

/// How much of one class, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Tokens, or requests.
    pub count: u64,
    /// Their price: 10⁻¹² of the currency's unit.
    pub pico: u128,
}

/// What was used under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// By class, in the order of [`Class::ALL`].
    pub sums: [Sum; 7],
    /// Requests of models without a price.
    pub unpriced: u64,
    /// What the ledger was charged: 10⁻⁹ of the currency's unit, each request rounded up.
    pub nano: u64,
}

impl Amounts {
    /// The classes that were used, with how much of each.
    pub fn used(&self) -> impl Iterator<Item = (Class, Sum)> + '_ {
        Class::ALL.into_iter().zip(self.sums).filter(|(_, sum)| *sum != Sum::default())
    }

    /// Sets the sum of a class.
    #[must_use]
    pub fn with(mut self, class: Class, count: u64, pico: u128) -> Self {
        let held = Class::ALL.into_iter().zip(&mut self.sums).find(|(of, _)| *of == class);
        if let Some((_, sum)) = held {
            *sum = Sum { count, pico };
        }
        self
    }

    pub(crate) fn add(&mut self, more: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(&more.sums) {
            sum.count = sum.count.saturating_add(more.count);
            sum.pico = sum.pico.saturating_add(more.pico);
        }
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
        self.nano = self.nano.saturating_add(more.nano);
    }

    /// The later of two words about sums that only grow.
    pub(crate) fn grow_to(&mut self, said: &Self) {
        for (sum, said) in self.sums.iter_mut().zip(&said.sums) {
            sum.count = sum.count.max(said.count);
            sum.pico = sum.pico.max(said.pico);
        }
        self.unpriced = self.unpriced.max(said.unpriced);
        self.nano = self.nano.max(said.nano);
    }
}
