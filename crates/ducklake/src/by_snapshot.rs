//! What is kept of snapshots: of the newest one, which nearly every query reads, and of one before it.

/// What was read of the newest snapshot that was asked for, and of one that a query in the past reads. A snapshot never
/// changes but for files that give way to others with the same rows, so it is read once between two such rewrites; a query
/// in the past does not push out what all others need.
#[derive(Debug, Default)]
pub struct BySnapshot<T> {
    /// [`crate::Catalog::rewrites`] when it was read.
    rewrites: u64,
    newest: (i64, T),
    past: (i64, T),
}

impl<T: Default> BySnapshot<T> {
    /// What was read of `snapshot` after so many rewrites; nothing yet if it is not kept any more.
    pub fn at(&mut self, snapshot: i64, rewrites: u64) -> &mut T {
        if snapshot > self.newest.0 || rewrites != self.rewrites {
            *self = Self { rewrites, newest: (snapshot, T::default()), past: Default::default() };
        }
        let kept = if snapshot == self.newest.0 { &mut self.newest } else { &mut self.past };
        if kept.0 != snapshot {
            *kept = (snapshot, T::default());
        }
        &mut kept.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_does_not_push_out_the_newest() {
        let mut kept = BySnapshot::<Vec<i64>>::default();
        for snapshot in [7, 3, 7, 5] {
            kept.at(snapshot, 0).push(snapshot);
        }
        assert_eq!(*kept.at(7, 0), [7, 7]);
        assert_eq!(*kept.at(5, 0), [5]);
        assert!(kept.at(3, 0).is_empty(), "one snapshot of the past is kept, not every one");
        kept.at(8, 0).push(8);
        assert!(
            kept.at(7, 0).is_empty() && kept.at(3, 0).is_empty(),
            "a newer snapshot lets go of all others"
        );
        assert_eq!(*kept.at(8, 0), [8]);
    }

    #[test]
    fn nothing_outlasts_a_rewrite() {
        let mut kept = BySnapshot::<Vec<i64>>::default();
        kept.at(7, 0).push(7);
        kept.at(3, 0).push(3);
        assert!(kept.at(7, 1).is_empty() && kept.at(3, 1).is_empty());
        kept.at(7, 1).push(7);
        assert_eq!(*kept.at(7, 1), [7]);
    }
}
