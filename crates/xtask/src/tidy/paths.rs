//! No text of the repository may name a directory that exists only on its author's machine.

use super::Offence;

/// Offences of one text file.
pub(super) fn offences(path: &str, text: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(place) = private_place(line) {
            let text = format!(
                "`{place}…` exists on one machine only; use a relative path, or a scratch directory of the test"
            );
            found.push(Offence::new(path, number + 1, "private-path", text));
        }
    }
    found
}

/// The first private place that a line names. Spelled in halves, or this file would name them itself.
fn private_place(line: &str) -> Option<String> {
    [("/ho", "me/"), ("/ro", "ot/"), ("/Use", "rs/"), ("/wo", "rk/"), ("/t", "mp/")]
        .iter()
        .map(|(head, tail)| [*head, *tail].concat())
        .find(|place| line.match_indices(place.as_str()).any(|(at, _)| begins_path(line, at)))
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
}
