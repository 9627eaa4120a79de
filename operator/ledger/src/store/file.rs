//! One file, of one process: redb.

use prost::Message as _;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use std::path::Path;
use weir_lease::Outcome;
use weir_snapshot::ledger::Shard;

const SHARDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("shards");

pub struct File {
    database: Database,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let database = Database::create(path).map_err(|e| format!("{shown}: the ledger cannot be opened: {e}"))?;
        Ok(Self { database })
    }

    pub(super) fn load(&self) -> Result<Vec<Shard>, String> {
        let read = self.database.begin_read().map_err(shown)?;
        let table = match read.open_table(SHARDS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(e) => return Err(shown(e)),
        };
        let parts = table.iter().map_err(shown)?;
        parts.map(|part| Shard::decode(part.map_err(shown)?.1.value()).map_err(shown)).collect()
    }

    pub(super) fn write(&self, shard: usize, body: &Shard) -> Result<Outcome, String> {
        let write = self.database.begin_write().map_err(shown)?;
        {
            let mut table = write.open_table(SHARDS).map_err(shown)?;
            table.insert(shard as u64, body.encode_to_vec().as_slice()).map_err(shown)?;
        }
        write.commit().map_err(shown)?;
        Ok(Outcome::Stored)
    }
}

fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}
