//! A cluster's worth of manifests around the measured ones: routes and keys that nobody uses, since a
//! gateway must not get slower by them.

use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Folder with the measured manifests
    from: PathBuf,
    /// Folder to write them and all others to
    to: PathBuf,
    #[arg(long, default_value_t = 1_000)]
    routes: u32,
    #[arg(long, default_value_t = 1_000)]
    keys: u32,
}

pub fn main(args: Args) -> Result<(), String> {
    let failed = |what: &PathBuf| {
        let what = what.display().to_string();
        move |e: std::io::Error| format!("{what}: {e}")
    };
    std::fs::create_dir_all(&args.to).map_err(failed(&args.to))?;
    for entry in std::fs::read_dir(&args.from).map_err(failed(&args.from))? {
        let path = entry.map_err(failed(&args.from))?.path();
        let Some(name) = path.file_name() else { continue };
        std::fs::copy(&path, args.to.join(name)).map_err(failed(&path))?;
    }
    let (mut routes, mut keys) = (String::new(), String::new());
    for n in 0..args.routes {
        let _ = write!(
            routes,
            "---\napiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: other-{n}}}\nspec:\n  models: [{{name: other-{n}}}]\n  rules:\n    - targets: [{{name: one, providerRef: {{name: one}}, model: mock-openai}}]\n"
        );
    }
    for n in 0..args.keys {
        // What is stored of a key is a hash; whose, nobody asks here.
        let hash = format!("{n:08x}").repeat(8);
        let _ = write!(
            keys,
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: other-{n}, labels: {{weir.dev/api-key: k{n:011}}}}}\ntype: weir.dev/api-key\nstringData: {{current: \"v1${hash}\"}}\n"
        );
    }
    for (name, text) in [("routes.yaml", routes), ("keys.yaml", keys)] {
        let path = args.to.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}
