//! `explain`: what a folder of manifests makes of a request that nobody sent.

use crate::validate::read;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use weir_dataplane::{Identity, Question};

/// Which request.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Folder of manifests, or one file
    folder: PathBuf,
    /// Who calls: serviceaccount:NAMESPACE/NAME, apikey:NAMESPACE/NAME (of its Secret) or anonymous
    #[arg(long = "as", value_name = "IDENTITY")]
    identity: Identity,
    /// The model that the request names
    #[arg(long)]
    model: String,
    /// The host that it is sent to
    #[arg(long)]
    hostname: Option<String>,
    /// Bytes of its prompt, which the estimate goes by
    #[arg(long, default_value_t = 4_000)]
    prompt_bytes: usize,
    /// Most output that it asks for, in tokens
    #[arg(long)]
    max_output: Option<u64>,
    /// The tier of service that it names, such as flex, priority, fast (a speed) or fast-us (with a place)
    #[arg(long)]
    service_tier: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Yaml,
    Json,
}

/// The answer, of whatever of the folder compiles, and the complaints.
pub(crate) fn explain(args: ExplainArgs) -> Result<(String, String), String> {
    let ExplainArgs { folder, identity, model, hostname, prompt_bytes, max_output, service_tier, output } = args;
    let found = read(&folder)?;
    let compiled = weir_compile::compile(&found.objects);
    let complaints = found.complaints_of(&compiled).iter().map(|complaint| format!("{complaint}\n")).collect();
    let question = Question { identity, model, hostname, prompt_bytes, max_output, service_tier };
    let answer = weir_dataplane::explain(compiled.snapshot, &question).map_err(|why| format!("{why}\n"))?;
    let text = match output {
        Output::Yaml => serde_yaml::to_string(&answer).map_err(|e| e.to_string()),
        Output::Json => serde_json::to_string_pretty(&answer).map(|text| text + "\n").map_err(|e| e.to_string()),
    };
    Ok((text.map_err(|why| format!("{why}\n"))?, complaints))
}
