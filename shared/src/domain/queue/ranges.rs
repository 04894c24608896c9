//! A set of entry numbers as sorted, disjoint, non-adjacent half-open ranges.
//!
//! Thousands of free entries are one pair of numbers as long as they are taken from the front.

use serde::{Deserialize, Serialize};

/// The set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// `0..end`.
    #[must_use]
    pub fn full(end: u32) -> Self {
        Self(if end == 0 { Vec::new() } else { vec![(0, end)] })
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// The numbers in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(from, to)| *from..*to)
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|(_, to)| *to <= number);
        self.0.get(at).is_some_and(|(from, _)| *from <= number)
    }

    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: u32) -> bool {
        if self.contains(number) {
            return false;
        }
        let at = self.0.partition_point(|(_, to)| *to < number);
        match self.0.get_mut(at) {
            Some((_, to)) if *to == number => {
                *to += 1;
                let grown = *to;
                if let Some((_, end)) = self.0.get(at + 1).copied().filter(|(from, _)| *from == grown) {
                    if let Some(range) = self.0.get_mut(at) {
                        range.1 = end;
                    }
                    self.0.remove(at + 1);
                }
            }
            Some((from, _)) if *from == number + 1 => *from = number,
            _ => self.0.insert(at, (number, number + 1)),
        }
        true
    }

    /// Takes a number out; false if it was not there.
    pub fn remove(&mut self, number: u32) -> bool {
        let at = self.0.partition_point(|(_, to)| *to <= number);
        let Some((from, to)) = self.0.get(at).copied().filter(|(from, _)| *from <= number) else {
            return false;
        };
        let mut left = Vec::with_capacity(2);
        if from < number {
            left.push((from, number));
        }
        if number + 1 < to {
            left.push((number + 1, to));
        }
        self.0.splice(at..=at, left);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(start in 0u32..20, moves in prop::collection::vec((any::<bool>(), 0u32..24), 0..80)) {
            let mut ranges = Ranges::full(start);
            let mut model: BTreeSet<u32> = (0..start).collect();
            for (add, number) in moves {
                let (did, should) = if add {
                    (ranges.insert(number), model.insert(number))
                } else {
                    (ranges.remove(number), model.remove(&number))
                };
                prop_assert_eq!(did, should);
                prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(ranges.contains(number), model.contains(&number));
                prop_assert_eq!(usize::try_from(ranges.count()).unwrap(), model.len());
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", ranges);
            }
        }
    }
}
