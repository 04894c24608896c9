//! How a map too large for one document is kept in several.
//!
//! A key lies on page `hash(key) mod pages`; `pages` is a power of two that is stored beside, and the least one with
//! which every page is below the limit. So one key is found with one read, and the same map always gives the same
//! pages.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A page is smaller than this, unless a single item is not.
pub const PAGE_LIMIT_BYTES: usize = 90 * 1024;
/// More pages than this mean items that no paging can help.
const MAX_PAGES: u32 = 1 << 20;

/// The page on which `key` lies; `pages` counts them.
#[must_use]
pub fn page_of(key: &str, pages: u32) -> u32 {
    hash(key) % pages.max(1)
}

fn hash(key: &str) -> u32 {
    let digest = Sha256::digest(key.as_bytes());
    let mut bytes = [0_u8; 4];
    for (to, from) in bytes.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    u32::from_be_bytes(bytes)
}

/// The least power of two such that every page stays below the limit; each item is a key and its size in bytes.
#[must_use]
pub fn pages_for<'a>(items: impl IntoIterator<Item = (&'a str, usize)>) -> u32 {
    let sized: Vec<(u32, usize)> = items.into_iter().map(|(key, bytes)| (hash(key), bytes)).collect();
    let largest = sized.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let limit = PAGE_LIMIT_BYTES.max(largest);
    let total: usize = sized.iter().map(|(_, bytes)| *bytes).sum();
    let mut pages = u32::try_from(total / limit).unwrap_or(MAX_PAGES).max(1).next_power_of_two();
    while pages < MAX_PAGES && fullest(&sized, pages) > limit {
        pages *= 2;
    }
    pages
}

fn fullest(sized: &[(u32, usize)], pages: u32) -> usize {
    let mut sums = BTreeMap::<u32, usize>::new();
    for (hash, bytes) in sized {
        *sums.entry(hash % pages).or_default() += bytes;
    }
    sums.into_values().max().unwrap_or(0)
}

/// Splits a map into its pages, in order; empty pages are present. `size` is an item's size in bytes, key included.
#[must_use]
pub fn paginate<K, V>(map: BTreeMap<K, V>, size: impl Fn(&K, &V) -> usize) -> Vec<BTreeMap<K, V>>
where
    K: Ord + AsRef<str>,
{
    let pages = pages_for(map.iter().map(|(key, value)| (key.as_ref(), size(key, value))));
    let mut split: Vec<BTreeMap<K, V>> = (0..pages).map(|_| BTreeMap::new()).collect();
    for (key, value) in map {
        let page = usize::try_from(page_of(key.as_ref(), pages)).unwrap_or(0);
        if let Some(page) = split.get_mut(page) {
            page.insert(key, value);
        }
    }
    split
}
