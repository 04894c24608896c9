//! Direction inside `shared`: which room may name which, and the parts of the standard library it may not name; and the
//! one way in which a handler of the public API reaches the services.

use super::{Offence, rules};

/// Handlers of the public API.
const HANDLERS: &str = "crates/http-api/src/api/resources/";
/// The handlers that anyone may call.
const OPEN_HANDLERS: &str = "crates/http-api/src/api/resources/health.rs";

/// Offences of one file, given its code without comments and literals.
pub(super) fn offences(path: &str, code: &str) -> Vec<Offence> {
    if path.starts_with(HANDLERS) && path != OPEN_HANDLERS {
        return past_the_door(path, code);
    }
    let Some(inside) = path.strip_prefix("shared/src/") else { return Vec::new() };
    let mut found = impure(path, code);
    let room = inside.split(['/', '.']).next().unwrap_or(inside);
    if let Some((_, allowed)) = rules::ROOMS.iter().find(|(name, _)| *name == room) {
        found.extend(foreign_rooms(path, code, room, allowed));
    }
    found
}

/// A handler that takes the state itself could do anything for anyone.
fn past_the_door(path: &str, code: &str) -> Vec<Offence> {
    let is_state =
        |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "State");
    let lines = code.lines().enumerate().filter(|(_, line)| is_state(line));
    lines
        .map(|(at, _)| {
            let text = "a handler that takes `State` has checked nobody's rights; take `Authorized<Resource, Intent>`";
            Offence::new(path, at + 1, "handler-rights", text.to_owned())
        })
        .collect()
}

fn foreign_rooms(path: &str, code: &str, room: &str, allowed: &[&str]) -> Vec<Offence> {
    let mut named = children_of(code, "crate");
    // `super::super::ports` reaches another room without saying `crate`.
    named.extend(children_of(code, "super"));
    named
        .into_iter()
        .filter(|(_, name)| rules::ROOMS.iter().any(|(other, _)| other == name))
        .filter(|(_, name)| !allowed.contains(&name.as_str()))
        .map(|(line, name)| {
            let text = format!(
                "`{room}` names `{name}`, but may only know {}; move the code, or pass the value as an argument",
                allowed.join(", ")
            );
            Offence::new(path, line, "room-direction", text)
        })
        .collect()
}

fn impure(path: &str, code: &str) -> Vec<Offence> {
    children_of(code, "std")
        .into_iter()
        .filter(|(_, name)| rules::IMPURE_STD.contains(&name.as_str()))
        .map(|(line, name)| {
            let text = format!(
                "`std::{name}` in the core, which does no I/O and has no environment; put it in an adapter behind a port"
            );
            Offence::new(path, line, "impure-core", text)
        })
        .collect()
}

/// What follows `head::` anywhere in the code, with its line: one name, or each first name of a `{…}` group.
fn children_of(code: &str, head: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(at) = code.get(offset..).and_then(|rest| rest.find(head)).map(|at| at + offset) {
        offset = at + head.len();
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let whole_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let Some(rest) = code.get(offset..) else { break };
        let Some(tail) = rest.trim_start().strip_prefix("::") else { continue };
        if whole_word {
            let line = code.get(..at).map_or(1, |text| text.matches('\n').count() + 1);
            found.extend(first_names(tail.trim_start()).into_iter().map(|name| (line, name)));
        }
    }
    found
}

fn first_names(tail: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = tail.strip_prefix('{') else { return vec![word(tail)] };
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut start = 0usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(word(group.get(start..at).unwrap_or_default()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(word(group.get(start..at).unwrap_or_default()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::scrub;
    use super::*;

    fn rules_broken(path: &str, source: &str) -> Vec<(usize, &'static str)> {
        offences(path, &scrub::code(source)).into_iter().map(|o| (o.line, o.rule)).collect()
    }

    #[test]
    fn the_domain_knows_only_itself() {
        let source = "use crate::domain::id;\nuse crate::{domain::time, ports::{Store, Blobs}};\n";
        assert_eq!(rules_broken("shared/src/domain/run.rs", source), [(2, "room-direction")]);
        assert_eq!(
            rules_broken("shared/src/domain.rs", "fn f(x: crate::wire::T) {}"),
            [(1, "room-direction")]
        );
        assert_eq!(
            rules_broken("shared/src/domain/a/b.rs", "\nuse super::super::super::service::x;"),
            [(2, "room-direction")]
        );
    }

    #[test]
    fn comments_strings_and_lawful_uses_are_no_offence() {
        let source =
            "// use crate::ports;\nconst A: &str = \"crate::ports\";\nuse super::time;\nuse mycrate::ports;";
        assert!(rules_broken("shared/src/domain/run.rs", source).is_empty());
        assert!(
            rules_broken("shared/src/service/plan.rs", "use crate::{domain::id, ports::Store, wire};")
                .is_empty()
        );
        assert!(rules_broken("crates/cli/src/main.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn handlers_go_through_the_door() {
        let source = "use axum::extract::State;\nfn f(State(api): State<Api>, s: Stateful) {}\n";
        let found = rules_broken("crates/http-api/src/api/resources/runs.rs", source);
        assert_eq!(found, [(1, "handler-rights"), (2, "handler-rights")]);
        assert!(rules_broken("crates/http-api/src/api/resources/health.rs", source).is_empty());
        assert!(
            rules_broken("crates/http-api/src/api/resources/runs.rs", "fn f(d: Authorized<A, B>) {}")
                .is_empty()
        );
    }

    #[test]
    fn the_core_does_no_io() {
        assert_eq!(
            rules_broken("shared/src/service/a.rs", "use std::{fmt, fs::File};"),
            [(1, "impure-core")]
        );
        assert_eq!(rules_broken("shared/src/wire.rs", "\nlet x = std :: env::var(a);"), [(2, "impure-core")]);
    }
}
