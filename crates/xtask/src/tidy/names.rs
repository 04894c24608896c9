//! Names of files, modules and types: no empty words, no `mod.rs`, one spelling of `cancelled`.

use super::{Offence, rules};

/// Offences in a path itself.
pub(super) fn in_path(path: &str) -> Vec<Offence> {
    if rules::is_fixture(path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if path.ends_with("/mod.rs") {
        let text =
            "`mod.rs` makes every tab look alike; name the file after its module (`foo.rs` beside `foo/`)";
        found.push(Offence::new(path, 0, "mod-rs", text));
    }
    for part in path.split('/') {
        let stem = part.split('.').find(|piece| !piece.is_empty()).unwrap_or(part);
        if let Some(word) = empty_word(stem) {
            let text =
                format!("`{part}` contains `{word}`, which says nothing; name the thing that is in there");
            found.push(Offence::new(path, 0, "empty-name", text));
        }
    }
    found
}

/// Offences in the code of a file.
pub(super) fn in_code(path: &str, code: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        if let Some((name, word)) = declared(line).and_then(|name| empty_word(name).map(|word| (name, word)))
        {
            let text = format!("`{name}` contains `{word}`, which says nothing; name what it is or does");
            found.push(Offence::new(path, number + 1, "empty-name", text));
        }
        let ours = rules::FOREIGN_SPELLINGS.iter().fold(line.to_owned(), |line, name| line.replace(name, ""));
        if ours.to_lowercase().contains(&["cancel", "ed"].concat()) {
            let text = "`cancelled` is written with two l here, so that one search finds every use";
            found.push(Offence::new(path, number + 1, "spelling", text));
        }
    }
    found
}

/// The module or type that a line declares, if it declares one. An associated type of an `impl` is named by its trait.
fn declared(line: &str) -> Option<&str> {
    if line.starts_with(' ') && line.trim_start().starts_with("type ") && line.contains('=') {
        return None;
    }
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let mut word = words.next()?;
    while ["pub", "crate", "super", "in", "unsafe", "async"].contains(&word) {
        word = words.next()?;
    }
    ["mod", "struct", "enum", "trait", "type", "union"].contains(&word).then(|| words.next())?
}

fn empty_word(name: &str) -> Option<String> {
    words_of(name).into_iter().find(|word| rules::EMPTY_WORDS.contains(&word.as_str()))
}

/// The lower-case words of a `snake_case`, `kebab-case` or `CamelCase` name.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if !c.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let fresh = c.is_uppercase() && words.last().is_some_and(|word| !word.is_empty());
        if fresh {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_words_are_found_in_every_case_style() {
        for bad in [
            "shared/src/utils.rs",
            "crates/x/src/common/a.rs",
            "a/string_helper.rs",
            "crates/data/src/lib.rs",
        ] {
            assert_eq!(in_path(bad).len(), 1, "{bad}");
        }
        for bad in
            ["pub struct RunManager;", "mod prelude;", "pub(crate) trait Helper {", "type CaseData = u8;"]
        {
            assert_eq!(in_code("a.rs", bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn words_that_only_contain_one_are_fine() {
        for good in [
            "pub struct Metadata;",
            "mod import;",
            "struct Important;",
            "let data = 1;",
            "enum Commons {}",
            "    type Data = Bytes;",
        ] {
            assert!(in_code("a.rs", good).is_empty(), "{good}");
        }
        assert!(in_path("shared/src/domain/update.rs").is_empty());
    }

    #[test]
    fn mod_rs_and_the_other_spelling_are_offences() {
        assert_eq!(in_path("shared/src/domain/mod.rs").first().map(|o| o.rule), Some("mod-rs"));
        let line = ["let is_cancel", "ed = true;"].concat();
        assert_eq!(in_code("a.rs", &line).first().map(|o| o.rule), Some("spelling"));
        assert!(in_code("a.rs", "let is_cancelled = true;").is_empty());
    }
}
