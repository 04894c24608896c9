//! Paths of the API, with every part from outside made safe.

use shared::wire::percent::encoded;
use std::fmt;

/// A path with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    path: String,
    query: String,
}

impl Route {
    /// The path of these parts; each is encoded, so none can become two or leave its place.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        let path = parts.iter().map(|part| format!("/{}", encoded(part))).collect();
        Self { path, query: String::new() }
    }

    /// With a parameter, if there is a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<impl fmt::Display>) -> Self {
        if let Some(value) = value {
            let sign = if self.query.is_empty() { '?' } else { '&' };
            self.query = format!("{}{sign}{name}={}", self.query, encoded(&value.to_string()));
        }
        self
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_in_their_place() {
        let route =
            Route::new(&["v1", "runs", "../x?y", "..", "ü"]).with("q", Some("a&b=c")).with("n", None::<u32>);
        assert_eq!(route.to_string(), "/v1/runs/..%2Fx%3Fy/%2E%2E/%C3%BC?q=a%26b%3Dc");
        assert_eq!(Route::new(&["a"]).with("x", Some(1)).with("y", Some(2)).to_string(), "/a?x=1&y=2");
    }
}
