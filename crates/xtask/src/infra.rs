//! `cargo xtask infra`: the account's foundation (`infrastructure/terraform`), checked without an account.
//!
//! Formatting needs Terraform only. Validity and tests need the AWS provider: from a plugin folder of this machine, or
//! fetched by Terraform. What cannot be run here is said to be skipped, never passed over in silence.

use crate::{launch, place, say};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a plugin folder; it is looked at first, and must be right if it is set.
const PLUGINS_VARIABLE: &str = "FLEETEST_TERRAFORM_PLUGINS";
/// Where machines keep plugin folders.
const PLUGIN_PLACES: [&str; 3] =
    ["/opt/tf-plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"];
/// The provider, below the folder of whatever registry it came from.
const PROVIDER: &str = "hashicorp/aws";

/// `cargo xtask infra`.
pub(crate) fn command() -> Result<()> {
    if !launch::works("terraform", &["version"]) {
        say::out("infra: SKIPPED: `terraform` is not installed; nothing was checked");
        return Ok(());
    }
    let mut format = terraform(None);
    launch::check(format.args(["fmt", "-check", "-diff", "-recursive"]))
        .context("the files are not formatted; run `terraform fmt -recursive infrastructure/terraform`")?;
    say::out("infra: fmt ok");
    let plugins = plugins(named())?;
    let settings = plugins.as_deref().map(settings).transpose()?;
    let mut init = terraform(settings.as_deref());
    let begun = launch::capture(init.args(["init", "-backend=false", "-input=false", "-no-color"]));
    if let Err(error) = begun {
        if plugins.is_some() {
            return Err(error.context("the plugin folder does not serve"));
        }
        say::err(&format!("{error:#}"));
        say::out(
            "infra: SKIPPED: validate, test: the AWS provider is neither in a plugin folder nor to be fetched",
        );
        return Ok(());
    }
    launch::check(terraform(settings.as_deref()).args(["validate", "-no-color"]))?;
    say::out("infra: validate ok");
    launch::check(terraform(settings.as_deref()).args(["test", "-no-color"]))?;
    say::out("infra: test ok (the answers of AWS are invented)");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the environment of a tool of the desk")]
fn named() -> Option<PathBuf> {
    std::env::var_os(PLUGINS_VARIABLE).map(PathBuf::from)
}

/// Terraform in its folder, with all that it writes under `target/` but for the lock file.
fn terraform(settings: Option<&Path>) -> Command {
    let mut command = Command::new("terraform");
    command.current_dir(place::root().join("infrastructure").join("terraform"));
    command
        .env("TF_DATA_DIR", ours().join("state"))
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_IN_AUTOMATION", "1");
    if let Some(settings) = settings {
        command.env("TF_CLI_CONFIG_FILE", settings);
    }
    command
}

fn ours() -> PathBuf {
    place::target().join("terraform")
}

/// The plugin folder that holds the provider, if there is one.
fn plugins(named: Option<PathBuf>) -> Result<Option<PathBuf>> {
    if let Some(named) = named {
        if !holds_provider(&named) {
            bail!("`{PLUGINS_VARIABLE}` is `{}`, where the provider `{PROVIDER}` is not", named.display());
        }
        return Ok(Some(named));
    }
    Ok(PLUGIN_PLACES.iter().map(PathBuf::from).find(|place| holds_provider(place)))
}

fn holds_provider(place: &Path) -> bool {
    let Ok(registries) = std::fs::read_dir(place) else { return false };
    registries.flatten().any(|registry| registry.path().join(PROVIDER).is_dir())
}

/// Writes settings that let Terraform take plugins from this folder only.
fn settings(plugins: &Path) -> Result<PathBuf> {
    let path = ours().join("plugins.tfrc");
    std::fs::create_dir_all(ours()).with_context(|| format!("could not make `{}`", ours().display()))?;
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = {:?}\n    include = [\"*/*/*\"]\n  }}\n}}\n",
        plugins.display().to_string()
    );
    std::fs::write(&path, text).with_context(|| format!("could not write `{}`", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_folder_is_one_only_if_it_holds_the_provider() {
        let place = std::env::temp_dir().join(format!("fleetest-plugins-{}", std::process::id()));
        let provider = place.join("registry.example").join(PROVIDER);
        std::fs::create_dir_all(provider.parent().unwrap()).unwrap();
        assert!(plugins(Some(place.clone())).unwrap_err().to_string().contains(PLUGINS_VARIABLE));
        std::fs::create_dir(&provider).unwrap();
        assert_eq!(plugins(Some(place.clone())).unwrap(), Some(place.clone()));
        std::fs::remove_dir_all(&place).unwrap();
        assert!(plugins(Some(place)).is_err());
    }
}
