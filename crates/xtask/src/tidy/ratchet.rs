//! The list of tolerated offences: it may only get shorter.

use super::Offence;

/// Removes what the list tolerates and adds an offence for each line of it that tolerates nothing.
///
/// A line is `rule path`; `#` begins a comment.
pub(super) fn apply(list: &str, list_path: &str, offences: Vec<Offence>) -> Vec<Offence> {
    let entries: Vec<(usize, String)> = list
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split('#').next().unwrap_or_default().trim().to_owned()))
        .filter(|(_, entry)| !entry.is_empty())
        .collect();
    let key = |offence: &Offence| format!("{} {}", offence.rule, offence.path);
    let stale = entries.iter().filter(|(_, entry)| !offences.iter().any(|offence| key(offence) == *entry));
    let stale: Vec<Offence> = stale
        .map(|(line, entry)| {
            let text = format!("`{entry}` no longer offends; delete this line so that it cannot come back");
            Offence::new(list_path, *line, "ratchet", text)
        })
        .collect();
    let tolerated = |offence: &Offence| entries.iter().any(|(_, entry)| *entry == key(offence));
    offences.into_iter().filter(|offence| !tolerated(offence)).chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_offence_is_tolerated_and_a_stale_line_is_not() {
        let offences =
            vec![Offence::new("a.rs", 3, "file-size", "long"), Offence::new("b.rs", 1, "file-size", "long")];
        let left = apply("# list\nfile-size a.rs  # being split\nheader c.rs\n", "list.txt", offences);
        let left: Vec<(&str, usize)> = left.iter().map(|o| (o.path.as_str(), o.line)).collect();
        assert_eq!(left, [("b.rs", 1), ("list.txt", 3)]);
    }
}
