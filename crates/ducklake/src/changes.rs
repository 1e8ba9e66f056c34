//! What a snapshot changed, in the grammar of `ducklake_snapshot_changes.changes_made`:
//! `kind:value` entries between commas, where a value is an id or quoted names.
//!
//! The kinds and their order are those of `DuckLakeTransactionState::WriteSnapshotChanges` in
//! <https://github.com/duckdb/ducklake>.

use std::collections::BTreeSet;

/// One change of a snapshot. The order of the variants is the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    DroppedSchema(i64),
    DroppedTable(i64),
    DroppedView(i64),
    CreatedSchema(String),
    CreatedTable(String, String),
    CreatedView(String, String),
    InsertedInto(i64),
    DeletedFrom(i64),
    AlteredTable(i64),
    AlteredView(i64),
    InlinedDelete(i64),
    InlineFlush(i64),
    MergeAdjacent(i64),
    RewriteDelete(i64),
}

impl Change {
    fn text(&self) -> String {
        match self {
            Self::DroppedSchema(id) => format!("dropped_schema:{id}"),
            Self::DroppedTable(id) => format!("dropped_table:{id}"),
            Self::DroppedView(id) => format!("dropped_view:{id}"),
            Self::CreatedSchema(name) => format!("created_schema:{}", quoted(name)),
            Self::CreatedTable(schema, name) => format!("created_table:{}.{}", quoted(schema), quoted(name)),
            Self::CreatedView(schema, name) => format!("created_view:{}.{}", quoted(schema), quoted(name)),
            Self::InsertedInto(id) => format!("inserted_into_table:{id}"),
            Self::DeletedFrom(id) => format!("deleted_from_table:{id}"),
            Self::AlteredTable(id) => format!("altered_table:{id}"),
            Self::AlteredView(id) => format!("altered_view:{id}"),
            Self::InlinedDelete(id) => format!("inlined_delete:{id}"),
            Self::InlineFlush(id) => format!("inline_flush:{id}"),
            Self::MergeAdjacent(id) => format!("merge_adjacent:{id}"),
            Self::RewriteDelete(id) => format!("rewrite_delete:{id}"),
        }
    }
}

/// The text of several changes, each once; `None` for a snapshot that changed nothing.
pub(crate) fn changes_made(changes: &BTreeSet<Change>) -> Option<String> {
    (!changes.is_empty()).then(|| changes.iter().map(Change::text).collect::<Vec<_>>().join(","))
}

/// Whether `changes_made` has an entry of one of `kinds` for the table `id`.
pub(crate) fn touches(changes_made: &str, kinds: &[&str], id: i64) -> bool {
    entries(changes_made).any(|entry| {
        entry.split_once(':').is_some_and(|(kind, value)| {
            kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) && value.parse() == Ok(id)
        })
    })
}

/// The entries of a `changes_made` text: split at commas that stand outside quotes.
fn entries(changes_made: &str) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    changes_made
        .split(move |character| {
            in_quotes ^= character == '"';
            character == ',' && !in_quotes
        })
        .filter(|entry| !entry.is_empty())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_written_once_in_official_order() {
        let changes = BTreeSet::from([
            Change::DeletedFrom(7),
            Change::InsertedInto(12),
            Change::InsertedInto(7),
            Change::CreatedTable("main".to_owned(), "a\"b".to_owned()),
            Change::CreatedSchema("hep".to_owned()),
        ]);
        assert_eq!(
            changes_made(&changes).unwrap(),
            "created_schema:\"hep\",created_table:\"main\".\"a\"\"b\",inserted_into_table:7,inserted_into_table:12,\
             deleted_from_table:7"
        );
        assert_eq!(changes_made(&BTreeSet::new()), None);
    }

    #[test]
    fn entries_are_found_by_kind_and_id_and_not_inside_names() {
        let text = "created_table:\"main\".\"x,dropped_table:3\",inlined_insert:4,Altered_Table:5";
        assert!(touches(text, &["altered_table", "dropped_table"], 5));
        assert!(touches(text, &["inlined_insert"], 4));
        assert!(!touches(text, &["dropped_table"], 3));
        assert!(!touches(text, &["altered_table"], 4));
    }
}
