//! What is wrong, where, and how to mend it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One complaint, in the form that editors jump to: `file:line: object field: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    pub(super) file: PathBuf,
    /// From 1.
    pub(super) line: u64,
    /// `Kind namespace/name`, as far as it is known.
    pub(super) object: String,
    /// Path within the object; empty = the whole.
    pub(super) field: String,
    pub(super) message: String,
}

impl Complaint {
    /// One of a whole file.
    pub(super) fn of_file(file: &Path, line: u64, message: String) -> Self {
        Self { file: file.to_path_buf(), line, object: String::new(), field: String::new(), message }
    }

    /// Whether both are about the same field of the same object.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        (&self.file, self.line, &self.field) == (&other.file, other.line, &other.field)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, object, field, message } = self;
        write!(f, "{}:{line}:", file.display())?;
        for part in [object, field].into_iter().filter(|part| !part.is_empty()) {
            write!(f, " {part}")?;
        }
        let colon = if object.is_empty() { "" } else { ":" };
        write!(f, "{colon} {message}")
    }
}
