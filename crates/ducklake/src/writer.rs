//! What `datafusion-ducklake` writes through: its [`MetadataWriter`] on the official layout.
//!
//! Every method that changes something is one commit of its own. A write that was begun has changed
//! nothing yet: `begin_write_transaction` only reads, and reserves nothing. A table that does not exist
//! at that moment gets a negative id, which stands for its name until the commit makes it; its columns
//! are numbered from 1, so the field ids in its files are right whatever id it gets.

use datafusion_ducklake::{
    ColumnDef, CommitIds, CompactionOutputFile, CompactionSourceFile, DataFileInfo, DeleteFileEntry,
    DeleteFileInfo, DuckLakeError, InlinedRowRef, MetadataWriter, MultiTableCommit, PartitionSpec,
    PartitionTransform, SnapshotCommitMetadata, SortField, SortSpec, SourceRetirement, StagedTableWrite,
    TagTarget, WriteMode, WriteSetupResult,
};
use parking_lot::Mutex;

use crate::catalog::{Catalog, CommitExtras};
use crate::changes::Change;
use crate::columns::{self, nodes_of_definitions};
use crate::commit::Commit;
use crate::error::Result;
use crate::stage::{self, Stage};
use crate::tables::{self, Table};
use crate::{begin, compaction, files, settings, specs};

type LakeResult<T> = datafusion_ducklake::Result<T>;

/// A writer on a [`Catalog`].
#[derive(Debug)]
pub(crate) struct Writer {
    catalog: Catalog,
    /// What the next successful commit sets besides; taken by it.
    extras: Mutex<CommitExtras>,
}

impl Writer {
    pub(crate) fn new(catalog: Catalog, extras: CommitExtras) -> Self {
        Self { catalog, extras: Mutex::new(extras) }
    }

    /// One commit, with the extras of this writer.
    fn commit<T>(
        &self,
        about: &SnapshotCommitMetadata,
        change: impl FnOnce(&mut Commit<'_>, &str) -> Result<T>,
    ) -> Result<(i64, T)> {
        let mut extras = self.extras.lock();
        let data_path = self.catalog.data_path();
        let done =
            self.catalog.database().commit(about, &extras.metadata, |commit| change(commit, &data_path))?;
        extras.metadata.clear();
        Ok(done)
    }

    /// One commit on one existing table.
    fn alter(
        &self,
        table_id: i64,
        change: impl FnOnce(&mut Commit<'_>, &Table) -> Result<()>,
    ) -> LakeResult<i64> {
        let (snapshot, ()) = self.commit(&SnapshotCommitMetadata::default(), |commit, _| {
            let table = Table::still_there(commit.connection(), table_id)?;
            change(commit, &table)?;
            commit.record(Change::AlteredTable(table_id));
            Ok(())
        })?;
        Ok(snapshot)
    }

    /// Commits one staged table.
    fn commit_stage(
        &self,
        stage: &Stage<'_>,
        about: &SnapshotCommitMetadata,
        expected_base: Option<i64>,
    ) -> LakeResult<CommitIds> {
        let committed = self.commit_stages(std::slice::from_ref(stage), about, expected_base)?;
        committed
            .tables
            .first()
            .copied()
            .ok_or_else(|| DuckLakeError::Internal("a commit of one table named none".to_owned()))
    }

    /// Commits staged changes of several tables in one snapshot.
    pub(crate) fn commit_stages(
        &self,
        stages: &[Stage<'_>],
        about: &SnapshotCommitMetadata,
        expected_base: Option<i64>,
    ) -> LakeResult<MultiTableCommit> {
        stages.iter().try_for_each(Stage::check)?;
        let (snapshot_id, tables) =
            self.commit(about, |commit, data_path| stage::commit(commit, data_path, stages, expected_base))?;
        let tables = tables.iter().map(|table| CommitIds {
            snapshot_id,
            schema_id: table.schema_id,
            table_id: table.id,
        });
        Ok(MultiTableCommit { snapshot_id, tables: tables.collect() })
    }
}

impl MetadataWriter for Writer {
    fn create_snapshot(&self) -> LakeResult<i64> {
        Ok(self.commit(&SnapshotCommitMetadata::default(), |_, _| Ok(()))?.0)
    }

    fn set_global_setting(&self, key: &str, value: &str) -> LakeResult<()> {
        Ok(self.catalog.database().write(|connection| crate::layout::set_metadata(connection, key, value))?)
    }

    fn set_table_setting(&self, table_id: i64, key: &str, value: &str) -> LakeResult<()> {
        Ok(self
            .catalog
            .database()
            .write(|connection| settings::set_of_table(connection, table_id, key, value))?)
    }

    fn set_tag(&self, target: TagTarget, key: &str, value: Option<&str>) -> LakeResult<i64> {
        let (snapshot, ()) = self.commit(&SnapshotCommitMetadata::default(), |commit, _| {
            settings::set_tag(commit, target, key, value)
        })?;
        Ok(snapshot)
    }

    /// Makes a missing schema in a snapshot of its own; `path` and `snapshot_id` are not used.
    fn get_or_create_schema(
        &self,
        name: &str,
        _path: Option<&str>,
        _snapshot_id: i64,
    ) -> LakeResult<(i64, bool)> {
        if let Some(schema) =
            self.catalog.database().read(|connection| tables::find_schema(connection, name))?
        {
            return Ok((schema.id, false));
        }
        let (_, made) =
            self.commit(&SnapshotCommitMetadata::default(), |commit, _| tables::ensure_schema(commit, name))?;
        Ok(made)
    }

    /// Finds a table. None is made here: DuckDB refuses a catalog with a table that has no columns.
    fn get_or_create_table(
        &self,
        schema_id: i64,
        name: &str,
        _path: Option<&str>,
        _snapshot_id: i64,
    ) -> LakeResult<(i64, bool)> {
        let found =
            self.catalog.database().read(|connection| tables::table_id_in(connection, schema_id, name))?;
        found.map(|id| (id, false)).ok_or_else(|| {
            DuckLakeError::Unsupported(format!("table {name} cannot be made without its columns"))
        })
    }

    fn set_columns(&self, table_id: i64, columns: &[ColumnDef], _snapshot_id: i64) -> LakeResult<Vec<i64>> {
        let nodes = nodes_of_definitions(columns)?;
        let (_, ids) = self.commit(&SnapshotCommitMetadata::default(), |commit, _| {
            let live = columns::live_columns(commit.connection(), table_id)?;
            let next_id = columns::next_column_id(commit.connection(), table_id)?;
            let ids = columns::assign_ids(&nodes, &live, next_id)?;
            if columns::reconcile(commit, table_id, &nodes, &ids, WriteMode::Replace)? {
                commit.reshape_table(table_id);
                commit.record(Change::AlteredTable(table_id));
            }
            Ok(columns::top_level_ids(&nodes, &ids))
        })?;
        Ok(ids)
    }

    fn promote_column_type(
        &self,
        table_id: i64,
        column_name: &str,
        new_ducklake_type: &str,
    ) -> LakeResult<i64> {
        self.alter(table_id, |commit, table| {
            columns::promote(commit, table.id, column_name, new_ducklake_type)
        })
    }

    fn set_partition_spec(&self, table_id: i64, columns: &[(String, PartitionTransform)]) -> LakeResult<i64> {
        self.alter(table_id, |commit, table| specs::set_partition(commit, table.id, columns))
    }

    fn live_partition_spec(&self, table_id: i64) -> LakeResult<Option<PartitionSpec>> {
        Ok(self.catalog.database().read(|connection| specs::live_partition(connection, table_id))?)
    }

    fn reset_partition_spec(&self, table_id: i64) -> LakeResult<i64> {
        self.alter(table_id, |commit, table| specs::end_partition(commit, table.id))
    }

    fn live_sort_spec(&self, table_id: i64) -> LakeResult<Option<SortSpec>> {
        Ok(self.catalog.database().read(|connection| specs::live_sort(connection, table_id))?)
    }

    fn set_sort_spec(&self, table_id: i64, fields: &[SortField]) -> LakeResult<i64> {
        self.alter(table_id, |commit, table| specs::set_sort(commit, table.id, fields))
    }

    fn reset_sort_spec(&self, table_id: i64) -> LakeResult<i64> {
        self.alter(table_id, |commit, table| specs::end_sort(commit, table.id))
    }

    fn register_data_file(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        file: &DataFileInfo,
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files: std::slice::from_ref(file),
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, &SnapshotCommitMetadata::default(), None)
    }

    fn register_data_files(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        files: &[DataFileInfo],
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files,
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, &SnapshotCommitMetadata::default(), None)
    }

    fn register_data_file_with_commit_metadata(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        file: &DataFileInfo,
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
        commit_metadata: &SnapshotCommitMetadata,
        expected_base_snapshot_id: Option<i64>,
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files: std::slice::from_ref(file),
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, commit_metadata, expected_base_snapshot_id)
    }

    fn register_data_files_with_commit_metadata(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        files: &[DataFileInfo],
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
        commit_metadata: &SnapshotCommitMetadata,
        expected_base_snapshot_id: Option<i64>,
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files,
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, commit_metadata, expected_base_snapshot_id)
    }

    fn commit_multi_table(
        &self,
        writes: &[StagedTableWrite],
        commit_metadata: &SnapshotCommitMetadata,
        expected_base_snapshot_id: Option<i64>,
    ) -> LakeResult<MultiTableCommit> {
        let stages = writes.iter().map(Stage::of_write).collect::<Result<Vec<_>>>()?;
        self.commit_stages(&stages, commit_metadata, expected_base_snapshot_id)
    }

    fn set_delete_file(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        data_file_id: i64,
        expected_prev_delete_file: Option<i64>,
        base_snapshot: i64,
        delete: &DeleteFileInfo,
    ) -> LakeResult<CommitIds> {
        let entry = DeleteFileEntry { data_file_id, expected_prev_delete_file, delete: delete.clone() };
        self.commit_deletes(table_id, schema_name, table_name, base_snapshot, &[entry], &[])
    }

    fn register_data_file_with_deletes(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        file: &DataFileInfo,
        deletes: &[DeleteFileEntry],
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files: std::slice::from_ref(file),
            positional_deletes: deletes,
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, &SnapshotCommitMetadata::default(), None)
    }

    fn register_data_file_with_deletes_and_commit_metadata(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        file: &DataFileInfo,
        deletes: &[DeleteFileEntry],
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
        commit_metadata: &SnapshotCommitMetadata,
        expected_base_snapshot_id: Option<i64>,
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files: std::slice::from_ref(file),
            positional_deletes: deletes,
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, commit_metadata, expected_base_snapshot_id)
    }

    fn register_data_files_with_deletes(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        files: &[DataFileInfo],
        deletes: &[DeleteFileEntry],
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files,
            positional_deletes: deletes,
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, &SnapshotCommitMetadata::default(), None)
    }

    fn register_data_files_with_deletes_and_commit_metadata(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        files: &[DataFileInfo],
        deletes: &[DeleteFileEntry],
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
        commit_metadata: &SnapshotCommitMetadata,
        expected_base_snapshot_id: Option<i64>,
    ) -> LakeResult<CommitIds> {
        let stage = Stage {
            files,
            positional_deletes: deletes,
            ..Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids)
        };
        self.commit_stage(&stage, commit_metadata, expected_base_snapshot_id)
    }

    fn commit_positional_deletes(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        base_snapshot: i64,
        deletes: &[DeleteFileEntry],
    ) -> LakeResult<CommitIds> {
        self.commit_deletes(table_id, schema_name, table_name, base_snapshot, deletes, &[])
    }

    fn commit_inlined_deletes(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        base_snapshot: i64,
        rows: &[InlinedRowRef],
    ) -> LakeResult<CommitIds> {
        self.commit_deletes(table_id, schema_name, table_name, base_snapshot, &[], rows)
    }

    fn commit_deletes(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        base_snapshot: i64,
        positional: &[DeleteFileEntry],
        inlined: &[InlinedRowRef],
    ) -> LakeResult<CommitIds> {
        if positional.is_empty() && inlined.is_empty() {
            return Err(DuckLakeError::InvalidConfig("a delete commit needs at least one delete".to_owned()));
        }
        let stage = Stage {
            positional_deletes: positional,
            inlined_deletes: inlined,
            ..Stage::new(table_id, schema_name, table_name, WriteMode::Append, base_snapshot, &[], &[])
        };
        self.commit_stage(&stage, &SnapshotCommitMetadata::default(), None)
    }

    fn commit_compaction(
        &self,
        table_id: i64,
        base_snapshot: i64,
        sources: &[CompactionSourceFile],
        outputs: &[CompactionOutputFile],
        retirement: SourceRetirement,
    ) -> LakeResult<CommitIds> {
        let (snapshot_id, schema_id) =
            self.commit(&SnapshotCommitMetadata::default(), |commit, data_path| {
                let table = Table::still_there(commit.connection(), table_id)?;
                compaction::apply(commit, &table, data_path, base_snapshot, sources, outputs, retirement)?;
                Ok(table.schema_id)
            })?;
        self.catalog.note_rewrite();
        Ok(CommitIds { snapshot_id, schema_id, table_id })
    }

    fn commit_truncate(
        &self,
        table_id: i64,
        _schema_name: &str,
        _table_name: &str,
        base_snapshot: i64,
    ) -> LakeResult<u64> {
        let (_, rows) = self.commit(&SnapshotCommitMetadata::default(), |commit, _| {
            Table::still_there(commit.connection(), table_id)?;
            files::fence_unchanged(commit, table_id, base_snapshot)?;
            let rows = files::live_rows(commit.connection(), table_id)?;
            files::end_all(commit, table_id)?;
            Ok(u64::try_from(rows).unwrap_or(0))
        })?;
        Ok(rows)
    }

    fn publish_snapshot(
        &self,
        table_id: i64,
        schema_name: &str,
        table_name: &str,
        _snapshot_id: i64,
        mode: WriteMode,
        base_snapshot: i64,
        columns: &[ColumnDef],
        column_ids: &[i64],
    ) -> LakeResult<CommitIds> {
        let stage = Stage::new(table_id, schema_name, table_name, mode, base_snapshot, columns, column_ids);
        self.commit_stage(&stage, &SnapshotCommitMetadata::default(), None)
    }

    fn end_table_files(&self, table_id: i64, _snapshot_id: i64) -> LakeResult<u64> {
        let (_, ended) =
            self.commit(&SnapshotCommitMetadata::default(), |commit, _| files::end_all(commit, table_id))?;
        Ok(ended as u64)
    }

    fn get_data_path(&self) -> LakeResult<String> {
        Ok(self.catalog.data_path().as_ref().to_owned())
    }

    fn get_table_column_nullability(
        &self,
        schema_name: &str,
        table_name: &str,
    ) -> LakeResult<Option<Vec<(String, bool)>>> {
        Ok(self.catalog.database().read(|connection| {
            let Some(table) = Table::named(connection, schema_name, table_name)? else {
                return Ok(None);
            };
            let live = columns::live_columns(connection, table.id)?;
            let top = live.into_iter().filter(|column| column.parent.is_none());
            Ok(Some(top.map(|column| (column.name, column.nullable)).collect()))
        })?)
    }

    /// The data path is decided when the catalog is opened; only the same one is accepted.
    fn set_data_path(&self, path: &str) -> LakeResult<()> {
        let known = self.catalog.data_path();
        match path.trim_end_matches('/') == known.trim_end_matches('/') {
            true => Ok(()),
            false => Err(DuckLakeError::InvalidConfig(format!(
                "the data path of this catalog is {known}, not {path}"
            ))),
        }
    }

    /// The tables are made when the catalog is opened.
    fn initialize_schema(&self) -> LakeResult<()> {
        Ok(())
    }

    fn begin_write_transaction(
        &self,
        schema_name: &str,
        table_name: &str,
        columns: &[ColumnDef],
        mode: WriteMode,
    ) -> LakeResult<WriteSetupResult> {
        let placeholder = self.catalog.placeholder_id();
        Ok(self.catalog.database().read(|connection| {
            begin::begin(connection, schema_name, table_name, columns, mode, placeholder)
        })?)
    }

    fn supports_update(&self) -> bool {
        true
    }
}
