//! Files that the process may open, most of them sockets: as many as the system lets it, shared out so that a
//! client's connection never takes the one that its upstream needs.

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept for listeners, idle upstreams, files and the runtime itself.
const RESERVED: u64 = 64;
/// Served however little there is.
const FEWEST: u64 = 16;
/// Where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// Connections of clients to serve at once, after raising the limit as far as it goes.
pub(crate) fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    usize::try_from(share(files.unwrap_or(UNLIMITED))).unwrap_or(usize::MAX)
}

/// One for the client and one for its upstream.
fn share(files: u64) -> u64 {
    (files.saturating_sub(RESERVED) / 2).clamp(FEWEST, UNLIMITED)
}

/// Whether it is this process, or its host, that has no socket left; the other end did nothing wrong.
pub(crate) fn are_out(error: &std::io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::ADDRNOTAVAIL].contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f79_half_of_the_files_are_for_clients_and_some_for_none() {
        assert_eq!((share(1_024), share(1 << 20), share(10)), (480, (1 << 19) - 32, FEWEST));
    }
}
