//! Matches relative slash-separated paths against `*`, `**` and `?`, and finds the files that match.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::{Component, Path};
use walkdir::WalkDir;

/// Directories nest at most this deep below a glob's fixed part.
const DEPTH_LIMIT: usize = 32;

/// The files below `root` that match any of the globs, by relative path. Links are not followed.
pub(crate) fn find(root: &Path, globs: &[String]) -> BTreeMap<String, Metadata> {
    let mut files = BTreeMap::new();
    let starts: BTreeSet<String> = globs.iter().map(|pattern| fixed_prefix(pattern)).collect();
    for start in starts {
        if Path::new(&start).components().any(|part| !matches!(part, Component::Normal(_))) {
            continue;
        }
        let walk = WalkDir::new(root.join(&start)).max_depth(DEPTH_LIMIT).into_iter();
        let seen = walk.filter_entry(|entry| entry.file_name() != ".git").filter_map(Result::ok);
        for entry in seen.filter(|entry| entry.file_type().is_file()) {
            let Ok(relative) = entry.path().strip_prefix(root) else { continue };
            let name = relative.to_string_lossy().into_owned();
            if globs.iter().any(|pattern| matches(pattern, &name))
                && let Ok(meta) = entry.metadata()
            {
                files.insert(name, meta);
            }
        }
    }
    files
}

/// Whether the path matches. `*` and `?` stop at slashes; `**` as a whole segment matches any number of segments.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.trim_start_matches("./").split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    segments(&pattern, &path)
}

/// The directory in which everything that matches must lie.
fn fixed_prefix(pattern: &str) -> String {
    let parts: Vec<&str> = pattern.trim_start_matches("./").split('/').collect();
    let fixed = parts.iter().take_while(|part| !part.contains(['*', '?'])).count();
    parts.get(..fixed.min(parts.len().saturating_sub(1))).unwrap_or_default().join("/")
}

fn segments(pattern: &[&str], path: &[&str]) -> bool {
    // Classic two-pointer matching with one remembered `**`: linear but for a factor, never exponential.
    let (mut at, mut on) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(segment) = path.get(on) {
        match pattern.get(at) {
            Some(&"**") => {
                star = Some((at + 1, on));
                at += 1;
            }
            Some(part) if one_segment(part, segment) => {
                at += 1;
                on += 1;
            }
            _ => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (at, on) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|part| *part == "**")
}

fn one_segment(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut on) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(on) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, on));
                at += 1;
            }
            Some(p) if *p == '?' || p == c => {
                at += 1;
                on += 1;
            }
            _ => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (at, on) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern, path, expect| assert_eq!(matches(pattern, path), expect, "{pattern} {path}");
        check("report.xml", "report.xml", true);
        check("report.xml", "a/report.xml", false);
        check("./out/*.xml", "out/a.xml", true);
        check("out/*.xml", "out/a/b.xml", false);
        check("**/TEST-*.xml", "a/b/TEST-x.xml", true);
        check("**/TEST-*.xml", "TEST-x.xml", true);
        check("a/**/b", "a/b", true);
        check("a/**/b/**/c", "a/x/b/y/b/c", true);
        check("a/**", "a/x/y", true);
        check("r?.tap", "r1.tap", true);
        check("r?.tap", "r12.tap", false);
        check("*a*b*c", "xxaxxbxxbc", true);
    }

    #[test]
    fn prefixes() {
        assert_eq!(fixed_prefix("a/b/*.xml"), "a/b");
        assert_eq!(fixed_prefix("a/b.xml"), "a");
        assert_eq!(fixed_prefix("**/x"), "");
        assert_eq!(fixed_prefix("./x.xml"), "");
    }
}
