//! One file, of one process: redb.

use super::days::Days;
use super::part::{Part, Written};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use std::path::Path;

const SHARDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("shards");

pub struct File {
    database: Database,
    pub(super) days: Days,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let database = Database::create(path).map_err(|e| format!("{shown}: the ledger cannot be opened: {e}"))?;
        Ok(Self { database, days: Days::beside(path) })
    }

    /// All parts of the pots.
    pub(super) fn shards(&self) -> Result<Vec<(Part, Vec<u8>)>, String> {
        let read = self.database.begin_read().map_err(shown)?;
        let table = match read.open_table(SHARDS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(shown(e)),
        };
        let part = |(shard, body): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>)| {
            (Part::Shard(usize::try_from(shard.value()).unwrap_or(usize::MAX)), body.value().to_vec())
        };
        table.iter().map_err(shown)?.map(|held| held.map(part).map_err(shown)).collect()
    }

    pub(super) fn write(&self, part: Part, body: &[u8]) -> Result<Written, String> {
        match part {
            Part::Shard(shard) => self.write_shard(shard, body)?,
            Part::Costs(day) => self.days.write(day, body)?,
        }
        Ok(Written::Stored)
    }

    fn write_shard(&self, shard: usize, body: &[u8]) -> Result<(), String> {
        let write = self.database.begin_write().map_err(shown)?;
        {
            let mut table = write.open_table(SHARDS).map_err(shown)?;
            table.insert(shard as u64, body).map_err(shown)?;
        }
        write.commit().map_err(shown)
    }
}

fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}
