//! `weir-operator`: Kubernetes objects in, config on every pod, truth in status; and the same from files.

mod admin;
mod args;
mod authority;
mod brake;
mod costs;
mod election;
mod events;
mod explain;
mod fair;
mod key;
mod key_sets;
mod ledger;
mod prices;
mod proof;
mod publish;
mod reconcile;
mod run;
mod source;
mod status;
mod telemetry;
mod up;
mod validate;
mod webhook;

use args::{Args, Command, KeyCommand};
use clap::{CommandFactory as _, FromArgMatches as _};
use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::from_arg_matches(&command().get_matches()) {
        Ok(args) => args,
        Err(e) => e.exit(),
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match args.command {
        Command::Run(args) => serve(true, None, async { run::run(args).await.map_err(|why| why.to_string()) }),
        Command::Up(args) => serve(false, args.config.workers, up::up(args)),
        Command::Validate(args) => print(validate::validate(&args.folder)),
        Command::Render(args) => print(validate::render(&args.folder).map(told)),
        Command::Explain(args) => print(explain::explain(args).map(told)),
        Command::Costs(args) => print(costs::costs(&args).map(told)),
        Command::Crds => print(crds()),
        Command::Prices(wanted) => print(prices::catalogue(wanted.provider_type.as_deref(), wanted.model.as_deref())),
        Command::Key(KeyCommand::New(wanted)) => print(key::new(&wanted).map(told_once)),
        Command::Key(KeyCommand::Rotate(wanted)) => print(key::rotate(&wanted).map(told_once)),
        Command::Key(KeyCommand::Revoke(wanted)) => print(key::revoke(&wanted)),
    }
}

/// On a laptop the defaults are its own: only its own programs may ask, and nobody balances load away first.
fn command() -> clap::Command {
    Args::command().mut_subcommand("up", |up| {
        up.mut_arg("listen", |arg| arg.default_value("127.0.0.1:8080"))
            .mut_arg("admin", |arg| arg.default_value("127.0.0.1:9090"))
            .mut_arg("drain_delay", |arg| arg.default_value("0s"))
            .mut_arg("drain_timeout", |arg| arg.default_value("10s"))
    })
}

/// The client's own word on a failed request says less than ours.
const QUIET: &str = "info,kube_client=off";

/// Runs to the end of the process.
fn serve(json: bool, workers: Option<NonZeroUsize>, work: impl Future<Output = Result<(), String>>) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| QUIET.into());
    let ansi = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
    if json {
        log.json().flatten_event(true).init();
    } else {
        log.with_target(false).init();
    }
    let runtime = match weir_dataplane::runtime(workers) {
        Ok(runtime) => runtime,
        Err(e) => return print(Err(format!("no runtime: {e}\n"))),
    };
    print(runtime.block_on(work).map(|()| String::new()).map_err(|why| format!("{why}\n")))
}

fn crds() -> Result<String, String> {
    let manifests = weir_crds::manifests();
    let texts: Result<Vec<_>, _> = manifests.iter().map(serde_yaml::to_string).collect();
    Ok(texts.map_err(|e| format!("{e}\n"))?.join("---\n"))
}

/// What was asked for goes to standard output, a complaint to standard error.
fn print(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) if std::io::stdout().write_all(text.as_bytes()).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(text) => {
            tell(&text);
            ExitCode::FAILURE
        }
    }
}

/// The Secret, once the person was told its key.
fn told_once((secret, token): (String, zeroize::Zeroizing<String>)) -> String {
    tell(&format!("{}\n", *token));
    secret
}

/// What was asked for, once the person was told of complaints.
fn told((text, complaints): (String, String)) -> String {
    tell(&complaints);
    text
}

/// For the person, beside the output.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
