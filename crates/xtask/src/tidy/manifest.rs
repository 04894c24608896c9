//! Manifests: every foreign dependency stands once in the root manifest, with the reason why it was taken.

use super::Offence;

/// Dependencies of the root manifest without a comment on their line or on the line above.
pub(super) fn reasons(path: &str, text: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut above = "";
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside && let Some(name) = entry(line) {
            let ours = line.contains("path = ");
            if !ours && reason(line).is_none() && !above.trim_start().starts_with('#') {
                let text =
                    format!("`{name}` has no reason; add `# why this crate` to its line, or do without it");
                found.push(Offence::new(path, number + 1, "dependency-reason", text));
            }
        }
        above = line;
    }
    found
}

/// Dependencies of a member manifest that are not taken from the root manifest.
pub(super) fn inherited(path: &str, text: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim().trim_end_matches(']').ends_with("dependencies");
        } else if inside
            && let Some(name) = entry(line)
            && !line.contains("workspace = true")
        {
            let text = format!(
                "`{name}` is declared here; declare it in the root manifest with its reason and inherit it"
            );
            found.push(Offence::new(path, number + 1, "dependency-place", text));
        }
    }
    found
}

/// The key of a `key = value` line.
fn entry(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let key = key.trim();
    let name = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "-_.\"".contains(c));
    (name && !line.starts_with([' ', '\t'])).then_some(key)
}

/// The comment at the end of a line; a `#` inside a string does not begin one.
fn reason(line: &str) -> Option<&str> {
    let mut quoted = false;
    let at = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '#' && !quoted
    });
    let (_, text) = line.split_at_checked(at?.0)?;
    let text = text.trim_start_matches('#').trim();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_needs_its_reason() {
        let text = "[workspace.dependencies]\nours = { path = \"x\" }\na = \"1\"  # because\nb = \"1\"\n# for c\nc = \"1\"\nd = \"#1\"\n[x]\ne = 1\n";
        let lines: Vec<usize> = reasons("Cargo.toml", text).iter().map(|o| o.line).collect();
        assert_eq!(lines, [4, 7]);
    }

    #[test]
    fn members_inherit() {
        let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { workspace = true, features = [\n  \"z\"]}\nc = \"1\"\n[dev-dependencies]\nd = { path = \"..\" }\n";
        let lines: Vec<usize> = inherited("crates/x/Cargo.toml", text).iter().map(|o| o.line).collect();
        assert_eq!(lines, [7, 9]);
    }
}
