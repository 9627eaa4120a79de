//! The bytes of requests and answers that a process holds at once: one budget, derived from its memory limit.
//!
//! Bytes are taken before they are held: by the declared length where there is one, else piece by piece. They come back
//! when the value that holds them is dropped.

use crate::shares::{Holder, Shares};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use weir_dialect::{ErrorType, Refusal};
use weir_policy::{Failure, FailureKind};

/// How long a request waits for bytes that others give back.
const PATIENCE: Duration = Duration::from_secs(1);
/// Requests that may wait at once. Over HTTP/2 each may have a connection's window of unread bytes at the kernel's side.
const MOST_WAITING: usize = 32;
/// What a stream may hold without being counted: a network read, which it gives on at once.
const UNCOUNTED: usize = 16 * 1024;
/// By how much the memory of a stream grows and shrinks.
const STEP: usize = 16 * 1024;
/// What a translation may hold of a text besides the text: as it is read and as it is written. Measured of the worst texts.
pub(crate) const TRANSLATED: usize = 4;

/// The budget of one process.
#[derive(Debug)]
pub(crate) struct Memory {
    shares: Shares,
    waiting: AtomicUsize,
    freed: Notify,
}

/// Bytes that were taken from the budget for one namespace.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    holder: Holder,
    bytes: usize,
}

/// The budget has no room for that many bytes now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Memory {
    pub(crate) fn of(bytes: u64) -> Arc<Self> {
        Arc::new(Self { shares: Shares::of(bytes), waiting: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Nothing yet, for callers of that namespace.
    pub(crate) fn hold(self: &Arc<Self>, namespace: &str) -> Held {
        Held { memory: Arc::clone(self), holder: Holder::of(namespace), bytes: 0 }
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> u64 {
        self.shares.held()
    }
}

impl Held {
    /// Nothing yet, for the same namespace.
    pub(crate) fn beside(&self) -> Self {
        Self { memory: Arc::clone(&self.memory), holder: self.holder, bytes: 0 }
    }

    /// Takes what is missing to hold so many bytes in all.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 {
            if !self.memory.shares.take(self.holder, more as u64) {
                return Err(Full);
            }
            self.bytes = bytes;
        }
        Ok(())
    }

    /// The same, after a short wait where others have to give bytes back first.
    pub(crate) async fn grow_in_time(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.grow(bytes).is_ok() {
            return Ok(());
        }
        if bytes as u64 > self.memory.shares.most() {
            let message = "the request is larger than this gateway can hold; send a smaller one";
            return Err(Refusal::new(413, ErrorType::TooLarge, "request_too_large", message));
        }
        let memory = Arc::clone(&self.memory);
        let _place = Place::of(&memory).ok_or_else(refusal)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let freed = memory.freed.notified();
            if self.grow(bytes).is_ok() {
                return Ok(());
            }
            tokio::time::timeout_at(deadline, freed).await.map_err(|_| refusal())?;
        }
    }

    /// Holds about so many bytes from now on, in steps, so that small changes cost nothing.
    pub(crate) fn follow(&mut self, bytes: usize) -> Result<(), Full> {
        let steps = bytes.next_multiple_of(STEP);
        if steps + STEP < self.bytes {
            self.shrink(steps);
        }
        if bytes > UNCOUNTED { self.grow(steps) } else { Ok(()) }
    }

    /// Gives back what is over so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        if less > 0 {
            self.memory.shares.give(self.holder, less as u64);
            self.bytes = bytes;
            if self.memory.waiting.load(Ordering::Relaxed) > 0 {
                self.memory.freed.notify_waiters();
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// A place among those who wait.
struct Place<'m>(&'m Memory);

impl<'m> Place<'m> {
    fn of(memory: &'m Memory) -> Option<Self> {
        let place = Self(memory);
        (memory.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the client hears when there is no room.
fn refusal() -> Refusal {
    failure(Full).refusal()
}

/// What an attempt ends in when there is no room for its answer.
pub(crate) fn failure(_: Full) -> Failure {
    let failure = Failure::local(FailureKind::NoMemory, "there is no memory for the answer");
    Failure { retry_after_ms: Some(1_000), ..failure }
}

/// The memory that this process may use: the limit of its cgroup, else what the machine has, in bytes.
pub(crate) fn limit() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text)).unwrap_or(u64::MAX);
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    cgroup_limits(Path::new("/sys/fs/cgroup"), &cgroup).into_iter().fold(machine, u64::min)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The limits of the process's cgroup and of those above, of cgroup v2 and v1. Within a container the mount shows its own
/// cgroup as the root.
fn cgroup_limits(mount: &Path, of_process: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in of_process.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            (mount.to_owned(), "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            (mount.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let own = Path::new(path.trim_start_matches('/'));
        let limit = |above: &Path| fs::read_to_string(root.join(above).join(file)).ok()?.trim().parse::<u64>().ok();
        limits.extend(own.ancestors().filter_map(limit));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_exactly() {
        let memory = Memory::of(1_000);
        let mut body = memory.hold("a");
        assert_eq!((body.grow(400), body.grow(300), body.grow(501)), (Ok(()), Ok(()), Err(Full)));
        let mut answer = body.beside();
        assert_eq!((answer.grow(100), answer.grow(101)), (Ok(()), Err(Full)), "both count for the namespace");
        assert_eq!(memory.hold("b").grow(200), Ok(()), "another namespace has room");
        body.shrink(50);
        assert_eq!(memory.held(), 150);
        drop((body, answer));
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_a_moment_and_is_then_told_to_come_again() {
        let memory = Memory::of(1_000);
        let (mut first, mut second) = (memory.hold("a"), memory.hold("a"));
        first.grow_in_time(400).await.unwrap();
        let began = Instant::now();
        let refused = second.grow_in_time(300).await.unwrap_err();
        assert_eq!((refused.status, &*refused.code, began.elapsed()), (503, "gateway_memory_exhausted", PATIENCE));
        let waits = tokio::spawn(async move { second.grow_in_time(300).await.map(|()| second) });
        tokio::time::sleep(PATIENCE / 2).await;
        drop(first);
        assert!(waits.await.unwrap().is_ok(), "what is freed in time is taken");
        let large = memory.hold("a").grow_in_time(501).await.unwrap_err();
        assert_eq!(large.status, 413, "what can never fit is not waited for");
    }

    #[test]
    fn the_narrowest_limit_counts() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24 kB\n"), Some(24 * 1_024));
        let mount = tempfile::tempdir().unwrap();
        let pod = mount.path().join("kubepods/pod");
        fs::create_dir_all(pod.join("container")).unwrap();
        fs::write(pod.join("memory.max"), "2048\n").unwrap();
        fs::write(pod.join("container/memory.max"), "max\n").unwrap();
        assert_eq!(cgroup_limits(mount.path(), "0::/kubepods/pod/container\n"), [2_048]);
        fs::create_dir_all(mount.path().join("memory")).unwrap();
        fs::write(mount.path().join("memory/memory.limit_in_bytes"), "4096\n").unwrap();
        assert_eq!(cgroup_limits(mount.path(), "4:cpu,memory:/docker/x\n"), [4_096]);
        fs::write(mount.path().join("memory.max"), "1024\n").unwrap();
        assert_eq!(cgroup_limits(mount.path(), "0::/\n"), [1_024], "a container's own");
    }
}
