//! Data and delete files against what the catalog says of them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::Findings;
use crate::error::Result;
use crate::tables::Table;

/// Bytes at the end of a Parquet file: the length of the footer, and the magic number.
const TRAILER_BYTES: u64 = 8;

/// A live file as the catalog has it.
struct Recorded {
    table_id: i64,
    path: String,
    is_relative: bool,
    bytes: i64,
    footer_bytes: Option<i64>,
}

/// Checks that each live file of a live table exists with its recorded size and footer size.
///
/// Files that are not on this machine are passed over.
pub(super) fn check(connection: &Connection, data_path: &str, found: &mut Findings) -> Result<()> {
    for catalog_table in ["ducklake_data_file", "ducklake_delete_file"] {
        let mut statement = connection.prepare(&format!(
            "SELECT table_id, path, path_is_relative, file_size_bytes, footer_size FROM {catalog_table} \
             WHERE end_snapshot IS NULL"
        ))?;
        let files = statement.query_map([], |row| {
            Ok(Recorded {
                table_id: row.get(0)?,
                path: row.get(1)?,
                is_relative: row.get(2)?,
                bytes: row.get(3)?,
                footer_bytes: row.get(4)?,
            })
        })?;
        for file in files {
            check_file(connection, data_path, &file?, catalog_table, found)?;
        }
    }
    Ok(())
}

fn check_file(
    connection: &Connection,
    data_path: &str,
    recorded: &Recorded,
    catalog_table: &str,
    found: &mut Findings,
) -> Result<()> {
    let Some(table) = Table::with_id(connection, recorded.table_id)? else {
        found.add(catalog_table, format!("live file {} belongs to no live table", recorded.path));
        return Ok(());
    };
    let directory = if recorded.is_relative { table.directory(data_path) } else { String::new() };
    let Some(path) = local_path(&format!("{directory}{}", recorded.path)) else {
        return Ok(());
    };
    match footer_bytes(&path) {
        Err(error) => found.add(path.display().to_string(), error.to_string()),
        Ok((bytes, footer)) => {
            if i64::try_from(bytes) != Ok(recorded.bytes) {
                let message = format!("has {bytes} bytes, the catalog says {}", recorded.bytes);
                found.add(path.display().to_string(), message);
            } else if recorded.footer_bytes.is_some_and(|recorded| recorded != i64::from(footer)) {
                let message =
                    format!("has a footer of {footer} bytes, the catalog says {:?}", recorded.footer_bytes);
                found.add(path.display().to_string(), message);
            }
        }
    }
    Ok(())
}

fn local_path(path: &str) -> Option<PathBuf> {
    match path.split_once("://") {
        Some(("file", path)) => Some(Path::new(path).to_owned()),
        Some(_) => None,
        None => Some(Path::new(path).to_owned()),
    }
}

/// The size of a Parquet file and of its footer.
fn footer_bytes(path: &Path) -> std::io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut trailer = [0; TRAILER_BYTES as usize];
    if bytes >= TRAILER_BYTES {
        file.seek(SeekFrom::Start(bytes - TRAILER_BYTES))?;
        file.read_exact(&mut trailer)?;
    }
    let [a, b, c, d, magic @ ..] = trailer;
    if &magic != b"PAR1" {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "is no parquet file"));
    }
    Ok((bytes, u32::from_le_bytes([a, b, c, d])))
}
