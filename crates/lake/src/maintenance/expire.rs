//! Expiring snapshots that nobody reads.

use std::sync::Arc;
use std::time::Duration;

use pintail_ducklake::{Expiry, catalog_now};
use pintail_types::{Micros, Result};

use super::Done;
use crate::lake::Lake;
use crate::tiers;
use crate::volume::Volume;

/// Expires the snapshots that are older than `older_than` or, without it, than they are to be kept. Blocks.
pub(super) fn expire(lake: &Arc<Lake>, volume: &Arc<Volume>, older_than: Option<Duration>) -> Result<Done> {
    let Some(age) = older_than.or(lake.options().maintenance.keep_snapshots) else {
        return Ok(Done { message: "snapshots are kept for ever".to_owned(), ..Done::default() });
    };
    // First the head, then the readers: whoever comes later reads that snapshot or a later one.
    let (newest, _) = volume.head()?;
    let needed = volume.pins.needed(newest);
    let limit = catalog_now().saturating_sub(Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX));
    let expired = volume.catalog.expire_snapshots(&Expiry::OlderThan(limit), &needed)?;
    tiers::forget_ended_moves(lake)?;
    let mut message = format!("{} snapshots expired", expired.snapshots.len());
    if expired.needed > 0 {
        message.push_str(&format!(", {} kept because queries read them", expired.needed));
    }
    Ok(Done { files_in: expired.files, bytes: expired.bytes, message, ..Done::default() })
}
