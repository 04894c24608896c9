//! Which repository addresses and references are taken; pure.
//!
//! An allow-list: what does not look exactly like something harmless is refused, whatever git would make of it.
//! The reason is always that git has helpers (`ext::`), options and local transports that run programs.

use std::fmt;

/// Why an address or a reference is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an address that may be fetched.
    #[error("the repository `{shown}` is refused: {reason}")]
    Repository {
        /// The address, printable.
        shown: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// Not a reference.
    #[error("the reference `{shown}` is refused: {reason}")]
    Reference {
        /// The reference, printable.
        shown: String,
        /// Why.
        reason: &'static str,
    },
}

/// How a remote is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://…`
    Https,
    /// `ssh://…` or `user@host:path`.
    Ssh,
}

impl Transport {
    /// Git's name for it.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
        }
    }
}

/// The address of a remote repository that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    text: String,
    transport: Transport,
    host: String,
    port: Option<u16>,
    path: String,
}

impl Remote {
    /// Checks an address.
    ///
    /// # Errors
    /// `Repository` for everything but plain `https` and `ssh` addresses without credentials.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason| AddressError::Repository { shown: printable(text), reason };
        if text.is_empty() || text.len() > 2048 {
            return Err(refuse("it is empty or longer than 2048 characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("it contains blanks, control or non-ASCII characters"));
        }
        if text.starts_with('-') {
            return Err(refuse("it looks like an option"));
        }
        if text.contains("::") {
            return Err(refuse("git's remote helpers run programs; use an https or ssh address"));
        }
        let (transport, authority, path) = split(text).map_err(refuse)?;
        let (host, port) = check_authority(transport, authority).map_err(refuse)?;
        if path.trim_matches('/').is_empty() {
            return Err(refuse("it names no repository, only a host"));
        }
        if path
            .bytes()
            .any(|byte| matches!(byte, b'\\' | b'"' | b'\'' | b'`' | b'$' | b';' | b'|' | b'<' | b'>'))
        {
            return Err(refuse("its path contains characters that a shell could interpret"));
        }
        let (text, host, path) = (text.to_owned(), host.to_ascii_lowercase(), path.to_owned());
        Ok(Self { text, transport, host, port, path })
    }

    /// The address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The name of its host, in small letters.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it names one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What comes after the host, without the slash or colon between them.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a text is meant as a remote address rather than as a path: it has a scheme, a remote helper, or
    /// the form `user@host:path`. What it says may still be refused by [`Self::parse`].
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        let before_colon = text.split_once(':').map(|(before, _)| before);
        before_colon.is_some_and(|before| !before.is_empty() && !before.contains('/'))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Scheme, authority and path; the scheme's letters may be of any case, as they are for git.
fn split(text: &str) -> Result<(Transport, &str, &str), &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        let (authority, path) = text.split_once(':').ok_or("it is a path; use an https or ssh address")?;
        // `host:path` without a user would also take `c:\…`, `file:…` and misspelt schemes.
        if !authority.contains('@') || authority.contains('/') || path.starts_with("//") {
            return Err("only https and ssh addresses are fetched (`https://host/path`, `git@host:path`)");
        }
        return if path.starts_with('-') {
            Err("its path looks like an option")
        } else {
            Ok((Transport::Ssh, authority, path))
        };
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok((Transport::Https, authority, path)),
        "ssh" => Ok((Transport::Ssh, authority, path)),
        "http" | "git" | "ftp" | "ftps" => Err("its transport is not encrypted; use https or ssh"),
        "file" => Err("it is a local path; give the path itself on the command line"),
        _ => Err("only https and ssh addresses are fetched"),
    }
}

/// Host and port of an authority without a password.
fn check_authority(transport: Transport, authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (user, host_and_port) = match (authority.rsplit_once('@'), transport) {
        (None, _) => (None, authority),
        (Some(_), Transport::Https) => return Err("it carries credentials; they would end up in logs"),
        (Some((user, rest)), Transport::Ssh) => (Some(user), rest),
    };
    if user.is_some_and(|user| !is_name(user)) {
        return Err("its user part is not a plain name (a password would end up in logs)");
    }
    let (host, port) = match host_and_port.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host_and_port, None),
    };
    let port = port.map(|port| port.parse::<u16>().ok().filter(|_| !port.starts_with('+')));
    if port == Some(None) {
        return Err("its port is not a number from 0 to 65535");
    }
    if !is_name(host) || host.len() > 253 {
        return Err("its host is not a plain host name");
    }
    Ok((host, port.flatten()))
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

/// A branch, a tag, a full reference or a commit id that is safe to hand to git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    /// Checks a reference.
    ///
    /// # Errors
    /// `Reference` for everything that git would not accept as a name, or would read as an expression.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason| AddressError::Reference { shown: printable(text), reason };
        if text.is_empty() || text.len() > 255 {
            return Err(refuse("it is empty or longer than 255 characters"));
        }
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-' | b'+' | b'#')
        };
        if !text.bytes().all(allowed) {
            return Err(refuse("only letters, digits and `._/-+#` are taken"));
        }
        if !text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return Err(refuse("it must begin with a letter or digit"));
        }
        let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        if text.contains("..") || text.ends_with('.') || text.split('/').any(bad_part) {
            return Err(refuse("git takes no such name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The reference as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a whole commit id.
    #[must_use]
    pub fn is_commit(&self) -> bool {
        matches!(self.0.len(), 40 | 64) && self.is_hexadecimal()
    }

    /// Whether it may be the beginning of a commit id.
    #[must_use]
    pub fn may_be_short_commit(&self) -> bool {
        (4..64).contains(&self.0.len()) && self.is_hexadecimal()
    }

    fn is_hexadecimal(&self) -> bool {
        self.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that can be printed: without control characters, without the password of a URL, and not endless.
fn printable(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect();
    match (clean.find("://"), clean.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme + 3 => {
            format!("{}://…{}", clean.get(..scheme).unwrap_or_default(), clean.get(at..).unwrap_or_default())
        }
        _ => clean,
    }
}

#[cfg(test)]
mod tests;
