//! Which addresses stand for repositories that can be looked up. Asks nobody, and needs no client.

use super::denied;
use shared::domain::address::{Remote, Transport};
use shared::ports::PortResult;
use std::collections::BTreeMap;

/// Whether a [`super::GithubForge`] for `hosts` looks repositories at this address up; says why not.
///
/// # Errors
/// `Denied`, with what can be done.
pub fn check_address(hosts: &BTreeMap<String, String>, url: &str) -> PortResult<()> {
    root(hosts, url).map(drop)
}

/// Where everything about the repository begins in the API of its host.
pub(super) fn root(hosts: &BTreeMap<String, String>, url: &str) -> PortResult<String> {
    let remote = Remote::parse(url).map_err(|error| denied(url, error.to_string()))?;
    let api = hosts.get(remote.host()).filter(|_| is_usual_port(&remote));
    let Some((api, (owner, name))) = api.zip(owner_and_name(remote.path())) else {
        let names: Vec<&str> = hosts.keys().map(String::as_str).collect();
        let reason = format!(
            "this installation looks up repositories at {} only, each by its owner and its name; \
             `fleetest run --remote --upload` sends a source instead",
            names.join(", ")
        );
        return Err(denied(url, reason));
    };
    Ok(format!("{}/repos/{owner}/{name}", api.trim_end_matches('/')))
}

/// At another port, there may be another server.
fn is_usual_port(remote: &Remote) -> bool {
    let usual = match remote.transport() {
        Transport::Https => 443,
        Transport::Ssh => 22,
    };
    remote.port().is_none_or(|port| port == usual)
}

/// Both as they may stand in a path.
fn owner_and_name(path: &str) -> Option<(&str, &str)> {
    let (owner, name) = path.trim_matches('/').split_once('/')?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sound = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(letter);
    (sound(owner) && sound(name)).then_some((owner, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ports::PortError;

    fn hosts() -> BTreeMap<String, String> {
        BTreeMap::from([("github.com".to_owned(), "https://api.github.com/".to_owned())])
    }

    #[test]
    fn every_spelling_of_a_repository_leads_to_the_same_place() {
        for url in [
            "https://github.com/acme/click.git",
            "https://GitHub.com/acme/click",
            "https://github.com:443/acme/click/",
            "ssh://git@github.com/acme/click.git",
            "ssh://git@github.com:22/acme/click",
            "git@github.com:acme/click.git",
            "git@github.com:/acme/click",
        ] {
            assert_eq!(root(&hosts(), url).unwrap(), "https://api.github.com/repos/acme/click", "{url}");
        }
    }

    #[test]
    fn what_is_no_repository_of_the_host_is_refused_with_what_to_do() {
        for url in [
            "https://gitlab.com/acme/click",
            "https://github.com.example.org/acme/click",
            "https://github.com:8443/acme/click",
            "https://github.com/acme",
            "https://github.com/acme/click/tree",
            "https://github.com/acme/..",
            "https://github.com/../click",
            "https://github.com/acme/.git",
            "https://github.com/acme/a%2Fb",
            "https://github.com/acme/click?x=1",
            "https://github.com/acme/click#x",
        ] {
            let refused = check_address(&hosts(), url);
            let told = |reason: &str| reason.contains("at github.com only") && reason.contains("--upload");
            let Err(PortError::Denied { subject, reason, .. }) = &refused else {
                panic!("{url}: {refused:?}")
            };
            assert!(subject == url && told(reason), "{url}: {reason}");
        }
    }
}
