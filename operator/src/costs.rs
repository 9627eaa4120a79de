//! `costs`: what requests cost, as the ledger keeps it, for who pays the bills.

use crate::{ledger, run, up};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weir_costs::{Amounts, Key, day, focus};
use weir_ledger::{Days, Store, today};

/// As many requests at most are made of the API server or of Redis.
const MOST_DAYS: u64 = 1_000;

/// Which costs, and whose.
#[derive(Args)]
pub(crate) struct CostsArgs {
    /// Folder of manifests that `up` serves; without it, the cluster's costs
    folder: Option<PathBuf>,
    /// First day, by UTC: YYYY-MM-DD, or YYYY-MM for the first of a month
    #[arg(long, value_parser = day)]
    from: u64,
    /// The day after the last one; by default everything up to now
    #[arg(long, value_parser = day)]
    to: Option<u64>,
    /// FOCUS 1.2 as CSV or JSON
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// `BillingAccountId` of the export
    #[arg(long, default_value = "weir")]
    billing_account_id: String,
    /// `BillingAccountName` of the export; by default its id
    #[arg(long)]
    billing_account_name: Option<String>,
    /// Namespace of the operator
    #[arg(long, env = "WEIR_NAMESPACE", default_value = "weir-system")]
    namespace: String,
    /// Redis that holds the ledger in the place of ConfigMaps
    #[arg(long, env = "WEIR_LEDGER_REDIS", hide_env_values = true)]
    ledger_redis: Option<String>,
    /// File of the ledger, where `up` was given one
    #[arg(long, env = "WEIR_LEDGER", requires = "folder")]
    ledger: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Json,
}

/// The export, and what is to be known of it.
pub(crate) fn costs(args: &CostsArgs) -> Result<(String, String), String> {
    let to = args.to.unwrap_or_else(|| today() + 1);
    if to <= args.from {
        return Err("--to is the day after the last one: it must be later than --from\n".to_owned());
    }
    if to - args.from > MOST_DAYS {
        return Err(format!("--from and --to are more than {MOST_DAYS} days apart\n"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| format!("{e}\n"))?;
    let totals = match &args.folder {
        Some(folder) => of_folder(args, folder, to),
        None => runtime.block_on(of_cluster(args, to)),
    };
    let totals = totals.map_err(|why| format!("{why}\n"))?;
    let name = args.billing_account_name.as_ref().unwrap_or(&args.billing_account_id);
    let account = focus::Account { id: args.billing_account_id.clone(), name: name.clone() };
    let text = match args.format {
        Format::Csv => focus::csv(&totals, &account),
        Format::Json => focus::json(&totals, &account),
    };
    let told = match focus::unpriced(&totals) {
        0 => String::new(),
        requests => format!("{requests} requests of models without a price are in no row\n"),
    };
    Ok((text, told))
}

fn of_folder(args: &CostsArgs, folder: &Path, to: u64) -> Result<BTreeMap<Key, Amounts>, String> {
    let file = args.ledger.clone().map_or_else(|| up::default_ledger(folder), Ok)?;
    let (days, mut totals) = (Days::beside(&file), BTreeMap::new());
    for day in args.from..to {
        days.costs(day)?.into_iter().for_each(|book| book.add_to(&mut totals));
    }
    Ok(totals)
}

async fn of_cluster(args: &CostsArgs, to: u64) -> Result<BTreeMap<Key, Amounts>, String> {
    let store = match &args.ledger_redis {
        Some(url) => ledger::redis(url, &args.namespace)?,
        None => Store::cluster(run::client().await.map_err(|why| why.to_string())?, &args.namespace),
    };
    let mut totals = BTreeMap::new();
    let kept = (today() + 1).saturating_sub(store.retention().days);
    for day in args.from.max(kept)..to.min(today() + 2) {
        store.costs(day).await?.into_iter().for_each(|book| book.add_to(&mut totals));
    }
    Ok(totals)
}
