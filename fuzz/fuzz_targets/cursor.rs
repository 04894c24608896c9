//! Cursors: nothing but what was sealed is unsealed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::service::token::TokenKey;

fuzz_target!(|input: (&str, &str)| {
    let (text, purpose) = input;
    let key = TokenKey::new("k".repeat(64));
    assert_eq!(key.unseal("cursor runs", text), None);
    let sealed = key.seal(purpose, text);
    assert_eq!(key.unseal(purpose, &sealed).as_deref(), Some(text));
    assert_eq!(key.unseal("another purpose", &sealed), (purpose == "another purpose").then(|| text.to_owned()));
});
