//! Parts of URLs that came from outside.

/// A text as one part of a path or as the value of a parameter (RFC 3986): nothing in it can end the part.
#[must_use]
pub fn encoded(text: &str) -> String {
    // A part of dots alone would be taken for a step in the tree.
    if !text.is_empty() && text.bytes().all(|byte| byte == b'.') {
        return text.replace('.', "%2E");
    }
    let letter = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}
