//! What is wrong, where, and how to mend it.

use std::fmt;
use std::path::PathBuf;

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
    /// Whether both are about the same field of the same object.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        (&self.file, self.line, &self.field) == (&other.file, other.line, &other.field)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, object, field, message } = self;
        write!(f, "{}:{line}: {object}", file.display())?;
        if !field.is_empty() {
            write!(f, " {field}")?;
        }
        write!(f, ": {message}")
    }
}
