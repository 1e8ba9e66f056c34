//! The statements, in one place, so that another catalog database can share them.
//!
//! Parameters are `$1`, `$2`, … in order of first appearance, which PostgreSQL numbers and SQLite
//! takes as names numbered in that same order.

/// SQLite: another number, on this connection, whenever another one has committed.
pub(crate) const DATA_VERSION: &str = "PRAGMA data_version";
pub(crate) const TABLE_EXISTS: &str =
    "SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1)";

pub(crate) const METADATA: &str = "SELECT value FROM ducklake_metadata WHERE key = $1 AND scope IS NULL";
pub(crate) const INSERT_METADATA: &str =
    "INSERT INTO ducklake_metadata (key, value, scope, scope_id) VALUES ($1, $2, NULL, NULL)";
pub(crate) const UPDATE_METADATA: &str =
    "UPDATE ducklake_metadata SET value = $1 WHERE key = $2 AND scope IS NULL";
/// The global keys that begin with $1, without that, and their values.
pub(crate) const METADATA_OF_PREFIX: &str = "SELECT substr(key, length($1) + 1), value FROM ducklake_metadata \
     WHERE scope IS NULL AND substr(key, 1, length($1)) = $1 ORDER BY key";
pub(crate) const DELETE_METADATA: &str = "DELETE FROM ducklake_metadata WHERE key = $1 AND scope IS NULL";
pub(crate) const INSERT_TABLE_SETTING: &str =
    "INSERT INTO ducklake_metadata (key, value, scope, scope_id) VALUES ($1, $2, 'table', $3)";
pub(crate) const UPDATE_TABLE_SETTING: &str =
    "UPDATE ducklake_metadata SET value = $1 WHERE key = $2 AND scope = 'table' AND scope_id = $3";

pub(crate) const HEAD: &str = "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id \
     FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1";
pub(crate) const OLDER_SNAPSHOTS: &str = "SELECT snapshot_id, snapshot_time FROM ducklake_snapshot \
     WHERE snapshot_id < (SELECT max(snapshot_id) FROM ducklake_snapshot) ORDER BY snapshot_id";
pub(crate) const INSERT_SNAPSHOT: &str = "INSERT INTO ducklake_snapshot \
     (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const INSERT_SNAPSHOT_CHANGES: &str = "INSERT INTO ducklake_snapshot_changes \
     (snapshot_id, changes_made, author, commit_message, commit_extra_info) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const CHANGES_SINCE: &str = "SELECT snapshot_id, changes_made FROM ducklake_snapshot_changes \
     WHERE snapshot_id > $1 ORDER BY snapshot_id";
pub(crate) const SNAPSHOTS_NEWEST_FIRST: &str =
    "SELECT snapshot_id, snapshot_time FROM ducklake_snapshot ORDER BY snapshot_id DESC";
pub(crate) const SNAPSHOTS_OLDEST_FIRST: &str =
    "SELECT snapshot_id, snapshot_time FROM ducklake_snapshot ORDER BY snapshot_id";
pub(crate) const SNAPSHOT_TIME: &str = "SELECT snapshot_time FROM ducklake_snapshot WHERE snapshot_id = $1";
pub(crate) const SNAPSHOT_EXISTS: &str =
    "SELECT EXISTS(SELECT 1 FROM ducklake_snapshot WHERE snapshot_id = $1)";
pub(crate) const FILE_DELETED_FROM_TWICE: &str = "SELECT data_file_id FROM ducklake_delete_file \
     WHERE table_id = $1 AND begin_snapshot <= $2 AND (end_snapshot IS NULL OR end_snapshot > $2) \
     GROUP BY data_file_id HAVING count(*) > 1 ORDER BY data_file_id LIMIT 1";
pub(crate) const INSERT_SCHEMA_VERSION: &str =
    "INSERT INTO ducklake_schema_versions (begin_snapshot, schema_version, table_id) VALUES ($1, $2, $3)";

pub(crate) const FIND_SCHEMA: &str = "SELECT schema_id, schema_name, path, path_is_relative \
     FROM ducklake_schema WHERE lower(schema_name) = lower($1) AND end_snapshot IS NULL";
pub(crate) const INSERT_SCHEMA: &str = "INSERT INTO ducklake_schema \
     (schema_id, schema_uuid, begin_snapshot, end_snapshot, schema_name, path, path_is_relative) \
     VALUES ($1, $2, $3, NULL, $4, $5, 1)";

pub(crate) const FIND_TABLE_BY_NAME: &str = "SELECT t.table_id, t.begin_snapshot, t.table_name, t.path, \
     t.path_is_relative, s.schema_id, s.schema_name, s.path, s.path_is_relative \
     FROM ducklake_table t JOIN ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL \
     WHERE lower(s.schema_name) = lower($1) AND lower(t.table_name) = lower($2) AND t.end_snapshot IS NULL";
pub(crate) const FIND_TABLE_BY_ID: &str = "SELECT t.table_id, t.begin_snapshot, t.table_name, t.path, \
     t.path_is_relative, s.schema_id, s.schema_name, s.path, s.path_is_relative \
     FROM ducklake_table t JOIN ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL \
     WHERE t.table_id = $1 AND t.end_snapshot IS NULL";
pub(crate) const FIND_TABLE_THAT_WAS: &str = "SELECT t.table_id, t.begin_snapshot, t.table_name, t.path, \
     t.path_is_relative, s.schema_id, s.schema_name, s.path, s.path_is_relative \
     FROM ducklake_table t JOIN ducklake_schema s ON s.schema_id = t.schema_id \
     WHERE t.table_id = $1 ORDER BY t.begin_snapshot DESC LIMIT 1";
pub(crate) const INSERT_TABLE: &str = "INSERT INTO ducklake_table \
     (table_id, table_uuid, begin_snapshot, end_snapshot, schema_id, table_name, path, path_is_relative) \
     VALUES ($1, $2, $3, NULL, $4, $5, $6, 1)";

pub(crate) const END_TABLE: &str =
    "UPDATE ducklake_table SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
pub(crate) const RENAME_TABLE: &str = "INSERT INTO ducklake_table \
     SELECT table_id, table_uuid, $1, NULL, schema_id, $2, path, path_is_relative \
     FROM ducklake_table WHERE table_id = $3 AND end_snapshot = $1";
pub(crate) const END_SCHEMA: &str =
    "UPDATE ducklake_schema SET end_snapshot = $1 WHERE schema_id = $2 AND end_snapshot IS NULL";
pub(crate) const END_COLUMNS: &str =
    "UPDATE ducklake_column SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
pub(crate) const END_TAGS: &str =
    "UPDATE ducklake_tag SET end_snapshot = $1 WHERE object_id = $2 AND end_snapshot IS NULL";
pub(crate) const END_COLUMN_TAGS: &str =
    "UPDATE ducklake_column_tag SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";

pub(crate) const LIVE_COLUMNS: &str = "SELECT column_id, column_name, column_type, nulls_allowed, \
     parent_column, initial_default FROM ducklake_column WHERE table_id = $1 AND end_snapshot IS NULL \
     ORDER BY column_order, column_id";
pub(crate) const NEXT_COLUMN_ID: &str =
    "SELECT coalesce(max(column_id), 0) + 1 FROM ducklake_column WHERE table_id = $1";
pub(crate) const INSERT_COLUMN: &str = "INSERT INTO ducklake_column \
     (column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type, initial_default, \
      default_value, nulls_allowed, parent_column, default_value_type, default_value_dialect) \
     VALUES ($1, $2, NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'duckdb')";
pub(crate) const RETYPE_COLUMN: &str = "INSERT INTO ducklake_column \
     SELECT column_id, $1, NULL, table_id, column_order, column_name, $2, initial_default, default_value, \
            nulls_allowed, parent_column, default_value_type, default_value_dialect \
     FROM ducklake_column WHERE table_id = $3 AND column_id = $4 AND end_snapshot = $1";
pub(crate) const RENAME_COLUMN: &str = "INSERT INTO ducklake_column \
     SELECT column_id, $1, NULL, table_id, column_order, $2, column_type, initial_default, default_value, \
            nulls_allowed, parent_column, default_value_type, default_value_dialect \
     FROM ducklake_column WHERE table_id = $3 AND column_id = $4 AND end_snapshot = $1";
pub(crate) const SPECS_ON_COLUMN: &str = "SELECT EXISTS(SELECT 1 FROM ducklake_partition_info i \
     JOIN ducklake_partition_column c ON c.partition_id = i.partition_id AND c.table_id = i.table_id \
     WHERE i.table_id = $1 AND i.end_snapshot IS NULL AND c.column_id = $2) \
     OR EXISTS(SELECT 1 FROM ducklake_sort_info i \
     JOIN ducklake_sort_expression e ON e.sort_id = i.sort_id AND e.table_id = i.table_id \
     WHERE i.table_id = $1 AND i.end_snapshot IS NULL AND lower(e.expression) = lower($3))";
pub(crate) const END_COLUMN: &str = "UPDATE ducklake_column SET end_snapshot = $1 \
     WHERE table_id = $2 AND column_id = $3 AND end_snapshot IS NULL";

pub(crate) const FIND_VIEW: &str = "SELECT v.view_id, v.sql FROM ducklake_view v \
     JOIN ducklake_schema s ON s.schema_id = v.schema_id AND s.end_snapshot IS NULL \
     WHERE lower(s.schema_name) = lower($1) AND lower(v.view_name) = lower($2) AND v.end_snapshot IS NULL";
pub(crate) const INSERT_VIEW: &str = "INSERT INTO ducklake_view \
     (view_id, view_uuid, begin_snapshot, end_snapshot, schema_id, view_name, dialect, sql, column_aliases) \
     VALUES ($1, $2, $3, NULL, $4, $5, 'duckdb', $6, '')";
pub(crate) const END_VIEW: &str =
    "UPDATE ducklake_view SET end_snapshot = $1 WHERE view_id = $2 AND end_snapshot IS NULL";

pub(crate) const FIND_TAG: &str =
    "SELECT value FROM ducklake_tag WHERE object_id = $1 AND key = $2 AND end_snapshot IS NULL";
pub(crate) const END_TAG: &str = "UPDATE ducklake_tag SET end_snapshot = $1 \
     WHERE object_id = $2 AND key = $3 AND end_snapshot IS NULL";
pub(crate) const INSERT_TAG: &str = "INSERT INTO ducklake_tag \
     (object_id, begin_snapshot, end_snapshot, key, value) VALUES ($1, $2, NULL, $3, $4)";
pub(crate) const END_COLUMN_TAG: &str = "UPDATE ducklake_column_tag SET end_snapshot = $1 \
     WHERE table_id = $2 AND column_id = $3 AND key = $4 AND end_snapshot IS NULL";
pub(crate) const INSERT_COLUMN_TAG: &str = "INSERT INTO ducklake_column_tag \
     (table_id, column_id, begin_snapshot, end_snapshot, key, value) VALUES ($1, $2, $3, NULL, $4, $5)";

pub(crate) const LIVE_PARTITION: &str = "SELECT i.partition_id, c.partition_key_index, c.column_id, c.transform \
     FROM ducklake_partition_info i JOIN ducklake_partition_column c \
       ON c.partition_id = i.partition_id AND c.table_id = i.table_id \
     WHERE i.table_id = $1 AND i.end_snapshot IS NULL ORDER BY c.partition_key_index";
pub(crate) const END_PARTITION: &str =
    "UPDATE ducklake_partition_info SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
pub(crate) const INSERT_PARTITION: &str = "INSERT INTO ducklake_partition_info \
     (partition_id, table_id, begin_snapshot, end_snapshot) VALUES ($1, $2, $3, NULL)";
pub(crate) const INSERT_PARTITION_COLUMN: &str = "INSERT INTO ducklake_partition_column \
     (partition_id, table_id, partition_key_index, column_id, transform) VALUES ($1, $2, $3, $4, $5)";

pub(crate) const LIVE_SORT: &str = "SELECT i.sort_id, e.sort_key_index, e.expression, e.dialect, e.sort_direction, e.null_order \
     FROM ducklake_sort_info i JOIN ducklake_sort_expression e \
       ON e.sort_id = i.sort_id AND e.table_id = i.table_id \
     WHERE i.table_id = $1 AND i.end_snapshot IS NULL ORDER BY e.sort_key_index";
pub(crate) const END_SORT: &str =
    "UPDATE ducklake_sort_info SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
pub(crate) const INSERT_SORT: &str = "INSERT INTO ducklake_sort_info (sort_id, table_id, begin_snapshot, end_snapshot) VALUES ($1, $2, $3, NULL)";
pub(crate) const INSERT_SORT_EXPRESSION: &str = "INSERT INTO ducklake_sort_expression \
     (sort_id, table_id, sort_key_index, expression, dialect, sort_direction, null_order) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(crate) const INSERT_DATA_FILE: &str = "INSERT INTO ducklake_data_file \
     (data_file_id, table_id, begin_snapshot, end_snapshot, file_order, path, path_is_relative, file_format, \
      record_count, file_size_bytes, footer_size, row_id_start, partition_id, encryption_key, mapping_id, \
      partial_max) \
     VALUES ($1, $2, $3, NULL, NULL, $4, $5, 'parquet', $6, $7, $8, $9, $10, NULL, NULL, $11)";
pub(crate) const INSERT_FILE_STATS: &str = "INSERT INTO ducklake_file_column_stats \
     (data_file_id, table_id, column_id, column_size_bytes, value_count, null_count, min_value, max_value, \
      contains_nan, extra_stats) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)";
pub(crate) const INSERT_PARTITION_VALUE: &str = "INSERT INTO ducklake_file_partition_value \
     (data_file_id, table_id, partition_key_index, partition_value) VALUES ($1, $2, $3, $4)";
pub(crate) const RESHAPED_SINCE: &str = "SELECT EXISTS(SELECT 1 FROM ducklake_schema_versions \
     WHERE table_id = $1 AND begin_snapshot > $2)";
pub(crate) const LIVE_FILES: &str = "SELECT f.data_file_id, f.path, f.path_is_relative, f.record_count, \
       f.file_size_bytes, f.row_id_start, f.begin_snapshot, f.partial_max, f.partition_id, \
       f.mapping_id IS NOT NULL OR f.encryption_key IS NOT NULL, \
       (SELECT max(v.schema_version) FROM ducklake_schema_versions v \
        WHERE v.table_id = f.table_id AND v.begin_snapshot <= f.begin_snapshot), \
       (SELECT s.snapshot_time FROM ducklake_snapshot s \
        WHERE s.snapshot_id = coalesce(f.partial_max, f.begin_snapshot)), \
       d.delete_file_id, d.path, d.path_is_relative, d.delete_count \
     FROM ducklake_data_file f LEFT JOIN ducklake_delete_file d \
       ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL \
     WHERE f.table_id = $1 AND f.end_snapshot IS NULL ORDER BY f.data_file_id";
pub(crate) const PARTITION_VALUES: &str = "SELECT data_file_id, partition_key_index, partition_value \
     FROM ducklake_file_partition_value WHERE table_id = $1 ORDER BY partition_key_index";
pub(crate) const COLUMN_BOUNDS_OF_FILES: &str = "SELECT data_file_id, min_value, max_value \
     FROM ducklake_file_column_stats WHERE table_id = $1 AND column_id = $2";
pub(crate) const BOUNDS_OF_COLUMN: &str = "SELECT b.data_file_id, b.min_value, b.max_value \
     FROM ducklake_column c JOIN ducklake_file_column_stats b \
       ON b.table_id = c.table_id AND b.column_id = c.column_id \
     WHERE lower(c.column_name) = lower($1) AND c.parent_column IS NULL AND c.end_snapshot IS NULL";
pub(crate) const ALL_LIVE_FILES: &str =
    "SELECT table_id, data_file_id FROM ducklake_data_file WHERE end_snapshot IS NULL";
pub(crate) const ALL_LIVE_TABLES: &str = "SELECT s.schema_name, t.table_name FROM ducklake_table t \
     JOIN ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL \
     WHERE t.end_snapshot IS NULL ORDER BY s.schema_name, t.table_name";
pub(crate) const FILES_CHANGED_SINCE: &str = "SELECT EXISTS(SELECT 1 FROM ducklake_data_file \
     WHERE table_id = $1 AND (begin_snapshot > $2 OR end_snapshot > $2)) \
     OR EXISTS(SELECT 1 FROM ducklake_delete_file \
     WHERE table_id = $1 AND (begin_snapshot > $2 OR end_snapshot > $2))";
pub(crate) const END_TABLE_FILES: &str =
    "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
pub(crate) const END_TABLE_DELETE_FILES: &str =
    "UPDATE ducklake_delete_file SET end_snapshot = $1 WHERE table_id = $2 AND end_snapshot IS NULL";
pub(crate) const LIVE_FILE: &str = "SELECT path, path_is_relative FROM ducklake_data_file \
     WHERE table_id = $1 AND data_file_id = $2 AND end_snapshot IS NULL";
pub(crate) const END_FILE: &str =
    "UPDATE ducklake_data_file SET end_snapshot = $1 WHERE data_file_id = $2 AND end_snapshot IS NULL";
/// Rows of live files that a snapshot added and nothing was deleted from.
pub(crate) const LIVE_ROWS_BEGUN_AT: &str = "SELECT coalesce(sum(record_count), 0) FROM ducklake_data_file AS file \
     WHERE table_id = $1 AND begin_snapshot = $2 AND end_snapshot IS NULL \
       AND NOT EXISTS (SELECT 1 FROM ducklake_delete_file AS gone \
                       WHERE gone.data_file_id = file.data_file_id AND gone.end_snapshot IS NULL)";
pub(crate) const END_FILES_BEGUN_AT: &str = "UPDATE ducklake_data_file SET end_snapshot = $1 \
     WHERE table_id = $2 AND begin_snapshot = $3 AND end_snapshot IS NULL";
pub(crate) const FILE_BYTES: &str =
    "SELECT coalesce(max(file_size_bytes), 0) FROM ducklake_data_file WHERE data_file_id = $1";
pub(crate) const SCHEDULE_DELETION: &str = "INSERT INTO ducklake_files_scheduled_for_deletion \
     (data_file_id, path, path_is_relative, schedule_start) VALUES ($1, $2, $3, $4)";

/// `$1` is the data path. A renamed table has several rows, which lie in the same place.
pub(crate) const NAMED_FILES: &str = "SELECT DISTINCT CASE WHEN NOT f.path_is_relative THEN f.path \
       WHEN NOT t.path_is_relative THEN coalesce(t.path, '') || f.path \
       WHEN NOT s.path_is_relative THEN coalesce(s.path, '') || coalesce(t.path, '') || f.path \
       ELSE $1 || coalesce(s.path, '') || coalesce(t.path, '') || f.path END \
     FROM (SELECT path, path_is_relative, table_id FROM ducklake_data_file \
           UNION ALL SELECT path, path_is_relative, table_id FROM ducklake_delete_file) f \
     JOIN ducklake_table t ON t.table_id = f.table_id JOIN ducklake_schema s ON s.schema_id = t.schema_id";
pub(crate) const SCHEDULED_FILES: &str = "SELECT data_file_id, \
       CASE WHEN path_is_relative THEN $1 || path ELSE path END, schedule_start \
     FROM ducklake_files_scheduled_for_deletion ORDER BY schedule_start, data_file_id";
pub(crate) const DELETE_LOST_MACRO_IMPLEMENTATIONS: &str = "DELETE FROM ducklake_macro_impl \
     WHERE macro_id NOT IN (SELECT macro_id FROM ducklake_macro)";
pub(crate) const DELETE_LOST_MACRO_PARAMETERS: &str = "DELETE FROM ducklake_macro_parameters \
     WHERE macro_id NOT IN (SELECT macro_id FROM ducklake_macro)";
pub(crate) const DELETE_LOST_NAME_MAPPINGS: &str = "DELETE FROM ducklake_name_mapping \
     WHERE mapping_id NOT IN (SELECT mapping_id FROM ducklake_column_mapping)";

pub(crate) const LIVE_DELETE_FILE: &str = "SELECT delete_file_id FROM ducklake_delete_file \
     WHERE table_id = $1 AND data_file_id = $2 AND end_snapshot IS NULL";
pub(crate) const END_DELETE_FILE: &str = "UPDATE ducklake_delete_file SET end_snapshot = $1 \
     WHERE data_file_id = $2 AND end_snapshot IS NULL";
pub(crate) const INSERT_DELETE_FILE: &str = "INSERT INTO ducklake_delete_file \
     (delete_file_id, table_id, begin_snapshot, end_snapshot, data_file_id, path, path_is_relative, format, \
      delete_count, file_size_bytes, footer_size, encryption_key, partial_max) \
     VALUES ($1, $2, $3, NULL, $4, $5, $6, 'parquet', $7, $8, $9, NULL, NULL)";
pub(crate) const LIVE_ROWS_IN_FILES: &str = "SELECT coalesce(sum(f.record_count), 0) - \
     coalesce(sum((SELECT sum(d.delete_count) FROM ducklake_delete_file d \
                   WHERE d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL)), 0) \
     FROM ducklake_data_file f WHERE f.table_id = $1 AND f.end_snapshot IS NULL";

pub(crate) const INLINED_TABLES: &str =
    "SELECT table_name FROM ducklake_inlined_data_tables WHERE table_id = $1 ORDER BY schema_version";

pub(crate) const INSERT_INLINED_TABLE: &str =
    "INSERT INTO ducklake_inlined_data_tables (table_id, table_name, schema_version) VALUES ($1, $2, $3)";
pub(crate) const INLINED_VERSIONS: &str = "SELECT i.table_name, max(v.begin_snapshot) \
     FROM ducklake_inlined_data_tables i LEFT JOIN ducklake_schema_versions v \
       ON v.table_id = i.table_id AND v.schema_version <= i.schema_version \
     WHERE i.table_id = $1 GROUP BY i.table_name, i.schema_version ORDER BY i.schema_version";
pub(crate) const COLUMNS_AT: &str = "SELECT column_id, column_name FROM ducklake_column \
     WHERE table_id = $1 AND parent_column IS NULL AND begin_snapshot <= $2 \
       AND (end_snapshot IS NULL OR end_snapshot > $2)";

pub(crate) const TABLE_STATS: &str =
    "SELECT record_count, next_row_id, file_size_bytes FROM ducklake_table_stats WHERE table_id = $1";
pub(crate) const INSERT_TABLE_STATS: &str = "INSERT INTO ducklake_table_stats \
     (table_id, record_count, next_row_id, file_size_bytes) VALUES ($1, $2, $3, $4)";
pub(crate) const UPDATE_TABLE_STATS: &str = "UPDATE ducklake_table_stats \
     SET record_count = $1, next_row_id = $2, file_size_bytes = $3 WHERE table_id = $4";
pub(crate) const TABLE_COLUMN_STATS: &str = "SELECT column_id, contains_null, contains_nan, min_value, max_value, \
     extra_stats IS NOT NULL FROM ducklake_table_column_stats WHERE table_id = $1";
pub(crate) const INSERT_TABLE_COLUMN_STATS: &str = "INSERT INTO ducklake_table_column_stats \
     (table_id, column_id, contains_null, contains_nan, min_value, max_value, extra_stats) \
     VALUES ($1, $2, $3, $4, $5, $6, NULL)";
pub(crate) const DELETE_TABLE_COLUMN_STATS: &str =
    "DELETE FROM ducklake_table_column_stats WHERE table_id = $1 AND column_id = $2";
pub(crate) const UPDATE_TABLE_COLUMN_STATS: &str = "UPDATE ducklake_table_column_stats \
     SET contains_null = $1, contains_nan = $2, min_value = $3, max_value = $4 \
     WHERE table_id = $5 AND column_id = $6";
pub(crate) const LIVE_TABLES: &str = "SELECT t.table_id, t.table_name FROM ducklake_table t \
     JOIN ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL \
     WHERE lower(s.schema_name) = lower($1) AND t.end_snapshot IS NULL ORDER BY t.table_name";
pub(crate) const TABLE_IN_SCHEMA: &str = "SELECT table_id FROM ducklake_table \
     WHERE schema_id = $1 AND lower(table_name) = lower($2) AND end_snapshot IS NULL";
pub(crate) const LIVE_VIEWS: &str = "SELECT v.view_id, v.view_name FROM ducklake_view v \
     JOIN ducklake_schema s ON s.schema_id = v.schema_id AND s.end_snapshot IS NULL \
     WHERE lower(s.schema_name) = lower($1) AND v.end_snapshot IS NULL ORDER BY v.view_name";
pub(crate) const LIVE_FILE_TOTALS: &str = "SELECT count(*), coalesce(sum(file_size_bytes), 0) \
     FROM ducklake_data_file WHERE table_id = $1 AND end_snapshot IS NULL";
