//! The last good config on the pod's memory-backed volume, for a container that starts again.
//!
//! A journal: a line for each resource that a commit changed, then one for the commit; what no commit follows was not
//! taken. It is written anew, whole, when it has grown by half. It holds secrets: only the owner may read it.

use super::holding::{Held, Holding};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_snapshot::envelope::{Commit, Remove};
use weir_snapshot::{Digest, Kind, Name, Resource, ResourceId};

const FILE: &str = "config.jsonl";
/// Growth for which it is not written anew, in bytes.
const SLACK: u64 = 64 * 1024;

/// One line.
#[derive(Serialize, Deserialize)]
enum Line {
    Put { kind: String, namespace: String, name: String, digest: String, body: Box<RawValue> },
    Remove { kind: String, namespace: String, name: String },
    Commit { epoch: u64 },
}

/// The file.
pub(super) struct Store {
    path: PathBuf,
    /// Open to be written on; nothing before it was written whole, and after a failure.
    journal: Option<Journal>,
}

struct Journal {
    file: File,
    whole: u64,
    grown: u64,
}

impl Store {
    /// The file in that folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join(FILE), journal: None }
    }

    /// Writes down what changed.
    pub(super) fn save(&mut self, holding: &Holding, changed: &BTreeSet<Arc<ResourceId>>) -> Result<(), String> {
        let journal = self.journal.take().filter(|journal| journal.grown <= journal.whole / 2 + SLACK);
        let written = match journal {
            Some(journal) => journal.append(holding, changed),
            None => self.write_whole(holding),
        };
        self.journal = Some(written.map_err(|e| format!("{}: {e}", self.path.display()))?);
        Ok(())
    }

    fn write_whole(&self, holding: &Holding) -> io::Result<Journal> {
        let new = self.path.with_extension("new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let mut to = BufWriter::new(file);
        for (id, held) in holding.iter() {
            write(&mut to, &put(id, held)?)?;
        }
        write(&mut to, &Line::Commit { epoch: holding.epoch })?;
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        std::fs::rename(&new, &self.path)?;
        let whole = file.metadata()?.len();
        Ok(Journal { file, whole, grown: 0 })
    }

    /// Reads it; nothing where there is none. A resource that cannot be read any more is left out.
    pub(super) fn load(&self) -> Result<Holding, String> {
        let failed = |e: io::Error| format!("{}: {e}", self.path.display());
        let (mut holding, mut text) = (Holding::default(), Vec::new());
        let mut from = match File::open(&self.path) {
            Ok(file) => BufReader::new(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(holding),
            Err(e) => return Err(failed(e)),
        };
        while from.read_until(b'\n', &mut text).map_err(failed)? > 0 {
            match serde_json::from_slice(&text) {
                Ok(Line::Put { kind, namespace, name, digest, body }) => {
                    let resource = Kind::parse(&kind).map(|kind| Resource::parse(kind, body.get().as_bytes()));
                    match resource {
                        Some(Ok(resource)) => {
                            let id = ResourceId::new(resource.kind(), namespace, name);
                            holding.stage(id, Held { digest: Digest::read(&digest), resource });
                        }
                        Some(Err(_)) | None => holding.remove(Remove { kind, namespace, name }),
                    }
                }
                Ok(Line::Remove { kind, namespace, name }) => holding.remove(Remove { kind, namespace, name }),
                Ok(Line::Commit { epoch }) => {
                    holding
                        .commit(&Commit { epoch, revision: 0 })
                        .map_err(|_| "an older leader's commit".to_owned())?;
                }
                // The end of a write that was not finished.
                Err(_) if !text.ends_with(b"\n") => {}
                Err(e) => return Err(format!("{}: {:?}", self.path.display(), e.classify())),
            }
            text.clear();
        }
        holding.unstage();
        holding.take_changed();
        Ok(holding)
    }
}

impl Journal {
    fn append(mut self, holding: &Holding, changed: &BTreeSet<Arc<ResourceId>>) -> io::Result<Self> {
        let mut lines = Vec::new();
        for id in changed {
            match holding.get(id) {
                Some(held) => write(&mut lines, &put(id, held)?)?,
                None => write(&mut lines, &removed(id))?,
            }
        }
        write(&mut lines, &Line::Commit { epoch: holding.epoch })?;
        self.file.write_all(&lines)?;
        self.grown += lines.len() as u64;
        Ok(self)
    }
}

fn put(id: &ResourceId, Held { digest, resource }: &Held) -> io::Result<Line> {
    let body = String::from_utf8(resource.body()?).map_err(io::Error::other)?;
    let Name { namespace, name } = id.name.clone();
    let body = RawValue::from_string(body)?;
    Ok(Line::Put { kind: id.kind.as_str().to_owned(), namespace, name, digest: digest.to_string(), body })
}

fn removed(id: &ResourceId) -> Line {
    let Name { namespace, name } = id.name.clone();
    Line::Remove { kind: id.kind.as_str().to_owned(), namespace, name }
}

fn write(to: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::{Access, Consent};

    /// A pod whose commits are written down one by one.
    struct Pod {
        holding: Holding,
        store: Store,
        folder: tempfile::TempDir,
    }

    impl Pod {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { holding: Holding::default(), store: Store::of(folder.path()), folder }
        }

        fn commit(&mut self, change: impl FnOnce(&mut Holding)) {
            change(&mut self.holding);
            self.holding.commit(&Commit { epoch: 7, revision: 0 }).unwrap();
        }

        fn take(&mut self, change: impl FnOnce(&mut Holding)) {
            self.commit(change);
            let changed = self.holding.take_changed();
            self.store.save(&self.holding, &changed).unwrap();
        }

        fn put(&mut self, name: &str, resource: impl Into<Resource>) {
            let put = put(name, resource.into());
            self.take(put);
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join(FILE)
        }

        /// What a container holds that starts again: a line for each resource.
        fn read_again(&self) -> (u64, Vec<String>) {
            let holding = Store::of(self.folder.path()).load().unwrap();
            let shown = |(id, held): (&ResourceId, &Held)| {
                let body = String::from_utf8(held.resource.body().unwrap()).unwrap();
                format!("{id} {} {body}", held.digest == Digest::of(body.as_bytes()))
            };
            (holding.epoch, holding.iter().map(shown).collect())
        }
    }

    fn put(name: &str, resource: Resource) -> impl FnOnce(&mut Holding) {
        let id = ResourceId::new(resource.kind(), "a", name);
        let digest = Digest::of(&resource.body().unwrap());
        move |holding| holding.stage(id, Held { digest, resource })
    }

    #[test]
    fn a_restart_reads_what_the_commits_left() {
        let mut pod = Pod::new();
        assert_eq!(pod.read_again(), (0, vec![]), "there is no file yet");
        pod.put("p", Consent { all: true, ..Consent::default() });
        pod.put("r", Access { anonymous: true, ..Access::default() });
        pod.put("p", Consent { namespaces: vec!["b".into()], ..Consent::default() });
        pod.take(|holding| {
            holding.remove(Remove { kind: "Access".into(), namespace: "a".into(), name: "r".into() });
        });
        assert_eq!(pod.read_again(), (7, vec![r#"Consent a/p true {"namespaces":["b"]}"#.to_owned()]));
    }

    #[test]
    fn what_one_commit_could_not_write_down_the_next_one_does() {
        let mut pod = Pod::new();
        pod.put("p", Consent::default());
        pod.commit(put("q", Consent { all: true, ..Consent::default() }.into()));
        assert_eq!(pod.read_again().1.len(), 1, "it was not applied");
        pod.put("r", Access::default());
        let held = ["Consent a/p true {}", "Consent a/q true {\"all\":true}", "Access a/r true {}"];
        assert_eq!(pod.read_again().1, held);
    }

    #[test]
    fn what_was_not_written_to_its_end_was_not_taken() {
        let mut pod = Pod::new();
        pod.put("p", Consent::default());
        let before = std::fs::read(pod.file()).unwrap().len();
        pod.put("q", Consent { all: true, ..Consent::default() });
        let written = std::fs::read(pod.file()).unwrap();
        for end in before..written.len() - 1 {
            std::fs::write(pod.file(), &written[..end]).unwrap();
            assert_eq!(pod.read_again(), (7, vec!["Consent a/p true {}".to_owned()]), "cut at {end}");
        }
    }

    #[test]
    fn a_version_that_cannot_be_read_leaves_none_before_it() {
        let mut pod = Pod::new();
        pod.put("r", Access { anonymous: true, ..Access::default() });
        let newer = r#"{"Put":{"kind":"Access","namespace":"a","name":"r","digest":"","body":{"anonymous":"later"}}}"#;
        let mut file = OpenOptions::new().append(true).open(pod.file()).unwrap();
        write!(file, "{newer}\n{{\"Commit\":{{\"epoch\":8}}}}\n").unwrap();
        assert_eq!(pod.read_again(), (8, vec![]));
    }

    #[test]
    fn the_file_grows_with_changes_and_not_with_time() {
        let mut pod = Pod::new();
        let large = Access { api_key_namespaces: vec!["n".repeat(10_000)], ..Access::default() };
        pod.put("r", large.clone());
        let (mut once, mut most) = (u64::MAX, 0);
        for _ in 0..40 {
            pod.put("r", large.clone());
            let bytes = std::fs::metadata(pod.file()).unwrap().len();
            (once, most) = (once.min(bytes), most.max(bytes));
        }
        assert!(once < 12_000, "it is written anew: {once}");
        assert!(most > 60_000 && most < SLACK + 40_000, "but not at every commit: {most}");
        assert_eq!(pod.read_again().1.len(), 1);
    }
}
