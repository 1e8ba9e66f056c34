//! Ending what was begun: after a crash, an error, or a stop.

use std::sync::Arc;

use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_ducklake::Move;
use pintail_types::{Error, ErrorKind, FaultPoint, Result};

use super::watch::MoveWatch;
use crate::lake::Lake;
use crate::maintenance::Done;
use crate::volume::Volume;

/// How a move came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The rows are where they were to go.
    Moved,
    /// Another program changed them meanwhile, so they are where they were.
    GivenBack,
}

/// Finishes moves whose rows were taken over, and removes the files of those that had not come so far. One that can't be
/// settled now does not keep others from it. No move may be under way. Blocks.
///
/// # Errors
/// The first one, after all was tried.
pub(crate) fn settle(lake: &Arc<Lake>) -> Result<Done> {
    let mut settled = Settled { watch: lake.options().policy.watch.as_ref(), ..Settled::default() };
    for to in &lake.volumes {
        for (id, prefix) in to.catalog.begun_moves()? {
            settled.roll_back(to, &id, &prefix);
        }
        for moved in to.catalog.moves()?.taken_over.iter().filter(|moved| moved.undone.is_none()) {
            let Some(from) = lake.volumes.iter().find(|volume| volume.name == moved.taken.from) else {
                // Its rows are in this volume; the other one is not part of the lake any more.
                continue;
            };
            if !from.catalog.moves()?.handed_over.contains_key(&moved.id) {
                settled.finish(from, to, moved);
            }
        }
    }
    settled.done()
}

/// What came of moves that were begun before.
#[derive(Default)]
struct Settled<'a> {
    watch: Option<&'a MoveWatch>,
    files: u64,
    rows: u64,
    told: Vec<String>,
    failed: Option<Error>,
}

impl Settled<'_> {
    fn roll_back(&mut self, to: &Volume, id: &str, prefix: &str) {
        let removed = MoveWatch::pass(self.watch, FaultPoint::MoveSettle)
            .and_then(|()| to.remove_files_of_prefix(prefix))
            .and_then(|files| {
                MoveWatch::pass(self.watch, FaultPoint::MoveRemoved)?;
                to.catalog.forget_begun_move(id)?;
                Ok(files)
            });
        match removed {
            Ok(files) => {
                self.files += files;
                self.told.push(format!("move {id} to {} was rolled back", to.name));
            }
            Err(error) => self.fail(error),
        }
    }

    fn finish(&mut self, from: &Arc<Volume>, to: &Arc<Volume>, moved: &Move) {
        match MoveWatch::pass(self.watch, FaultPoint::MoveSettle).and_then(|()| end(from, to, moved)) {
            Ok(ended) => {
                self.rows += moved.taken.rows;
                self.told.push(match ended {
                    Ended::Moved => {
                        format!("move {} from {} to {} was finished", moved.id, from.name, to.name)
                    }
                    Ended::GivenBack => given_back(from, to, moved),
                });
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) {
        match self.failed {
            None => self.failed = Some(error),
            Some(_) => tracing::warn!(%error, "one more move could not be settled; it is tried again later"),
        }
    }

    fn done(self) -> Result<Done> {
        let Self { files, rows, told, failed, .. } = self;
        if let Some(error) = failed {
            return Err(error);
        }
        let message = if told.is_empty() { "nothing to settle".to_owned() } else { told.join("; ") };
        Ok(Done { files_in: files, rows, message, ..Done::default() })
    }
}

/// Says that a move was undone.
pub(super) fn given_back(from: &Volume, to: &Volume, moved: &Move) -> String {
    format!(
        "move {} from {} to {} was undone because another program changed the rows meanwhile",
        moved.id, from.name, to.name
    )
}

/// Ends the files that a move took over or, if another program changed them meanwhile, undoes it.
pub(super) fn end(from: &Arc<Volume>, to: &Arc<Volume>, moved: &Move) -> Result<Ended> {
    let about = about(&moved.id);
    match from.catalog.hand_over(moved, &about) {
        Ok(_) => Ok(Ended::Moved),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            to.catalog.give_back(moved, &about).map_err(|undoing| {
                Error::conflict(format!(
                    "the rows of move {} are shown by volume {}, and volume {} can't let go of them: {}; {}",
                    moved.id,
                    to.name,
                    from.name,
                    error.message(),
                    undoing.message()
                ))
            })?;
            Ok(Ended::GivenBack)
        }
        Err(error) => Err(error),
    }
}

/// What the catalogs keep with the snapshots of a move.
pub(super) fn about(id: &str) -> SnapshotCommitMetadata {
    SnapshotCommitMetadata::new()
        .with_author("pintail")
        .with_message("move")
        .with_extra_info(format!("move {id}"))
}

/// Forgets moves whose rows no two snapshots show any more that are left and could be read together. Blocks.
pub(crate) fn forget_ended_moves(lake: &Arc<Lake>) -> Result<()> {
    for to in &lake.volumes {
        let mut ended = Vec::new();
        for moved in &to.catalog.moves()?.taken_over {
            if is_forgettable(lake, to, moved)? {
                ended.push(moved.id.clone());
            }
        }
        to.catalog.forget_moves(&ended)?;
        // The note that a move has ended goes last: without it the move would be ended again.
        for from in lake.volumes.iter().filter(|from| !Arc::ptr_eq(from, to)) {
            from.catalog.forget_moves(&ended)?;
        }
    }
    Ok(())
}

fn is_forgettable(lake: &Lake, to: &Volume, moved: &Move) -> Result<bool> {
    if let Some(undone) = moved.undone {
        return Ok(to.catalog.snapshot_range()?.0.id >= undone);
    }
    let Some(from) = lake.volumes.iter().find(|volume| volume.name == moved.taken.from) else {
        return Ok(false);
    };
    let moves = from.catalog.moves()?;
    let Some(ended) = moves.handed_over.get(&moved.id) else { return Ok(false) };
    Ok(from.catalog.snapshot_range()?.0.id >= *ended)
}
