//! `cargo xtask infra`: the account's foundation (`infrastructure/terraform`), checked without an account.
//!
//! Formatting needs Terraform only. Validity and tests need the AWS provider: from a plugin folder of this machine, or
//! fetched by Terraform. Making it and taking it away need the AWS emulator, too. What cannot be run here is said to be
//! skipped, never passed over in silence.

use crate::{emulator, launch, place, say, toolbox};
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
/// What is made in the emulator: everything but locked vaults and copies of images, which it does not know.
const APPLIED: [&str; 6] = [
    "region=eu-central-1",
    "replica_region=eu-west-1",
    "replicate_images=false",
    "nat_gateway=true",
    r#"github={repository="acme/fleetest",environments=["production"]}"#,
    r#"budget={limit_usd=250,emails=["ops@example.org"]}"#,
];

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
            "infra: SKIPPED: validate, test, apply, destroy: the AWS provider is neither in a plugin folder nor to be fetched",
        );
        return Ok(());
    }
    launch::check(terraform(settings.as_deref()).args(["validate", "-no-color"]))?;
    say::out("infra: validate ok");
    launch::check(terraform(settings.as_deref()).args(["test", "-no-color"]))?;
    say::out("infra: test ok (the answers of AWS are invented)");
    apply_and_destroy(settings.as_deref())
}

/// Makes the foundation in the AWS emulator, and takes it away again.
fn apply_and_destroy(settings: Option<&Path>) -> Result<()> {
    let python = match toolbox::emulator_python() {
        Ok(python) => python,
        Err(error) => {
            say::err(&format!("{error:#}"));
            say::out(
                "infra: SKIPPED: apply, destroy: the AWS emulator is neither installed nor to be fetched",
            );
            return Ok(());
        }
    };
    let script = place::root().join("tests/src/emulator.py");
    let emulator = emulator::start_with(&python, &script, &[], "infra.log")?;
    let folder = ours().join("applied");
    // What it holds is the state of an emulator that is gone.
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("could not remove `{}`", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    for word in ["apply", "destroy"] {
        say::err(&format!("infra: {word} in the emulator; this takes a minute"));
        let mut command = terraform(settings);
        command.args([word, "-auto-approve", "-input=false", "-no-color"]);
        command.arg(format!("-state={}", folder.join("terraform.tfstate").display()));
        command.args(APPLIED.iter().map(|variable| format!("-var={variable}")));
        launch::capture(confined(&mut command, emulator.endpoint()))?;
        say::out(&format!("infra: {word} ok (in the emulator, without locked vaults and copies of images)"));
    }
    Ok(())
}

/// Lets a command of Terraform reach the emulator, and nobody's account.
fn confined<'a>(command: &'a mut Command, endpoint: &str) -> &'a mut Command {
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] {
        command.env_remove(name);
    }
    // What is said for one service comes before what is said for all.
    for service in ["S3", "IAM", "EC2", "ECR", "KMS", "STS", "BACKUP", "BUDGETS", "SNS"] {
        command.env_remove(format!("AWS_ENDPOINT_URL_{service}"));
    }
    for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(name, "/dev/null");
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
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
    use std::ffi::OsStr;

    #[test]
    fn what_is_applied_reaches_the_emulator_and_no_account() {
        let mut command = Command::new("terraform");
        confined(&mut command, "http://127.0.0.1:1");
        let set = |name: &str| command.get_envs().find(|(key, _)| *key == name).map(|(_, value)| value);
        assert_eq!(set("AWS_ENDPOINT_URL"), Some(Some(OsStr::new("http://127.0.0.1:1"))));
        assert_eq!(set("AWS_PROFILE"), Some(None));
    }

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
