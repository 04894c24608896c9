//! Stable ids for cases of foreign reports: `file|class::name`, with what changes from run to run taken out.

use super::ReportCase;

/// The id of a case, without a number for repetitions.
#[must_use]
pub fn of(case: &ReportCase) -> String {
    if let Some(id) = &case.id {
        return steady(id);
    }
    let mut id = String::new();
    if let Some(file) = &case.file {
        id.push_str(file);
        id.push('|');
    }
    if !case.class.is_empty() {
        id.push_str(&case.class);
        id.push_str("::");
    }
    id.push_str(&case.name);
    steady(&id)
}

/// Replaces addresses, UUIDs and temporary paths.
fn steady(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let fresh_word = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        let volatile = if fresh_word { volatile(rest) } else { None };
        let (used, shown) = volatile.unwrap_or((c.len_utf8(), ""));
        if shown.is_empty() {
            out.push(c);
        } else {
            out.push_str(shown);
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    out
}

/// Length of the volatile part at the beginning of `text`, and what stands for it.
fn volatile(text: &str) -> Option<(usize, &'static str)> {
    address(text).or_else(|| uuid(text)).or_else(|| temporary_path(text))
}

fn address(text: &str) -> Option<(usize, &'static str)> {
    let digits = text.strip_prefix("0x")?.bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits >= 6).then_some((digits + 2, "0x_"))
}

fn uuid(text: &str) -> Option<(usize, &'static str)> {
    let bytes = text.as_bytes().get(..36)?;
    let shape = bytes.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    shape.then_some((36, "<uuid>"))
}

fn temporary_path(text: &str) -> Option<(usize, &'static str)> {
    let known = ["tmp/", "private/var/folders/", "var/folders/", "var/tmp/"];
    let below_root = text.strip_prefix('/').unwrap_or_default();
    known.iter().any(|start| below_root.starts_with(start)).then(|| {
        let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ']' | ')' | ',' | ';' | '>');
        (text.find(end).unwrap_or(text.len()), "<tmp>")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_file_class_and_name() {
        let mut case = ReportCase::passed("pkg.TestA", "works");
        assert_eq!(of(&case), "pkg.TestA::works");
        case.file = Some("tests/a.py".to_owned());
        assert_eq!(of(&case), "tests/a.py|pkg.TestA::works");
        case.id = Some("explicit".to_owned());
        assert_eq!(of(&case), "explicit");
        assert_eq!(of(&ReportCase::passed("", "bare")), "bare");
    }

    #[test]
    fn what_changes_is_taken_out() {
        let check = |text: &str, expect: &str| assert_eq!(steady(text), expect);
        check("f[<object at 0x7f3a10b2c4d0>]", "f[<object at 0x_>]");
        check("mask 0xff", "mask 0xff");
        check("id 123e4567-e89b-12d3-a456-426614174000 x", "id <uuid> x");
        check("open[/tmp/pytest-12/a.txt]", "open[<tmp>]");
        check("grün 0x123456", "grün 0x_");
    }
}
