//! A machine of a test's own: the test runs once more inside namespaces of Linux, where every address is its to give.
//!
//! Names resolve at port 53 of 127.0.0.1, and a device called `forbidden` counts what is sent to a set of ranges.

use std::path::Path;
use std::process::Command;

use crate::process::Process;

/// Where name servers of tests listen inside.
pub const NAME_SERVER: &str = "127.0.0.1:53";
const INSIDE: &str = "WEIR_TESTS_INSIDE";
/// The addresses that programs inside send from.
const SOURCES: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

/// Whether this is inside. Outside, the test named `test` is run inside first, and panics here if it fails there.
///
/// Inside, packets to `ranges` go to the device `forbidden`, and the machine has `addresses` besides loopback.
/// Where namespaces are not permitted, this prints so and nothing runs inside.
pub async fn is_inside(test: &str, ranges: &[&str], addresses: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let setup = setup(folder.path(), ranges, addresses);
    let command = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-ec", &setup, "sh"]).arg(program);
        command
    };
    let tried = command(Path::new("true")).output();
    if let Some(why) = match &tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    } {
        println!("{test} needs namespaces, which are not permitted here: {why}");
        return false;
    }
    let this = std::env::current_exe().expect("a test knows its own path");
    let mut command = command(&this);
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
    let process = Process::spawn(test, &mut command);
    assert!(process.exit().await.success(), "inside:\n{}", process.output().join("\n"));
    false
}

/// Packets that were sent to the ranges.
pub fn sent_to_ranges() -> u64 {
    let devices = std::fs::read_to_string("/proc/net/dev").expect("the kernel counts packets");
    let counts = devices.lines().find_map(|line| line.trim().strip_prefix("forbidden:"));
    let sent = counts.and_then(|counts| counts.split_whitespace().nth(9)).expect("the device is there");
    sent.parse().expect("a count is a number")
}

/// The commands that make the machine; they end in the program to run.
fn setup(folder: &Path, ranges: &[&str], addresses: &[&str]) -> String {
    let files = [("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n")];
    let mut lines = vec!["ip link set lo up".to_owned(), "ip link add forbidden type veth peer name beyond".to_owned()];
    // Without neighbours to ask for and routers to look for, only what is sent to the ranges is sent.
    lines.extend(["forbidden", "beyond"].map(|end| format!("ip link set {end} addrgenmode none arp off up")));
    lines.extend(SOURCES.iter().chain(addresses).map(|address| format!("ip address add {address} dev lo")));
    lines.extend(ranges.iter().map(|range| {
        let source = SOURCES[usize::from(range.contains(':'))];
        format!("ip route add {range} dev forbidden src {source}")
    }));
    for (name, text) in files {
        let file = folder.join(name);
        std::fs::write(&file, text).expect("a file can be written");
        lines.push(format!("mount --bind {} /etc/{name}", file.display()));
    }
    lines.push("exec \"$@\"".to_owned());
    lines.join("\n")
}
