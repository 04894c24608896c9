//! Where each case of a run is: sorted tables of keys, any of which is looked up with two short reads.
//!
//! A table holds up to [`TABLE_ENTRIES`] keys, so that a run of any length is written with little memory. It begins
//! with 256 big-endian numbers: how many keys begin with a byte up to this one. Then come the entries in the order of
//! their keys, 16 bytes of key and 4 bytes of page each. A table that is full may have a successor.

use super::id::CaseKey;

/// Keys in one table at most.
pub const TABLE_ENTRIES: usize = 65_536;
/// Length of the counts before the entries.
pub const HEAD_BYTES: u64 = 1024;
const ENTRY_BYTES: usize = 20;

/// A table under construction.
#[derive(Debug, Default)]
pub struct KeyTable {
    entries: Vec<(u128, u32)>,
}

impl KeyTable {
    /// Takes note of a case and its page.
    pub fn push(&mut self, key: CaseKey, page: u32) {
        self.entries.push((key.0, page));
    }

    /// Whether it takes no more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= TABLE_ENTRIES
    }

    /// The table as bytes; what comes next is another one.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.entries.sort_unstable();
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES + 1024);
        for first in 0..=u8::MAX {
            let upto = self.entries.partition_point(|(key, _)| first_byte(*key) <= first);
            bytes.extend(u32::try_from(upto).unwrap_or(u32::MAX).to_be_bytes());
        }
        for (key, page) in self.entries.drain(..) {
            bytes.extend(key.to_be_bytes());
            bytes.extend(page.to_be_bytes());
        }
        bytes
    }
}

fn first_byte(key: u128) -> u8 {
    key.to_be_bytes()[0]
}

/// The counts at the beginning of a table.
#[derive(Debug)]
pub struct TableHead<'a>(&'a [u8]);

impl<'a> TableHead<'a> {
    /// Reads the first [`HEAD_BYTES`] of a table; `None` if it is none.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        bytes.get(..usize::try_from(HEAD_BYTES).ok()?).map(Self)
    }

    fn upto(&self, first: u8) -> u64 {
        let at = usize::from(first) * 4;
        let bytes: Option<[u8; 4]> = self.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes)))
    }

    /// Whether another table may follow.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.upto(u8::MAX) >= TABLE_ENTRIES as u64
    }

    /// The bytes of the table among which the key's entry is, if it is there at all; empty if it cannot be.
    #[must_use]
    pub fn range(&self, key: CaseKey) -> (u64, u64) {
        let first = first_byte(key.0);
        let from = first.checked_sub(1).map_or(0, |before| self.upto(before));
        let place = |entries: u64| HEAD_BYTES + entries * ENTRY_BYTES as u64;
        (place(from), place(self.upto(first)))
    }
}

/// The page of a key among the entries of its range.
#[must_use]
pub fn page_of(entries: &[u8], key: CaseKey) -> Option<u32> {
    let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
    let wanted = key.0.to_be_bytes();
    let at = entries.partition_point(|entry| entry[..16] < wanted[..]);
    let entry = entries.get(at).filter(|entry| entry[..16] == wanted)?;
    Some(u32::from_be_bytes([entry[16], entry[17], entry[18], entry[19]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn look_up(table: &[u8], key: u128) -> Option<u32> {
        let (from, to) = TableHead::read(table)?.range(CaseKey(key));
        page_of(&table[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()], CaseKey(key))
    }

    proptest! {
        #[test]
        fn every_key_is_found_and_no_other(known in proptest::collection::btree_map(any::<u128>(), any::<u32>(), 0..600), other in any::<u128>()) {
            let known: BTreeMap<u128, u32> = known;
            let mut table = KeyTable::default();
            for (key, page) in &known {
                table.push(CaseKey(*key), *page);
            }
            let bytes = table.take();
            prop_assert!(!TableHead::read(&bytes).unwrap().is_full());
            for (key, page) in &known {
                prop_assert_eq!(look_up(&bytes, *key), Some(*page));
            }
            prop_assert_eq!(look_up(&bytes, other), known.get(&other).copied());
        }
    }

    #[test]
    fn a_full_table_says_so() {
        let mut table = KeyTable::default();
        for key in 0..TABLE_ENTRIES {
            assert!(!table.is_full());
            table.push(CaseKey((key as u128) << 100), 1);
        }
        assert!(table.is_full());
        let bytes = table.take();
        assert!(TableHead::read(&bytes).unwrap().is_full());
        assert_eq!(look_up(&bytes, 9 << 100), Some(1));
    }
}
