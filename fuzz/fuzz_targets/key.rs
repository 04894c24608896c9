//! API keys: whatever is read as one is one, to the last digit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::domain::key::KeyText;

fuzz_target!(|text: &str| {
    if let Some(key) = KeyText::parse(text) {
        assert_eq!(key.reveal(), text);
    }
    if let Some(key) = KeyText::from_secret(text) {
        assert_eq!(KeyText::parse(key.reveal()), Some(key.clone()));
    }
});
