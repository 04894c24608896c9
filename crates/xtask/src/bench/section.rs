//! One document, several measurements: each replaces its own section and leaves the others alone.

use anyhow::{Context as _, Result};
use std::path::Path;

/// Writes `text` as section `name` of the file, which is made if it is not there.
pub(super) fn store(path: &Path, name: &str, text: &str) -> Result<()> {
    let old = if path.exists() {
        std::fs::read_to_string(path).with_context(|| format!("could not read `{}`", path.display()))?
    } else {
        String::new()
    };
    std::fs::write(path, replaced(&old, name, text))
        .with_context(|| format!("could not write `{}`", path.display()))
}

fn replaced(old: &str, name: &str, text: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let section = format!("{open}\n{}\n{close}", text.trim_end());
    let around = old.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?.1)));
    match around {
        Some((before, after)) => format!("{before}{section}{after}"),
        None if old.trim().is_empty() => format!("{section}\n"),
        None => format!("{}\n\n{section}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_added_once_and_then_replaced_in_its_place() {
        let one = replaced("", "run", "first");
        let two = replaced(&one, "split", "other");
        let three = replaced(&two, "run", "second");
        assert_eq!(three, "<!-- run -->\nsecond\n<!-- /run -->\n\n<!-- split -->\nother\n<!-- /split -->\n");
    }
}
