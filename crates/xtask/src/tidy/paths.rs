//! No text of the repository may name a directory that exists only on its author's machine.
//!
//! Tests may write about scratch directories, as hostile input does; private homes are never named.

use super::{Offence, sizes};

/// Offences of one text file.
pub(super) fn offences(path: &str, text: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    let production = sizes::production_lines_of(path, text);
    for (number, line) in text.lines().enumerate() {
        let home = HOMES.iter().find_map(|halves| named(line, halves));
        let scratch = || if number < production { named(line, &SCRATCH) } else { None };
        if let Some(place) = home.or_else(scratch) {
            let text = format!(
                "`{place}…` exists on one machine only; use a relative path, or a scratch directory of the test"
            );
            found.push(Offence::new(path, number + 1, "private-path", text));
        }
    }
    found
}

/// Private places, spelled in halves, or this file would name them itself.
const HOMES: [[&str; 2]; 4] = [["/ho", "me/"], ["/ro", "ot/"], ["/Use", "rs/"], ["/wo", "rk/"]];
const SCRATCH: [&str; 2] = ["/t", "mp/"];

/// The place, if the line names it.
fn named(line: &str, halves: &[&str; 2]) -> Option<String> {
    let place = halves.concat();
    line.match_indices(place.as_str()).any(|(at, _)| begins_path(line, at)).then_some(place)
}

/// Whether the `/` at `at` begins an absolute path rather than going on with another one.
fn begins_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|text| text.chars().next_back());
    !before.is_some_and(|c| c.is_alphanumeric() || "._-~/{}$*".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_private_places_are_found_and_relative_ones_are_not() {
        for bad in
            [["cd /ho", "me/me/src"], ["\"/t", "mp/out.xml\""], ["(/wo", "rk/a)"], ["/ro", "ot/.cargo"]]
        {
            assert_eq!(offences("a.md", &bad.concat()).len(), 1, "{bad:?}");
        }
        for good in [["target/ho", "me/x"], ["https://a.b/t", "mp/x"], ["$OUT/wo", "rk/x"], ["~/ho", "me/"]] {
            assert!(offences("a.md", &good.concat()).is_empty(), "{good:?}");
        }
    }

    #[test]
    fn tests_may_name_scratch_directories_but_nobodys_home() {
        let with =
            |halves: &[&str; 2]| format!("x\n#[cfg(test)]\nmod tests {{\n\"touch {}\"\n", halves.concat());
        assert!(offences("a.rs", &with(&SCRATCH)).is_empty());
        assert_eq!(offences("a.rs", &with(&HOMES[0])).len(), 1);
    }
}
