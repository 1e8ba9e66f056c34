//! Rows on their way from one catalog to another, which cannot commit together.
//!
//! The commit that adds the rows here records which data files of the other catalog they were taken from. From that
//! snapshot on, who reads both leaves those files out, until the other catalog has ended them in a commit of its own. Each
//! step is noted under a key of `ducklake_metadata`, in the transaction that does it, so that whoever opens the catalogs
//! next knows how far a move had come:
//!
//! - `pintail_moving:<id>` here: files whose names begin with the value may have been written, and no commit names them.
//! - `pintail_move:<id>` here: the rows are here from a snapshot on, perhaps up to another one that undid it.
//! - `pintail_moved:<id>` there: the files were ended by this snapshot.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_types::{Result, SnapshotId};
use rusqlite::{Connection, params};

use crate::append::AppendedFiles;
use crate::catalog::Catalog;
use crate::changes::Change;
use crate::commit::Commit;
use crate::error::{CatalogError, Result as CatalogResult};
use crate::schema_changes::TableName;
use crate::tables::Table;
use crate::{deletes, inlined, layout, sql};

const MOVING: &str = "pintail_moving:";
const MOVE: &str = "pintail_move:";
const MOVED: &str = "pintail_moved:";

/// Rows that a commit took over from data files of another catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// What the move is known by, in both catalogs.
    pub id: String,
    /// What it took over.
    pub taken: Taken,
    /// The first snapshot that shows the rows here.
    pub since: SnapshotId,
    /// The first snapshot that does not any more, because the move was undone.
    pub undone: Option<SnapshotId>,
}

/// What a catalog keeps of moves until they are forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// Those that took rows over into it.
    pub taken_over: Vec<Move>,
    /// Those whose files it ended, each with the snapshot that did.
    pub handed_over: HashMap<String, SnapshotId>,
}

/// What a move takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The name of the other volume.
    pub from: String,
    /// The table, which has one name in both.
    pub table: TableName,
    /// The other catalog's snapshot that was read.
    pub base: SnapshotId,
    /// Its data files, each with the delete file that was applied.
    pub files: Vec<(i64, Option<i64>)>,
    /// The rows of them.
    pub rows: u64,
}

impl Moves {
    fn read(connection: &Connection) -> CatalogResult<Self> {
        let records = keyed(connection, MOVE)?;
        let snapshot = |(id, text): (String, String)| match text.parse() {
            Ok(snapshot) => Ok((id, SnapshotId(snapshot))),
            Err(_) => {
                Err(CatalogError::Corrupt(format!("ducklake_metadata: {MOVED}{id} is '{text}', no snapshot")))
            }
        };
        Ok(Self {
            taken_over: records
                .iter()
                .map(|(id, text)| Move::read(id, text))
                .collect::<CatalogResult<_>>()?,
            handed_over: keyed(connection, MOVED)?.into_iter().map(snapshot).collect::<CatalogResult<_>>()?,
        })
    }
}

impl Move {
    /// Whether a snapshot of the catalog that took the rows over shows them.
    pub fn is_shown_at(&self, snapshot: SnapshotId) -> bool {
        self.since <= snapshot && self.undone.is_none_or(|undone| snapshot < undone)
    }

    /// What the catalog keeps of it: numbers and names, with a space between.
    fn text(&self) -> String {
        let Taken { from, table, base, files, rows } = &self.taken;
        let optional =
            |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let files: Vec<String> =
            files.iter().map(|(file, deletes)| format!("{file}:{}", optional(*deletes))).collect();
        let undone = optional(self.undone.map(|undone| undone.0));
        let (since, files) = (self.since, files.join(","));
        format!("{from} {} {} {base} {since} {undone} {rows} {files}", table.schema, table.name)
    }

    fn read(id: &str, text: &str) -> CatalogResult<Self> {
        Self::parsed(id, text).ok_or_else(|| {
            CatalogError::Corrupt(format!("ducklake_metadata: {MOVE}{id} is '{text}', no move"))
        })
    }

    fn parsed(id: &str, text: &str) -> Option<Self> {
        fn optional(text: &str) -> Option<Option<i64>> {
            if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
        }
        let mut words = text.split(' ');
        let mut word = || words.next();
        let from = word()?.to_owned();
        let table = TableName { schema: word()?.to_owned(), name: word()?.to_owned() };
        let base = SnapshotId(i64::from_str(word()?).ok()?);
        let since = SnapshotId(i64::from_str(word()?).ok()?);
        let undone = optional(word()?)?.map(SnapshotId);
        let rows = word()?.parse().ok()?;
        let file = |text: &str| {
            let (file, deletes) = text.split_once(':')?;
            Some((file.parse().ok()?, optional(deletes)?))
        };
        let files = word()?.split(',').map(file).collect::<Option<_>>()?;
        Some(Self { id: id.to_owned(), taken: Taken { from, table, base, files, rows }, since, undone })
    }
}

impl Catalog {
    /// What the catalog keeps of moves. What was read last is given again while nobody has written to the file.
    ///
    /// # Errors
    /// `Corrupt` when a record can't be understood.
    pub fn moves(&self) -> Result<Arc<Moves>> {
        self.read(|connection| {
            let version = connection.prepare_cached(sql::DATA_VERSION)?.query_row([], |row| row.get(0))?;
            let mut last = self.last_moves().lock();
            if let Some((read_at, moves)) = last.as_ref()
                && *read_at == version
            {
                return Ok(Arc::clone(moves));
            }
            let moves = Arc::new(Moves::read(connection)?);
            *last = Some((version, Arc::clone(&moves)));
            Ok(moves)
        })
    }

    /// Notes that files will be written whose names begin with `prefix`, below the data path.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the write lock for too long.
    pub fn begin_move(&self, id: &str, prefix: &str) -> Result<()> {
        self.set_metadata(&format!("{MOVING}{id}"), prefix)
    }

    /// The moves that were begun and took nothing over yet: their ids and what the names of their files begin with.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn begun_moves(&self) -> Result<Vec<(String, String)>> {
        self.read(|connection| keyed(connection, MOVING))
    }

    /// Forgets a move that was begun: its files are gone.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the write lock for too long.
    pub fn forget_begun_move(&self, id: &str) -> Result<()> {
        self.at(self.database().write(|connection| forget(connection, MOVING, id)))
    }

    /// Commits the files of a move as one snapshot, which takes the rows over.
    ///
    /// # Errors
    /// As [`Catalog::append_files`].
    pub fn take_over(
        &self,
        id: &str,
        files: &AppendedFiles,
        taken: &Taken,
        about: &SnapshotCommitMetadata,
    ) -> Result<SnapshotId> {
        self.append_files_and(std::slice::from_ref(files), about, &[], |commit| {
            let since = SnapshotId(commit.snapshot());
            let record = Move { id: id.to_owned(), taken: taken.clone(), since, undone: None };
            forget(commit.connection(), MOVING, id)?;
            layout::set_metadata(commit.connection(), &format!("{MOVE}{id}"), &record.text())
        })
    }

    /// Ends the files that a move took over from this catalog, as one snapshot. Older snapshots still show them.
    ///
    /// # Errors
    /// `Conflict` when the files are not any more what the move read: another program changed them.
    pub fn hand_over(&self, moved: &Move, about: &SnapshotCommitMetadata) -> Result<SnapshotId> {
        let Taken { table, base, files, .. } = &moved.taken;
        let committed = self.database().commit(about, &[], |commit| {
            let found = Table::named(commit.connection(), &table.schema, &table.name)?
                .ok_or_else(|| CatalogError::Conflict(format!("table {table} was dropped")))?;
            for (file, delete_file) in files {
                deletes::fence(commit, found.id, *file, *delete_file)?;
            }
            let ids: Vec<i64> = files.iter().map(|(file, _)| *file).collect();
            inlined::fence_deletes(commit, found.id, base.0, &ids)?;
            for id in ids {
                commit.execute(sql::END_FILE, params![commit.snapshot(), id])?;
                commit.execute(sql::END_DELETE_FILE, params![commit.snapshot(), id])?;
            }
            record(commit, found.id);
            let snapshot = commit.snapshot().to_string();
            layout::set_metadata(commit.connection(), &format!("{MOVED}{}", moved.id), &snapshot)
        });
        let (snapshot, ()) = self.at(committed)?;
        Ok(SnapshotId(snapshot))
    }

    /// Gives back what a move took over, as one snapshot: its rows leave this catalog's head, and the other catalog's
    /// count again.
    ///
    /// # Errors
    /// `Conflict` when the rows are not any more in the files that the move brought.
    pub fn give_back(&self, moved: &Move, about: &SnapshotCommitMetadata) -> Result<SnapshotId> {
        let table = &moved.taken.table;
        let committed = self.database().commit(about, &[], |commit| {
            let found = Table::named(commit.connection(), &table.schema, &table.name)?
                .ok_or_else(|| CatalogError::Conflict(format!("table {table} was dropped")))?;
            let rows: i64 =
                commit
                    .connection()
                    .query_row(sql::LIVE_ROWS_BEGUN_AT, [found.id, moved.since.0], |row| row.get(0))?;
            if u64::try_from(rows).ok() != Some(moved.taken.rows) {
                return Err(CatalogError::Conflict(format!(
                    "move {} can't be undone: {rows} of its {} rows are left in its files",
                    moved.id, moved.taken.rows
                )));
            }
            commit.execute(sql::END_FILES_BEGUN_AT, params![commit.snapshot(), found.id, moved.since.0])?;
            record(commit, found.id);
            let undone = Move { undone: Some(SnapshotId(commit.snapshot())), ..moved.clone() };
            layout::set_metadata(commit.connection(), &format!("{MOVE}{}", moved.id), &undone.text())
        });
        let (snapshot, ()) = self.at(committed)?;
        Ok(SnapshotId(snapshot))
    }

    /// Forgets moves: no snapshot that is left in either catalog can show their rows twice.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the write lock for too long.
    pub fn forget_moves(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.at(self.database().write(|connection| {
            for id in ids {
                forget(connection, MOVE, id)?;
                forget(connection, MOVED, id)?;
            }
            Ok(())
        }))
    }
}

/// Says that files of a table are gone. DuckDB does not look for deletes when it commits some that it keeps in the catalog
/// itself, which would name files that are gone; it does look for a flush of those.
fn record(commit: &mut Commit<'_>, table: i64) {
    commit.record(Change::DeletedFrom(table));
    commit.record(Change::InlineFlush(table));
}

/// The global values whose keys begin with `prefix`, by what follows it.
fn keyed(connection: &Connection, prefix: &str) -> CatalogResult<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(sql::METADATA_OF_PREFIX)?;
    let rows = statement.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn forget(connection: &Connection, prefix: &str, id: &str) -> CatalogResult<()> {
    connection.prepare_cached(sql::DELETE_METADATA)?.execute([format!("{prefix}{id}")])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_a_move_took_and_when_it_counts() {
        let moved = Move {
            id: "m".to_owned(),
            taken: Taken {
                from: "hot".to_owned(),
                table: TableName { schema: "main".to_owned(), name: "calls".to_owned() },
                base: SnapshotId(4),
                files: vec![(7, None), (9, Some(12))],
                rows: 30,
            },
            since: SnapshotId(5),
            undone: None,
        };
        let undone = Move { undone: Some(SnapshotId(8)), ..moved.clone() };
        for record in [&moved, &undone] {
            assert_eq!(Move::read("m", &record.text()).unwrap(), *record);
        }
        for (snapshot, shown) in
            [(4, [false, false]), (5, [true, true]), (7, [true, true]), (8, [true, false])]
        {
            let snapshot = SnapshotId(snapshot);
            assert_eq!([moved.is_shown_at(snapshot), undone.is_shown_at(snapshot)], shown, "{snapshot}");
        }
        for damaged in ["", "hot main calls", "hot main calls 4 5 - 30 7", "hot main calls 4 x - 30 7:-"] {
            assert!(Move::read("m", damaged).is_err(), "{damaged}");
        }
    }
}
