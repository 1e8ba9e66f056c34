//! Things outside the checkout that are made again only when what they are made of has changed.

use std::fs::{self, File};
use std::path::Path;

use crate::Result;

/// The file in a folder that holds all that its content was made of.
const STAMP: &str = "pintail-stamp";

/// Makes `folder` with `make`, unless it was made of the same `ingredients` before; whether it was made now.
///
/// The stamp is written last, so a folder whose making was interrupted is made again. Only one process makes it
/// at a time.
pub(crate) fn make_if_stale(
    folder: &Path,
    ingredients: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<bool> {
    let parent = folder.parent().ok_or("a folder at the root cannot be made")?;
    fs::create_dir_all(parent)?;
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock()?;
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|old| old == ingredients) {
        return Ok(false);
    }
    make(folder)?;
    fs::write(stamp, ingredients)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_for_the_same_ingredients() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("made");
        let make =
            |ingredients: &str| make_if_stale(&folder, ingredients, |path| Ok(fs::create_dir_all(path)?));
        assert!(make("one").unwrap());
        assert!(!make("one").unwrap());
        assert!(make("two").unwrap());
        let interrupted = make_if_stale(&folder, "three", |_| Err("no disk".into()));
        assert_eq!(interrupted.unwrap_err().to_string(), "no disk");
        assert!(make("three").unwrap(), "what failed is made again");
    }
}
