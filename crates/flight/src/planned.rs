//! Statements behind handles: planned once, with their schema in the forms that answers need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parking_lot::Mutex;
use pintail_engine::Statement;
use pintail_types::{Error, Result};

use crate::columns::described;
use crate::service::encoded_schema;

/// A planned statement.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) statement: Statement,
    /// The wire schema with the columns' SQL types; no fields if the statement is an update.
    pub(crate) schema: SchemaRef,
    /// The same as an encapsulated IPC message.
    pub(crate) encoded_schema: Bytes,
}

impl Planned {
    /// # Errors
    /// `Internal` if the schema cannot be encoded.
    pub(crate) fn new(statement: Statement) -> Result<Self> {
        let schema = described(&statement.schema());
        let encoded_schema = encoded_schema(&schema)?;
        Ok(Self { statement, schema, encoded_schema })
    }
}

/// A prepared statement: planned, and with the parameters that were bound last.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) planned: Arc<Planned>,
    bound: Mutex<Option<Arc<Bound>>>,
}

impl Prepared {
    pub(crate) const fn new(planned: Arc<Planned>) -> Self {
        Self { planned, bound: Mutex::new(None) }
    }

    /// Takes the place of what was bound before.
    pub(crate) fn bind(&self, bound: Option<Bound>) {
        *self.bound.lock() = bound.map(Arc::new);
    }

    /// The parameters to run with.
    ///
    /// # Errors
    /// `Invalid` if the statement has parameters and none were bound.
    pub(crate) fn parameters(&self) -> Result<Option<Arc<Bound>>> {
        let bound = self.bound.lock().as_ref().map(Arc::clone);
        let wanted = self.planned.statement.parameters().fields().len();
        if bound.is_none() && wanted > 0 {
            return Err(Error::invalid(format!(
                "the statement has {wanted} parameters and none are bound: send them with DoPut"
            )));
        }
        Ok(bound)
    }
}

/// What a ticket stands for.
#[derive(Debug)]
pub(crate) enum Flight {
    /// Rows of a query, made when they are fetched.
    Rows { planned: Arc<Planned>, parameters: Option<Arc<Bound>> },
    /// An update that ran when its ticket was made. It has no rows.
    Done(Arc<Planned>),
}

/// Rows of parameters that the server keeps, and their share of the memory for such.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) rows: RecordBatch,
    _charge: Charge,
}

impl Bound {
    pub(crate) const fn new(rows: RecordBatch, charge: Charge) -> Self {
        Self { rows, _charge: charge }
    }
}

/// Memory for bound parameters, all handles together.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// A part of a [`Budget`]; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// `bytes` of the budget, if they are free.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let take = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Charge { budget: Arc::clone(self), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(10);
        let first = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        let second = budget.take(4).unwrap();
        drop(first);
        assert!(budget.take(usize::MAX).is_none());
        assert!(budget.take(6).is_some());
        drop(second);
        assert!(budget.take(10).is_some());
    }
}
