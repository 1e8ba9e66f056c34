//! Directories that a power cut does not take away.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory and those above it that are missing, each durable. Blocks.
///
/// # Errors
/// What the disk says.
pub fn create_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
        .collect();
    fs::create_dir_all(path)?;
    // A directory is there for good when the one that names it is synced.
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
