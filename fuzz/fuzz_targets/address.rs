//! Addresses of repositories and names of commits: what is taken must be harmless on a command line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::source::{Reference, Remote};

fuzz_target!(|text: &str| {
    if let Ok(remote) = Remote::parse(text) {
        let taken = remote.as_str();
        assert!(!taken.starts_with('-') && !taken.contains("::") && !taken.chars().any(char::is_control));
        assert_eq!(Remote::parse(taken).map(|again| again.as_str().to_owned()), Ok(taken.to_owned()));
    }
    if let Ok(reference) = Reference::parse(text) {
        let taken = reference.as_str();
        assert!(!taken.starts_with('-') && !taken.contains("..") && !taken.chars().any(char::is_control));
    }
});
