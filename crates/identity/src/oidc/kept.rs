//! Documents of a provider that are kept, renewed, and used on while it is away.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_types::{Clock, Error, Micros, Result};

/// After a try the provider is left alone for so long, whatever came of it.
const PAUSE: Micros = 10 * 1_000_000;

/// A document is used for so long while the provider is away.
const STALE_LIFETIME: Micros = 24 * 3600 * 1_000_000;

/// A document that is fetched when it is needed and old.
pub(super) struct Kept<T> {
    clock: Arc<dyn Clock>,
    lifetime: Micros,
    state: Mutex<State<T>>,
    /// Held by the one who fetches.
    fetching: tokio::sync::Mutex<()>,
}

struct State<T> {
    /// The document, and when it came.
    document: Option<(Arc<T>, Micros)>,
    /// When it was last asked for, and why that failed.
    tried: Option<(Micros, Option<String>)>,
}

impl<T> Kept<T> {
    /// Keeps documents for `lifetime` before they are fetched again.
    pub(super) fn new(clock: Arc<dyn Clock>, lifetime: Micros) -> Self {
        let state = Mutex::new(State { document: None, tried: None });
        Self { clock, lifetime, state, fetching: tokio::sync::Mutex::default() }
    }

    /// The document: the kept one, a new one if that is old, or the old one if no new one can be had.
    ///
    /// # Errors
    /// `Unavailable` if there is none to be had.
    pub(super) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        if let Some(fresh) = self.younger_than(self.lifetime) {
            return Ok(fresh);
        }
        let stale = self.younger_than(STALE_LIFETIME);
        let _fetching = match (&stale, self.fetching.try_lock()) {
            (_, Ok(turn)) => turn,
            // Another one fetches; who has something needs not wait.
            (Some(stale), Err(_)) => return Ok(Arc::clone(stale)),
            (None, Err(_)) => self.fetching.lock().await,
        };
        if let Some(fresh) = self.younger_than(self.lifetime) {
            return Ok(fresh);
        }
        match (self.fetch(fetch).await, stale) {
            (Ok(fresh), _) => Ok(fresh),
            (Err(_), Some(stale)) => Ok(stale),
            (Err(error), None) => Err(error),
        }
    }

    /// A document that is not `known`, if the provider has not been asked a moment ago; else the kept one.
    ///
    /// # Errors
    /// `Unavailable` if it can't be had.
    pub(super) async fn newer_than<F>(&self, known: &Arc<T>, fetch: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let _fetching = self.fetching.lock().await;
        let kept = self.state.lock().document.as_ref().map(|(document, _)| Arc::clone(document));
        match kept {
            Some(kept) if !Arc::ptr_eq(&kept, known) || self.wait().is_some() => Ok(kept),
            _ => self.fetch(fetch).await,
        }
    }

    fn younger_than(&self, age: Micros) -> Option<Arc<T>> {
        let now = self.clock.now();
        let state = self.state.lock();
        let (document, at) = state.document.as_ref()?;
        (now.saturating_sub(*at) < age).then(|| Arc::clone(document))
    }

    /// How long the provider is still left alone, and why the last try failed.
    fn wait(&self) -> Option<(Micros, Option<String>)> {
        let now = self.clock.now();
        let state = self.state.lock();
        let (at, failure) = state.tried.as_ref()?;
        let wait = at.saturating_add(PAUSE).saturating_sub(now);
        (wait > 0).then(|| (wait, failure.clone()))
    }

    async fn fetch<F>(&self, fetch: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        if let Some((wait, Some(failure))) = self.wait() {
            let seconds = wait.unsigned_abs().div_ceil(1_000_000);
            return Err(Error::unavailable(format!("{failure}; it is asked again in {seconds} s")));
        }
        let fetched = fetch().await;
        let now = self.clock.now();
        let mut state = self.state.lock();
        match fetched {
            Ok(document) => {
                let document = Arc::new(document);
                state.document = Some((Arc::clone(&document), now));
                state.tried = Some((now, None));
                Ok(document)
            }
            Err(error) => {
                tracing::warn!(%error, "an identity provider can't be asked; what it said before is used for a day");
                state.tried = Some((now, Some(error.message().to_owned())));
                Err(error)
            }
        }
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}
