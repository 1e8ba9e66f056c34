//! What a lake must hold.

use std::collections::{BTreeSet, HashMap};

/// The calls that were acknowledged, or that were there after a recovery.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeSet<String>);

impl Ledger {
    pub(crate) fn acknowledged(&mut self, calls: Vec<String>) {
        self.0.extend(calls);
    }

    /// Every call that must be there is there once, no call is there twice, and of each TCP stream there is a beginning
    /// without a gap. From now on all of them must be there.
    pub(crate) fn compare<'a>(&mut self, calls: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        let mut streams: HashMap<&str, BTreeSet<u64>> = HashMap::new();
        for call in calls {
            assert!(seen.insert(call), "{call} is there twice");
            if let Some((life, number)) = call.strip_prefix("tcp-").and_then(|rest| rest.split_once('-')) {
                streams.entry(life).or_default().insert(number.parse().unwrap());
            }
        }
        let lost: Vec<_> = self.0.iter().filter(|call| !seen.contains(call.as_str())).take(5).collect();
        assert!(lost.is_empty(), "lost: {lost:?} of {}", self.0.len());
        for (life, numbers) in streams {
            let last = *numbers.last().unwrap();
            assert_eq!(numbers.len() as u64, last + 1, "stream {life} has a gap");
        }
        self.0.extend(seen.into_iter().map(str::to_owned));
    }
}
