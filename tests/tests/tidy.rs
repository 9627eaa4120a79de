//! The rules of ARCHITECTURE.md, held by a program.

use std::path::Path;
use weir_tests::modules::Modules;
use weir_tests::workspace::{self, Crate};
use weir_tests::{codegen, repository};

/// Which crate may use which of the others.
const ARROWS: [(&str, &[&str]); 12] = [
    ("weir-crds", &[]),
    ("weir-snapshot", &[]),
    ("weir-dialect", &[]),
    ("weir-costs", &["weir-snapshot"]),
    ("weir-lease", &["weir-snapshot"]),
    ("weir-policy", &["weir-dialect", "weir-lease", "weir-snapshot"]),
    ("weir-compile", &["weir-crds", "weir-snapshot"]),
    ("weir-dataplane", &["weir-costs", "weir-dialect", "weir-lease", "weir-policy", "weir-snapshot"]),
    // The data plane's library for `up`, and for what it knows of dialling.
    ("weir-ledger", &["weir-costs", "weir-lease", "weir-snapshot"]),
    (
        "weir-operator",
        &["weir-compile", "weir-costs", "weir-crds", "weir-dataplane", "weir-lease", "weir-ledger", "weir-snapshot"],
    ),
    ("weir-tests", &["weir-crds", "weir-snapshot"]),
    // Measures the binaries from outside.
    ("weir-bench", &[]),
];
const PURE: [&str; 7] =
    ["weir-crds", "weir-snapshot", "weir-dialect", "weir-costs", "weir-lease", "weir-policy", "weir-compile"];
const MOST_LINES: usize = 500;
const MOST_DEPENDENCIES_PURE: usize = 8;
const MOST_DEPENDENCIES_SHELL: usize = 30;

fn is_pure(of: &Crate) -> bool {
    PURE.contains(&of.name.as_str())
}

/// Rust files of the workspace that a person wrote.
fn written_files() -> Vec<(std::path::PathBuf, String)> {
    let files = workspace::files(&repository(), ".rs").into_iter();
    let read = files.map(|path| {
        let text = std::fs::read_to_string(&path).expect("source is text");
        (path, text)
    });
    read.filter(|(_, text)| !text.starts_with("//! Generated")).collect()
}

#[test]
fn generated_code_is_up_to_date() {
    for (path, text) in codegen::generate(&repository()) {
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
            std::fs::write(&path, text).expect("generated code can be written");
        } else {
            let held = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(held == text, "{} is out of date; run with UPDATE=1", path.display());
        }
    }
}

#[test]
fn crates_use_only_the_crates_that_they_may() {
    for of in workspace::crates() {
        let allowed = ARROWS.iter().find(|(name, _)| *name == of.name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} has no line in ARROWS", of.name));
        let own = of.dependencies.iter().filter(|name| name.starts_with("weir-"));
        let excess: Vec<_> = own.filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(excess.is_empty(), "{} may not use {excess:?}", of.name);
    }
}

#[test]
fn the_data_plane_knows_no_kubernetes() {
    let reached = workspace::tree(&["-p", "weir-dataplane", "-e", "normal"]);
    for name in ["kube", "kube-core", "kube-client", "k8s-openapi", "weir-crds", "weir-compile"] {
        assert!(!reached.contains(name), "weir-dataplane reaches {name}");
    }
}

#[test]
fn pure_crates_reach_no_runtime_network_or_chance() {
    for name in PURE {
        let reached = workspace::tree(&["-p", name, "-e", "normal"]);
        for banned in ["tokio", "hyper", "kube-client", "kube-runtime", "rand", "fastrand", "tracing", "socket2"] {
            assert!(!reached.contains(banned), "{name} reaches {banned}");
        }
    }
}

#[test]
fn pure_crates_ask_no_clock_environment_file_or_chance() {
    let asks = ["SystemTime", "Instant::now", "Timestamp::now", "Zoned::now", "std::env", "std::fs", "std::net::Tcp"];
    for of in workspace::crates().iter().filter(|of| is_pure(of)) {
        for path in workspace::files(&of.folder.join("src"), ".rs") {
            let text = std::fs::read_to_string(&path).expect("source is text");
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let in_tests = path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
            let asked: Vec<_> = asks.iter().filter(|ask| !in_tests && shipped.contains(**ask)).collect();
            assert!(asked.is_empty(), "{} asks {asked:?}", path.display());
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    let mut complaints = Vec::new();
    for (path, text) in written_files() {
        if !text.starts_with("//!") {
            complaints.push(format!("{} does not open with `//!`", path.display()));
        }
        let lines = text.lines().count();
        // The load harness is apart: it ships nothing.
        if lines > MOST_LINES && !path.starts_with(repository().join("tests/bench")) {
            complaints.push(format!("{} has {lines} lines", path.display()));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn modules_use_each_other_in_no_circle() {
    let mut circles = Vec::new();
    for of in workspace::crates() {
        let src = of.folder.join("src");
        for root in ["lib.rs", "main.rs"].into_iter().filter(|root| src.join(root).exists()) {
            let circle = Modules::read(&src, root).circle();
            circles.extend(circle.map(|circle| format!("{}: {}", of.name, circle.join(" -> "))));
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Used is what the source names, and what the code names that kube's derive writes.
#[test]
fn dependencies_are_few_and_used() {
    let mut complaints = Vec::new();
    for of in workspace::crates().iter().filter(|of| !of.folder.starts_with(repository().join("tests"))) {
        let most = if is_pure(of) { MOST_DEPENDENCIES_PURE } else { MOST_DEPENDENCIES_SHELL };
        let foreign = of.dependencies.iter().filter(|name| !name.starts_with("weir-")).count();
        if foreign > most {
            complaints.push(format!("{} has {foreign} direct dependencies, more than {most}", of.name));
        }
        let sources = workspace::files(&of.folder.join("src"), ".rs");
        let text: String = sources.iter().map(|path| std::fs::read_to_string(path).expect("source is text")).collect();
        let named = |name: &str| text.contains(&name.replace('-', "_"));
        let derived = |name: &str| name == "serde_json" && text.contains("CustomResource");
        let idle = of.dependencies.iter().filter(|name| !named(name) && !derived(name));
        complaints.extend(idle.map(|name| format!("{} does not use {name}", of.name)));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn one_crypto_provider_and_no_banned_crate_is_built() {
    let built = workspace::tree(&["--workspace", "-e", "normal,build,dev"]);
    for banned in ["ring", "openssl", "native-tls", "rsa", "serde_yml"] {
        assert!(!built.contains(banned), "{banned} is built; `cargo tree -i {banned}` says why");
    }
}

#[test]
fn lock_files_name_no_registry_host() {
    let locks = [Path::new("tests/sdk/node/package-lock.json"), Path::new("tests/sdk/python/requirements.txt")];
    for lock in locks {
        let text = std::fs::read_to_string(repository().join(lock)).expect("a lock file");
        assert!(!text.contains("://"), "{} names a host", lock.display());
    }
}

#[test]
fn every_queue_pool_and_share_has_a_row_in_security_md() {
    const MADE_BY: [&str; 6] =
        ["Semaphore::new(", "mpsc::channel", "unbounded_channel", "broadcast::channel", "Cache::new(", "Shares::of("];
    let text = std::fs::read_to_string(repository().join("SECURITY.md")).expect("there is a SECURITY.md");
    let table = text.split("<!-- shared resources -->").nth(1).expect("it has the table of shared resources");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.iter().all(|row| row.matches('|').count() == 5), "each row says what, where, the bound and the share");
    let own = ["tests/", "crds/"].map(|folder| repository().join(folder));
    for (path, text) in written_files() {
        let name = path.strip_prefix(repository()).expect("it is in the repository").display().to_string();
        let is_test =
            own.iter().any(|folder| path.starts_with(folder)) || name.contains("/tests") || name.contains("/bench");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if is_test || !MADE_BY.iter().any(|maker| code.contains(maker)) {
            continue;
        }
        let named = rows.iter().any(|row| row.contains(&format!("`{name}`")));
        assert!(named, "{name} makes a queue, pool or share: say its bound and one tenant's share in SECURITY.md");
    }
}
