//! Where things are: the repository and the places under its `target/` that automation may write to.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The build directory.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The Python environment of our own tests.
pub(crate) fn venv() -> PathBuf {
    target().join("venv")
}

/// The Python environment of the AWS emulator.
pub(crate) fn venv_aws() -> PathBuf {
    target().join("venv-aws")
}

/// The interpreter of a Python environment.
pub(crate) fn python_of(venv: &Path) -> PathBuf {
    venv.join("bin").join("python")
}
