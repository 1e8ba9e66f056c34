//! The rules of a catalog that one query can check.

use super::Repair;

/// What it means when a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breach {
    /// Something is wrong; answers are right, or statements that need it fail.
    Wrong,
    /// Answers about the table would be wrong.
    MisleadsReaders,
    /// It costs some bytes and nothing else.
    Harmless,
}

/// What mends a breach, of the table if the rule is about one.
pub(super) type RepairOf = fn(Option<i64>) -> Option<Repair>;

/// A rule of the catalog: a query that finds the rows that break it.
pub(super) struct Rule {
    pub(super) place: &'static str,
    pub(super) message: &'static str,
    pub(super) breach: Breach,
    /// What mends it, if anything can.
    pub(super) repair: RepairOf,
    /// Gives a text and the id of a table, or NULL, for each row that breaks the rule. `$1` is the head snapshot.
    pub(super) query: &'static str,
}

const NONE: RepairOf = |_| None;
const NEXT_IDS: RepairOf = |_| Some(Repair::NextIds);
const TOTALS: RepairOf = |table| table.map(Repair::Totals);

pub(super) const RULES: [Rule; 22] = [
    Rule {
        place: "ducklake_snapshot",
        message: "a counter is lower in the next snapshot",
        breach: Breach::Wrong,
        repair: NEXT_IDS,
        query: "SELECT s.snapshot_id, NULL FROM ducklake_snapshot s JOIN ducklake_snapshot n \
                ON n.snapshot_id = (SELECT min(snapshot_id) FROM ducklake_snapshot WHERE snapshot_id > s.snapshot_id) \
                WHERE n.schema_version < s.schema_version OR n.next_catalog_id < s.next_catalog_id \
                   OR n.next_file_id < s.next_file_id",
    },
    Rule {
        place: "ducklake_snapshot",
        message: "the next ids are missing",
        breach: Breach::Wrong,
        repair: NEXT_IDS,
        query: "SELECT snapshot_id, NULL FROM ducklake_snapshot WHERE schema_version IS NULL \
                OR next_catalog_id IS NULL OR next_file_id IS NULL",
    },
    Rule {
        place: "ducklake_snapshot_changes",
        message: "the snapshot has no record of its changes",
        breach: Breach::Wrong,
        repair: |_| Some(Repair::MissingChanges),
        query: "SELECT snapshot_id, NULL FROM ducklake_snapshot WHERE snapshot_id NOT IN \
                (SELECT snapshot_id FROM ducklake_snapshot_changes)",
    },
    Rule {
        place: "ducklake_snapshot_changes",
        message: "the changes belong to no snapshot",
        breach: Breach::Harmless,
        repair: |_| Some(Repair::LostChanges),
        query: "SELECT snapshot_id, NULL FROM ducklake_snapshot_changes WHERE snapshot_id NOT IN \
                (SELECT snapshot_id FROM ducklake_snapshot)",
    },
    Rule {
        place: "ducklake_snapshot",
        message: "the next catalog id was given out before",
        breach: Breach::Wrong,
        repair: NEXT_IDS,
        query: "SELECT id, NULL FROM (SELECT schema_id AS id FROM ducklake_schema UNION ALL SELECT table_id FROM ducklake_table \
                  UNION ALL SELECT view_id FROM ducklake_view UNION ALL SELECT partition_id FROM ducklake_partition_info \
                  UNION ALL SELECT sort_id FROM ducklake_sort_info) \
                WHERE id >= (SELECT next_catalog_id FROM ducklake_snapshot WHERE snapshot_id = $1)",
    },
    Rule {
        place: "ducklake_snapshot",
        message: "the next file id was given out before",
        breach: Breach::Wrong,
        repair: NEXT_IDS,
        query: "SELECT id, NULL FROM (SELECT data_file_id AS id FROM ducklake_data_file \
                  UNION ALL SELECT delete_file_id FROM ducklake_delete_file) \
                WHERE id >= (SELECT next_file_id FROM ducklake_snapshot WHERE snapshot_id = $1)",
    },
    Rule {
        place: "ducklake_table",
        message: "two live objects have the id",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT id, id FROM (SELECT schema_id AS id FROM ducklake_schema WHERE end_snapshot IS NULL \
                  UNION ALL SELECT table_id FROM ducklake_table WHERE end_snapshot IS NULL \
                  UNION ALL SELECT view_id FROM ducklake_view WHERE end_snapshot IS NULL \
                  UNION ALL SELECT partition_id FROM ducklake_partition_info WHERE end_snapshot IS NULL \
                  UNION ALL SELECT sort_id FROM ducklake_sort_info WHERE end_snapshot IS NULL) \
                GROUP BY id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_delete_file",
        message: "a data file and a delete file have the id",
        breach: Breach::Wrong,
        repair: NONE,
        query: "SELECT delete_file_id, table_id FROM ducklake_delete_file WHERE delete_file_id IN \
                (SELECT data_file_id FROM ducklake_data_file)",
    },
    Rule {
        place: "ducklake_data_file",
        message: "data_file_id is missing or stands twice",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT data_file_id, table_id FROM ducklake_data_file \
                GROUP BY data_file_id, table_id HAVING data_file_id IS NULL OR count(*) > 1",
    },
    Rule {
        place: "ducklake_table",
        message: "two live tables or views of a schema have the name",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT name, min(table_id) FROM (SELECT schema_id, table_name AS name, table_id FROM ducklake_table \
                    WHERE end_snapshot IS NULL \
                  UNION ALL SELECT schema_id, view_name, NULL FROM ducklake_view WHERE end_snapshot IS NULL) \
                GROUP BY schema_id, lower(name) HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_table",
        message: "the live table's schema is not live",
        breach: Breach::Wrong,
        repair: NONE,
        query: "SELECT table_id, table_id FROM ducklake_table WHERE end_snapshot IS NULL AND schema_id NOT IN \
                (SELECT schema_id FROM ducklake_schema WHERE end_snapshot IS NULL)",
    },
    Rule {
        place: "ducklake_column",
        message: "the live table has no columns",
        breach: Breach::Wrong,
        repair: NONE,
        query: "SELECT table_id, table_id FROM ducklake_table WHERE end_snapshot IS NULL AND table_id NOT IN \
                (SELECT table_id FROM ducklake_column WHERE end_snapshot IS NULL)",
    },
    Rule {
        place: "ducklake_column",
        message: "the column has two live versions (table:column)",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT table_id || ':' || column_id, table_id FROM ducklake_column WHERE end_snapshot IS NULL \
                GROUP BY table_id, column_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_column",
        message: "the live column's parent is not live (table:column)",
        breach: Breach::Wrong,
        repair: NONE,
        query: "SELECT c.table_id || ':' || c.column_id, c.table_id FROM ducklake_column c WHERE c.end_snapshot IS NULL \
                AND c.parent_column IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ducklake_column p \
                  WHERE p.table_id = c.table_id AND p.column_id = c.parent_column AND p.end_snapshot IS NULL)",
    },
    Rule {
        place: "ducklake_partition_info",
        message: "the table has two live partition specs",
        breach: Breach::Wrong,
        repair: NONE,
        query: "SELECT table_id, table_id FROM ducklake_partition_info WHERE end_snapshot IS NULL \
                GROUP BY table_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_table_stats",
        message: "the table has two rows of totals",
        breach: Breach::Wrong,
        repair: TOTALS,
        query: "SELECT table_id, table_id FROM ducklake_table_stats GROUP BY table_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_table_stats",
        message: "rows have ids beyond the next one of the table",
        breach: Breach::Wrong,
        repair: TOTALS,
        query: "SELECT DISTINCT f.table_id, f.table_id FROM ducklake_data_file f LEFT JOIN ducklake_table_stats s \
                ON s.table_id = f.table_id WHERE f.row_id_start IS NOT NULL \
                AND f.row_id_start + f.record_count > coalesce(s.next_row_id, 0)",
    },
    Rule {
        place: "ducklake_table_stats",
        message: "the table has more rows than its totals say",
        breach: Breach::Wrong,
        repair: TOTALS,
        query: "SELECT f.table_id, f.table_id FROM ducklake_data_file f WHERE f.end_snapshot IS NULL \
                AND typeof(f.record_count) = 'integer' GROUP BY f.table_id HAVING sum(f.record_count) - coalesce( \
                  (SELECT sum(d.delete_count) FROM ducklake_delete_file d WHERE d.table_id = f.table_id \
                   AND d.end_snapshot IS NULL), 0) \
                > coalesce((SELECT max(s.record_count) FROM ducklake_table_stats s WHERE s.table_id = f.table_id), 0)",
    },
    Rule {
        place: "ducklake_delete_file",
        message: "the data file has two live delete files",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT data_file_id, min(table_id) FROM ducklake_delete_file WHERE end_snapshot IS NULL \
                GROUP BY data_file_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_file_partition_value",
        message: "the file's partition values are not those of its partition spec",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT f.data_file_id, f.table_id FROM ducklake_data_file f WHERE f.partition_id IS NOT NULL AND \
                (SELECT count(*) FROM ducklake_file_partition_value v WHERE v.data_file_id = f.data_file_id) <> \
                (SELECT count(*) FROM ducklake_partition_column c WHERE c.partition_id = f.partition_id)",
    },
    Rule {
        place: "ducklake_file_partition_value",
        message: "the file has rows of another day than its partition",
        breach: Breach::MisleadsReaders,
        repair: NONE,
        query: "SELECT v.data_file_id, v.table_id FROM ducklake_file_partition_value v \
                JOIN ducklake_data_file f ON f.data_file_id = v.data_file_id AND f.end_snapshot IS NULL \
                JOIN ducklake_partition_column p ON p.partition_id = f.partition_id \
                  AND p.partition_key_index = v.partition_key_index AND p.transform = 'identity' \
                JOIN ducklake_column c ON c.table_id = f.table_id AND c.column_id = p.column_id \
                  AND c.end_snapshot IS NULL AND c.column_type = 'date' \
                JOIN ducklake_file_column_stats s ON s.data_file_id = v.data_file_id AND s.column_id = p.column_id \
                WHERE s.min_value <> v.partition_value OR s.max_value <> v.partition_value",
    },
    Rule {
        place: "ducklake_metadata",
        message: "the journal's position is no number",
        breach: Breach::Wrong,
        repair: NONE,
        query: "SELECT key, NULL FROM ducklake_metadata WHERE key LIKE 'pintail_journal_position:%' \
                AND (value = '' OR value GLOB '*[^0-9]*')",
    },
];
