//! The one place of this driver that reads the environment.

use std::path::PathBuf;

/// The variable in which the dynamic loader looks for libraries.
pub(super) const LIBRARY_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// The library path that children would inherit.
#[expect(clippy::disallowed_methods, reason = "a config.rs is where the environment is read")]
pub(super) fn inherited_library_path() -> Vec<PathBuf> {
    std::env::var_os(LIBRARY_PATH).map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default()
}
