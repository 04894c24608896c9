//! The server's address: whether calls can go there, and whether it is this machine.

use crate::exit::Problem;
use std::net::IpAddr;
use ureq::http::Uri;

/// The address without a slash at its end, if calls can go there.
pub(super) fn checked_base(text: &str) -> Result<String, Problem> {
    let text = text.trim().trim_end_matches('/');
    let refused = |why: &str| {
        Err(Problem::usage(format!("the server's address {why}")).hint(
            "set FLEETEST_URL to an address as in `https://fleetest.example.org` or `http://127.0.0.1:8000`",
        ))
    };
    let Some((scheme, rest)) = text.split_once("://") else { return refused("has no scheme") };
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return refused("is neither http nor https");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return refused("contains a name or a password; the key belongs in FLEETEST_TOKEN");
    }
    if authority.is_empty() || text.contains(['?', '#']) || text.parse::<Uri>().is_err() {
        return refused("cannot be understood");
    }
    Ok(text.to_owned())
}

/// Whether the address leads to this machine, as far as it says.
pub(super) fn is_near(base: &str) -> bool {
    let base = base.parse::<Uri>().ok();
    let host = base.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_near() {
        for near in ["http://127.0.0.1:8000", "http://127.1.2.3", "https://localhost/x", "http://[::1]:8000"]
        {
            assert!(is_near(near), "{near}");
        }
        for far in [
            "http://127.example.org",
            "https://localhost.example.org",
            "http://10.0.0.1:8000",
            "http://[::2]",
        ] {
            assert!(!is_near(far), "{far}");
        }
    }
}
