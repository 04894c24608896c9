//! How the git command is called, and what its messages mean; pure.
//!
//! Git runs without the user's and the system's configuration, without hooks, helpers, templates, submodules or
//! prompts, and with one transport allowed. Whoever starts git clears its environment first, and puts `--` before
//! everything that came from outside.

/// Settings of every call; the last of two contradicting ones wins, so the transport follows.
const SETTINGS: [&str; 13] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
];

/// The arguments that stand before git's own command; `protocol` (`https`, `ssh` or `file`) is the only one allowed.
#[must_use]
pub fn settings(protocol: &str) -> Vec<String> {
    let allowed = format!("protocol.{protocol}.allow=always");
    let all = SETTINGS.iter().map(|&setting| setting.to_owned()).chain([allowed]);
    all.flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// The variables that git gets besides those that its transport needs.
#[must_use]
pub fn environment(protocol: &str) -> [(&'static str, String); 7] {
    let fixed = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
        ("GIT_ALLOW_PROTOCOL", protocol),
        // Without a terminal nobody can answer; ssh must fail instead of asking.
        ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30"),
        ("LC_ALL", "C"),
    ];
    fixed.map(|(name, value)| (name, value.to_owned()))
}

/// What git's message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnosis {
    /// There is no such branch, tag or commit.
    UnknownReference,
    /// A local repository that belongs to another user.
    ForeignOwner,
    /// The repository is not there, or not for us: asking again will not help.
    NoAccess,
    /// Anything else; it may be the network.
    Other,
}

/// Reads a message of git in the C locale.
#[must_use]
pub fn diagnose(message: &str) -> Diagnosis {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if says(&["detected dubious ownership"]) {
        Diagnosis::ForeignOwner
    } else if says(&[
        "couldn't find remote ref",
        "not our ref",
        "unadvertised object",
        "bad object",
        "invalid refspec",
    ]) {
        Diagnosis::UnknownReference
    } else if says(&[
        "Authentication failed",
        "could not read Username",
        "Permission denied",
        "Repository not found",
        "/' not found",
        "does not appear to be a git repository",
        "Host key verification failed",
        "error: 403",
        "error: 404",
    ]) {
        Diagnosis::NoAccess
    } else {
        Diagnosis::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_git_are_understood() {
        for (message, expected) in [
            ("fatal: couldn't find remote ref nope\n", Diagnosis::UnknownReference),
            ("fatal: remote error: upload-pack: not our ref 0123\n", Diagnosis::UnknownReference),
            (
                "error: Server does not allow request for unadvertised object 01\n",
                Diagnosis::UnknownReference,
            ),
            ("fatal: detected dubious ownership in repository at '/x'\n", Diagnosis::ForeignOwner),
            ("fatal: unable to access 'https://x/': Could not resolve host: x\n", Diagnosis::Other),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                Diagnosis::NoAccess,
            ),
            ("fatal: repository 'https://x/a/' not found", Diagnosis::NoAccess),
            (
                "remote: Repository not found.\nfatal: repository 'https://x/a/' not found",
                Diagnosis::NoAccess,
            ),
            ("git@x: Permission denied (publickey).", Diagnosis::NoAccess),
            (
                "fatal: unable to access 'https://x/a/': The requested URL returned error: 403",
                Diagnosis::NoAccess,
            ),
            (
                "fatal: unable to access 'https://x/a/': The requested URL returned error: 503",
                Diagnosis::Other,
            ),
        ] {
            assert_eq!(diagnose(message), expected, "{message}");
        }
    }

    #[test]
    fn one_transport_is_allowed_after_all_were_forbidden() {
        let settings = settings("https");
        let place = |wanted: &str| settings.iter().position(|setting| setting == wanted).unwrap();
        assert!(place("protocol.allow=never") < place("protocol.https.allow=always"));
        assert!(!settings.iter().any(|setting| setting.contains("protocol.ssh")));
        assert!(environment("ssh").contains(&("GIT_ALLOW_PROTOCOL", "ssh".to_owned())));
    }
}
