use pintail_types::ManualClock;

use super::*;

fn registry(max_queries: usize) -> Arc<QueryRegistry> {
    Arc::new(QueryRegistry::new(max_queries, None, Arc::new(ManualClock::at(7))))
}

fn reader(name: &str) -> Principal {
    Principal::new(name, ["readers"])
}

#[test]
fn outcomes_become_states() {
    let registry = registry(4);
    for (outcome, state, text) in [
        (Ok(()), QueryState::Finished, None),
        (Err(Error::invalid("bad")), QueryState::Failed, Some("bad")),
        (Err(Error::cancelled("stopped")), QueryState::Cancelled, Some("stopped")),
    ] {
        let query = registry.begin(QueryId::new(), "test", &Principal::local(), "SELECT 1");
        let id = query.id();
        query.close(outcome.as_ref().map(|&()| ()));
        // Only the first outcome counts, also over what dropping says.
        query.close(Err(&Error::internal("late")));
        drop(query);
        let listed = registry.list(&Principal::local()).into_iter().find(|query| query.id == id).unwrap();
        assert_eq!((listed.state, listed.error.as_deref(), listed.finished_at), (state, text, Some(7)));
    }
    assert_eq!(registry.live(), 0);
}

#[test]
fn a_query_that_is_dropped_was_cancelled() {
    let registry = registry(4);
    drop(registry.begin(QueryId::new(), "test", &Principal::local(), "SELECT 1"));
    assert_eq!(registry.list(&Principal::local())[0].state, QueryState::Cancelled);
}

#[test]
fn one_sees_and_cancels_ones_own_and_admins_all() {
    let registry = registry(4);
    let query = registry.begin(QueryId::new(), "test", &reader("a"), "SELECT 1");
    assert_eq!(registry.list(&reader("a")).len(), 1);
    assert_eq!(registry.list(&reader("b")).len(), 0);
    assert_eq!(registry.list(&Principal::local()).len(), 1);
    assert_eq!(registry.cancel(query.id(), &reader("b")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!query.cancellation().is_cancelled());
    registry.cancel(query.id(), &reader("a")).unwrap();
    assert!(query.cancellation().is_cancelled());
    query.close(Ok(()));
    assert_eq!(registry.cancel(query.id(), &Principal::local()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn history_and_listed_text_are_bounded() {
    let registry = registry(4);
    let long = "é".repeat(MAX_LISTED_SQL_BYTES);
    for _ in 0..MAX_HISTORY + 5 {
        registry.begin(QueryId::new(), "test", &Principal::local(), &long).close(Ok(()));
    }
    let listed = registry.list(&Principal::local());
    assert_eq!(listed.len(), MAX_HISTORY);
    assert_eq!(listed[0].sql.len(), MAX_LISTED_SQL_BYTES);
}

#[test]
fn the_queue_is_bounded() {
    let queued = AtomicUsize::new(0);
    let places: Vec<_> = (0..MAX_QUEUED).map(|_| Place::take(&queued).unwrap()).collect();
    assert_eq!(Place::take(&queued).err().unwrap().kind(), ErrorKind::Exhausted);
    drop(places);
    assert!(Place::take(&queued).is_ok());
}
