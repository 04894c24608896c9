//! The one place where text becomes HTML.

use super::super::words::printable;
use std::fmt;

/// Text that is safe between tags and inside quoted attributes.
pub(in crate::domain) struct Safe<'a>(pub(in crate::domain) &'a str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        printable(self.0).chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '`' => f.write_str("&#96;"),
            c => f.write_char(c),
        })
    }
}

/// JSON that cannot end the script element it stands in.
pub(super) fn inert_json(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
