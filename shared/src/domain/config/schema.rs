//! The published JSON Schema of `fleetest.toml`, for editors. The parser is the authority; a test keeps both in step.

/// The schema, as JSON text.
#[must_use]
pub fn schema_json() -> &'static str {
    include_str!("schema.json")
}
