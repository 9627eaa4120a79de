//! Sums as messages: each text once, rows by the places of their texts.

use crate::amounts::{Amounts, Sum};
use crate::book::{Book, Page, Report};
use crate::key::Key;
use prost::Message as _;
use std::collections::{BTreeMap, HashMap};
use weir_snapshot::Name;
use weir_snapshot::ledger::{CostDay, CostPage, CostReport, CostRow};

/// A class's price is written as nano-units and what is left of 10⁻¹².
const PICO_A_NANO: u128 = 1_000;

impl Report {
    /// As that start of a process sends it.
    pub fn to_wire(&self, start: &str) -> CostReport {
        let mut texts = Texts::default();
        let rows = self.sums.iter().map(|(key, amounts)| row(key, amounts, &mut texts)).collect();
        CostReport {
            start: start.to_owned(),
            version: self.version,
            open_from: self.open_from,
            texts: texts.all,
            rows,
            last: false,
        }
    }

    /// What came; `None` if it is none.
    pub fn from_wire(report: &CostReport) -> Option<Self> {
        let sums: Option<Vec<_>> = report.rows.iter().map(|row| sum(row, &report.texts)).collect();
        Some(Self { version: report.version, open_from: report.open_from, sums: sums? })
    }
}

impl Book {
    /// As bytes, of which `most` are wanted at most: to that end sessions become one, then closed hours their day, then users
    /// one user, then all names one.
    pub fn encode(&mut self, most: usize) -> Vec<u8> {
        let coarser: [fn(&Key) -> Key; 4] =
            [Key::of_other_session, Key::of_its_day, Key::of_other_user, Key::of_others];
        let mut bytes = bytes(self);
        for coarser in coarser {
            if bytes.len() <= most {
                break;
            }
            self.coarsen(coarser);
            bytes = self::bytes(self);
        }
        bytes
    }

    /// What [`Book::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let CostDay { day, folded, texts, base, pages } = CostDay::decode(bytes).ok()?;
        let sums = |rows: &[CostRow]| rows.iter().map(|row| sum(row, &texts)).collect::<Option<BTreeMap<_, _>>>();
        let page = |page: CostPage| Some((page.start, Page { open_from: page.open_from, sums: sums(&page.rows)? }));
        let live = pages.into_iter().map(page).collect::<Option<BTreeMap<_, _>>>()?;
        Some(Self { day, base: sums(&base)?, live, folded })
    }
}

fn bytes(book: &Book) -> Vec<u8> {
    let mut texts = Texts::default();
    let base = rows(&book.base, &mut texts);
    let page = |(start, page): (&String, &Page)| CostPage {
        start: start.clone(),
        open_from: page.open_from,
        rows: rows(&page.sums, &mut texts),
    };
    let pages = book.live.iter().map(page).collect();
    CostDay { day: book.day, folded: book.folded, texts: texts.all, base, pages }.encode_to_vec()
}

/// Texts in the order in which they came.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    places: HashMap<String, u32>,
}

impl Texts {
    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

fn rows(sums: &BTreeMap<Key, Amounts>, texts: &mut Texts) -> Vec<CostRow> {
    sums.iter().map(|(key, amounts)| row(key, amounts, texts)).collect()
}

fn row(key: &Key, amounts: &Amounts, texts: &mut Texts) -> CostRow {
    let named = [
        &key.currency,
        &key.namespace,
        &key.user,
        &key.team,
        &key.project,
        &key.cost_center,
        &key.route.namespace,
        &key.route.name,
        &key.provider.namespace,
        &key.provider.name,
        &key.provider_type,
        &key.model,
        &key.session,
        &key.agent,
    ];
    let whole = |sum: &Sum| u64::try_from(sum.pico / PICO_A_NANO).unwrap_or(u64::MAX);
    let rest = |sum: &Sum| u32::try_from(sum.pico % PICO_A_NANO).unwrap_or_default();
    CostRow {
        hour: key.hour,
        hours: key.hours,
        texts: named.map(|text| texts.place(text)).to_vec(),
        counts: amounts.sums.iter().map(|sum| sum.count).collect(),
        nano_of_classes: amounts.sums.iter().map(whole).collect(),
        pico_of_classes: amounts.sums.iter().map(rest).collect(),
        unpriced: amounts.unpriced,
        nano: amounts.nano,
    }
}

fn sum(row: &CostRow, texts: &[String]) -> Option<(Key, Amounts)> {
    let mut places = row.texts.iter();
    let mut next = || texts.get(usize::try_from(*places.next()?).ok()?).cloned();
    let mut key = Key {
        hour: row.hour,
        hours: row.hours,
        currency: next()?,
        namespace: next()?,
        user: next()?,
        team: next()?,
        project: next()?,
        cost_center: next()?,
        session: String::new(),
        agent: String::new(),
        route: Name::new(&next()?, &next()?),
        provider: Name::new(&next()?, &next()?),
        provider_type: next()?,
        model: next()?,
    };
    // Rows of releases that knew no sessions end here.
    if let (Some(session), Some(agent)) = (next(), next()) {
        (key.session, key.agent) = (session, agent);
    }
    let mut amounts = Amounts { unpriced: row.unpriced, nano: row.nano, ..Amounts::default() };
    let classes = row.counts.iter().zip(&row.nano_of_classes).zip(&row.pico_of_classes);
    for (sum, ((count, nano), pico)) in amounts.sums.iter_mut().zip(classes) {
        *sum = Sum { count: *count, pico: u128::from(*nano) * PICO_A_NANO + u128::from(*pico) };
    }
    Some((key, amounts))
}
