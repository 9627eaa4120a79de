//! `weir-dataplane`: one pod of the data plane.

use clap::Parser as _;
use std::process::ExitCode;
use weir_dataplane::{Config, Gateway, LogLine, feed, ledger, runtime, signals};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(clap::Parser)]
#[command(name = "weir-dataplane", version, about = "Serves LLM requests by the config that the Weir operator pushes")]
struct Args {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    feed: feed::Config,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(LogLine::default)
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| "info".into()))
        .init();
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task panicked")));
    let args = Args::parse();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match runtime(args.config.workers) {
        Ok(runtime) => runtime,
        Err(e) => return failed(&format!("no runtime: {e}")),
    };
    runtime.block_on(async {
        let gateway = Gateway::new(args.config);
        let serving = match gateway.start() {
            Ok((_, _, serving)) => serving,
            Err(e) => return failed(&e.to_string()),
        };
        let leasing = tokio::spawn(ledger::follow(gateway.clone(), args.feed.clone()));
        let feeding = tokio::spawn(feed::follow(gateway.clone(), args.feed));
        signals::told_to_end().await;
        tokio::select! {
            () = gateway.drain().run() => drop(serving.await),
            () = signals::interrupted() => {}
        }
        gateway.settle_up().await;
        leasing.abort();
        feeding.abort();
        ExitCode::SUCCESS
    })
}

fn failed(why: &str) -> ExitCode {
    tracing::error!(%why, "cannot start");
    ExitCode::FAILURE
}
