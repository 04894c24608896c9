//! Projects on the wire.

use super::object;
use serde::{Deserialize, Serialize};
use shared::domain::project::{Project, ProjectSettings};
use utoipa::ToSchema;

/// How a project's runs are treated.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsShown {
    /// Runs of the project that may work at the same time; `null` = as many as there is room for.
    #[schema(minimum = 1)]
    pub concurrency: Option<u32>,
    /// Runs of a project with a higher number are started first.
    #[schema(minimum = -100, maximum = 100)]
    pub priority: i32,
    /// Whether a new run of a branch cancels the older ones of that branch.
    pub supersede: bool,
    /// Finished runs older than this many days are forgotten.
    #[schema(minimum = 1)]
    pub keep_days: u32,
    /// Of the finished runs at most this many are kept.
    #[schema(minimum = 1)]
    pub keep_runs: u32,
}

impl Default for SettingsShown {
    fn default() -> Self {
        ProjectSettings::default().into()
    }
}

impl From<ProjectSettings> for SettingsShown {
    fn from(settings: ProjectSettings) -> Self {
        let ProjectSettings { concurrency, priority, supersede, keep_days, keep_runs } = settings;
        Self { concurrency, priority, supersede, keep_days, keep_runs }
    }
}

impl From<SettingsShown> for ProjectSettings {
    fn from(settings: SettingsShown) -> Self {
        let SettingsShown { concurrency, priority, supersede, keep_days, keep_runs } = settings;
        Self { concurrency, priority, supersede, keep_days, keep_runs }
    }
}

/// A project to be registered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProjectBody {
    /// Short name: lower-case letters, digits, `-`, `_` and `.`.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9._-]*$", example = "web-api")]
    pub id: String,
    /// What people call it; without one, its id.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub title: Option<String>,
    /// `https` or `ssh` URL of its repository.
    #[serde(default)]
    #[schema(max_length = 1000, example = "https://github.com/pallets/click")]
    pub repository: Option<String>,
    /// Branch that runs test by default; without one, `main`.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub default_branch: Option<String>,
    /// A `fleetest.toml` for commits that have none.
    #[serde(default)]
    #[schema(max_length = 65536)]
    pub config: Option<String>,
    /// Settings.
    #[serde(default, deserialize_with = "object::whole")]
    pub settings: SettingsShown,
}

/// Changes of a project; what is absent stays, `null` removes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectChange {
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub title: Option<String>,
    /// Repository.
    #[serde(skip_serializing_if = "Option::is_none", with = "given")]
    #[schema(max_length = 1000, value_type = Option<String>)]
    pub repository: Option<Option<String>>,
    /// Default branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub default_branch: Option<String>,
    /// Default configuration.
    #[serde(skip_serializing_if = "Option::is_none", with = "given")]
    #[schema(max_length = 65536, value_type = Option<String>)]
    pub config: Option<Option<String>>,
    /// Settings, all of them.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub settings: Option<SettingsShown>,
}

/// A field that is absent, `null` or a value.
mod given {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::option_option, reason = "absent and null mean different things")]
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<String>>, D::Error> {
        Option::<String>::deserialize(from).map(Some)
    }

    #[expect(clippy::option_option, clippy::ref_option, reason = "the shape that serde wants")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Option<String>>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(to)
    }
}

/// A project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectShown {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// Repository.
    pub repository: Option<String>,
    /// Default branch.
    pub default_branch: String,
    /// Default configuration.
    pub config: Option<String>,
    /// Settings.
    pub settings: SettingsShown,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<Project> for ProjectShown {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.0,
            title: project.title,
            repository: project.repository,
            default_branch: project.default_branch,
            config: project.config,
            settings: project.settings.into(),
            created_at: project.created_at.rfc3339(),
            updated_at: project.updated_at.rfc3339(),
        }
    }
}
