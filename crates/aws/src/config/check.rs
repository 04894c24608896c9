//! What the value of a variable must look like.
//!
//! AWS would refuse most of these too, but later, one at a time, and in the middle of a run.

use crate::limits::{SECURITY_GROUPS_LIMIT, SUBNETS_LIMIT};

type Checked = Result<(), String>;

fn unless(wrong: bool, text: &str, wanted: &str) -> Checked {
    if wrong { Err(format!("is `{text}`; {wanted}")) } else { Ok(()) }
}

/// Anything that is there.
#[expect(clippy::unnecessary_wraps, reason = "one check among others")]
pub(super) fn any(_text: &str) -> Checked {
    Ok(())
}

/// `eu-central-1`, `us-gov-west-1`.
pub(super) fn region(text: &str) -> Checked {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let right = match parts.as_slice() {
        [words @ .., last] if words.len() >= 2 => words.iter().all(word) && number(last),
        _ => false,
    };
    unless(!right, text, "a region is wanted, as in `eu-central-1`")
}

/// An address with a scheme and a host.
pub(super) fn address(text: &str) -> Checked {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let right = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' '));
    unless(!right, text, "an address is wanted that begins with `https://`")
}

/// The name of a host, without a port.
pub(super) fn host(text: &str) -> Checked {
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let right = letters && !text.starts_with(['.', '-']) && text.len() <= 253;
    unless(!right, text, "the name of a host is wanted, as in `github.com`")
}

/// 3 to 255 letters, digits, `_`, `.` and `-`.
pub(super) fn table(text: &str) -> Checked {
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    unless(
        !letters || !(3..=255).contains(&text.len()),
        text,
        "the name of a table has 3 to 255 letters, digits, `_`, `.` and `-`",
    )
}

/// 3 to 63 small letters, digits, `.` and `-`.
pub(super) fn bucket(text: &str) -> Checked {
    let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let letters = text.bytes().all(|b| small(b) || matches!(b, b'.' | b'-'));
    let edges = text.bytes().next().is_some_and(small) && text.bytes().next_back().is_some_and(small);
    unless(
        !letters || !edges || !(3..=63).contains(&text.len()),
        text,
        "the name of a bucket has 3 to 63 small letters, digits, `.` and `-`",
    )
}

/// The name of a container.
pub(super) fn container(text: &str) -> Checked {
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    unless(!letters || text.len() > 255, text, "a container's name has letters, digits, `_` and `-`")
}

/// A mail address, with or without a name before it.
pub(super) fn sender(text: &str) -> Checked {
    let address = text.split_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    let right = address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    unless(!right || address.contains(' '), text, "a sender is wanted, as in `Fleetest <ci@example.org>`")
}

fn ids(list: &[String], beginning: &str, what: &str, limit: usize) -> Checked {
    if let Some(wrong) = list.iter().find(|id| !id.starts_with(beginning)) {
        return Err(format!("holds `{wrong}`; the id of a {what} begins with `{beginning}`"));
    }
    if list.len() > limit {
        return Err(format!("holds {} ids; at most {limit} are allowed", list.len()));
    }
    Ok(())
}

/// At least one subnet.
pub(super) fn subnets(list: &[String]) -> Checked {
    if list.is_empty() {
        return Err("is missing; name at least one subnet, separated by commas".to_owned());
    }
    ids(list, "subnet-", "subnet", SUBNETS_LIMIT)
}

/// Any number of security groups that a task may have.
pub(super) fn security_groups(list: &[String]) -> Checked {
    ids(list, "sg-", "security group", SECURITY_GROUPS_LIMIT)
}

/// Checks that know the region.
pub(super) struct Check {
    region: String,
    emulated: bool,
}

impl Check {
    /// Checks for one region; an emulator has addresses of its own.
    pub(super) fn in_region(region: &str, emulated: bool) -> Self {
        Self { region: region.to_owned(), emulated }
    }

    fn other_region(&self, found: &str) -> bool {
        !self.region.is_empty() && found != self.region
    }

    /// The URL of a queue in this region.
    pub(super) fn queue_url(&self, text: &str) -> Checked {
        address(text)?;
        let host = text.split('/').nth(2).unwrap_or_default();
        let segments = text.split('/').skip(3).filter(|part| !part.is_empty()).count();
        unless(segments < 2, text, "a queue's URL ends with account and name")?;
        let in_host = host.strip_prefix("sqs.").and_then(|rest| rest.split('.').next());
        match in_host {
            Some(found) if !self.emulated && self.other_region(found) => {
                Err(format!("is in `{found}`, but `AWS_REGION` is `{}`", self.region))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The base of an API: encrypted and at the usual port, as calls out of here must be, unless emulated; and nothing but
    /// host and path.
    pub(super) fn api(&self, text: &str) -> Checked {
        let plain = text.strip_prefix("http://").filter(|_| self.emulated);
        let odd = |c: char| matches!(c, '@' | '?' | '#' | '\\') || c.is_whitespace();
        let right = text.strip_prefix("https://").or(plain).is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty() && (self.emulated || !host.contains(':')) && !rest.contains(odd)
        });
        let wanted = "an address is wanted that begins with `https://`, without user, port and query";
        unless(!right, text, wanted)
    }

    /// The same, and it is not this one.
    pub(super) fn api_besides(&self, other: &str, text: &str) -> Checked {
        self.api(text)?;
        let is_same = text.trim_end_matches('/').eq_ignore_ascii_case(other);
        unless(is_same, text, "that is the API of `github.com`, and another host is configured")
    }

    /// A name, or an ARN in this region.
    pub(super) fn named(&self, what: &str, text: &str) -> Checked {
        if !text.starts_with("arn:") {
            let letters = text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'.' | b'/'));
            return unless(!letters || text.len() > 255, text, &format!("the name of a {what} is wanted"));
        }
        match text.split(':').nth(3) {
            Some(found) if self.other_region(found) => {
                Err(format!("is in `{found}`, but `AWS_REGION` is `{}`", self.region))
            }
            Some(_) => Ok(()),
            None => Err(format!("is `{text}`; the ARN or name of a {what} is wanted")),
        }
    }
}
