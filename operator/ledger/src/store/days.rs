//! A file a day, in a folder beside the ledger's: whoever exports costs reads them while the ledger's is in use.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use weir_costs::Book;

/// The costs that `up` keeps.
pub struct Days {
    folder: PathBuf,
}

impl Days {
    /// Beside that ledger.
    pub fn beside(ledger: &Path) -> Self {
        Self { folder: ledger.with_extension("costs") }
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What requests of that day cost, since the Unix epoch; `None` where nothing is kept of it.
    pub fn costs(&self, day: u64) -> Result<Option<Book>, String> {
        self.read(day)?.map_or(Ok(None), |body| book(day, &body))
    }

    pub(super) fn read(&self, day: u64) -> Result<Option<Vec<u8>>, String> {
        match fs::read(self.file(day)) {
            Ok(body) => Ok(Some(body)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.failed(day, &e)),
        }
    }

    /// Replaces the file as a whole.
    pub(super) fn write(&self, day: u64, body: &[u8]) -> Result<(), String> {
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let next = self.folder.join("next");
            let mut file = fs::File::create(&next)?;
            file.write_all(body)?;
            file.sync_all()?;
            fs::rename(next, self.file(day))
        };
        write().map_err(|e| self.failed(day, &e))
    }

    pub(super) fn forget(&self, day: u64) -> Result<(), String> {
        match fs::remove_file(self.file(day)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(self.failed(day, &e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn file(&self, day: u64) -> PathBuf {
        self.folder.join(day.to_string())
    }

    fn failed(&self, day: u64, error: &std::io::Error) -> String {
        format!("{}: {error}", self.file(day).display())
    }
}

/// The book in those bytes. Where days share a place, that of another day is none.
pub(super) fn book(day: u64, body: &[u8]) -> Result<Option<Book>, String> {
    let book = Book::decode(body).ok_or_else(|| format!("the costs of day {day} since 1970 cannot be read"))?;
    Ok(Some(book).filter(|book| book.day() == day))
}
