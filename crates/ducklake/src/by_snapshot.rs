//! What is kept of snapshots: of the newest one, which nearly every query reads, and of one before it.

/// What was read of the newest snapshot that was asked for, and of one that a query in the past reads. A snapshot never
/// changes, so it is read once; a query in the past does not push out what all others need.
#[derive(Debug, Default)]
pub struct BySnapshot<T> {
    newest: (i64, T),
    past: (i64, T),
}

impl<T: Default> BySnapshot<T> {
    /// What was read of `snapshot`; nothing yet if it is not kept any more.
    pub fn at(&mut self, snapshot: i64) -> &mut T {
        if snapshot > self.newest.0 {
            *self = Self { newest: (snapshot, T::default()), past: Default::default() };
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
            kept.at(snapshot).push(snapshot);
        }
        assert_eq!(*kept.at(7), [7, 7]);
        assert_eq!(*kept.at(5), [5]);
        assert!(kept.at(3).is_empty(), "one snapshot of the past is kept, not every one");
        kept.at(8).push(8);
        assert!(kept.at(7).is_empty() && kept.at(3).is_empty(), "a newer snapshot lets go of all others");
        assert_eq!(*kept.at(8), [8]);
    }
}
