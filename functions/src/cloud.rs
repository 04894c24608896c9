//! The adapters of AWS under the services, wired once per process.

use crate::repositories::Addresses;
use aws::config::{Config, ConfigError};
use aws::connection::Connection;
use aws::dynamo::DynamoStore;
use aws::ecs::EcsLauncher;
use aws::events::Bus;
use aws::s3::S3Blobs;
use aws::secrets;
use aws::sqs::SqsQueue;
use aws::system::{FunctionClock, FunctionIds};
use shared::domain::shard::Clocks;
use shared::ports::{Blobs, Clock, IdSource as _, PortError, PortResult};
use shared::service::kept::KeptBlobs;
use shared::service::token::TokenKey;
use shared::service::{Services, Settings, Stride};
use std::sync::Arc;

/// Most shards that `auto` chooses: more do not start at once in an account with the usual quotas.
const SHARDS_LIMIT: u32 = 100;
/// A lease and its results go through gateway, function and table: what that costs per batch, in milliseconds.
const BATCH_OVERHEAD_MS: u64 = 150;

/// What stays with its lease is written in a transaction: up to this size, that is no dearer than an object.
const CLOSING_BYTES: usize = 4 * 1024;
/// Half of what is kept of blobs that never change, in bytes: a function reads the same ones again and again.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Whether a function makes or checks tokens and seals; only those that do may read their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// It does.
    Used,
    /// It does not, and what it would make is worth nothing.
    Unused,
}

/// Why a function cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The environment is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What is needed from the beginning cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What every function stands on.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The environment.
    pub config: Config,
    /// The clients, with their counters.
    pub connection: Connection,
    /// The queues, with what only a receiver needs.
    pub queue: SqsQueue,
    /// Where ends of runs are told.
    pub bus: Bus,
    /// The use-cases.
    pub services: Arc<Services>,
}

impl Cloud {
    /// The cloud that the environment of this process describes.
    ///
    /// # Errors
    /// Every wrong variable at once; the key of the tokens cannot be read.
    pub async fn from_environment(tokens: Tokens) -> Result<Self, OpenError> {
        Ok(Self::open(Config::from_environment()?, tokens).await?)
    }

    /// The cloud of a configuration.
    ///
    /// # Errors
    /// The key of the tokens cannot be read.
    pub async fn open(config: Config, tokens: Tokens) -> PortResult<Self> {
        let connection = Connection::new(config.account.clone());
        let token_key = match tokens {
            Tokens::Used => {
                let text = secrets::key_text(&connection.secrets_manager(), &config.token_key_secret).await?;
                TokenKey::new(text.reveal().to_owned())
            }
            Tokens::Unused => TokenKey::new(FunctionIds.secret()),
        };
        let clock: Arc<dyn Clock> = Arc::new(FunctionClock::default());
        let blobs: Arc<dyn Blobs> = Arc::new(S3Blobs::new(connection.s3(), config.bucket.clone()));
        let queue =
            SqsQueue::new(connection.sqs(), config.queues.clone(), Arc::clone(&blobs), Arc::clone(&clock));
        let bus = Bus::new(connection.eventbridge(), config.event_bus.clone());
        let services = Arc::new(Services {
            store: Arc::new(DynamoStore::new(
                connection.dynamodb(),
                config.table.clone(),
                Arc::clone(&clock),
            )),
            blobs: Arc::new(KeptBlobs::new(blobs, KEPT_BYTES)),
            queue: Arc::new(queue.clone()),
            launcher: Arc::new(EcsLauncher::new(connection.ecs(), config.fleet.clone())),
            // Functions that plan look repositories up; to the others it is enough to know which ones can be.
            forge: Arc::new(Addresses::of(&config.github)),
            clock,
            ids: Arc::new(FunctionIds),
            observer: Arc::new(bus.clone()),
            settings: settings(token_key),
        });
        Ok(Self { config, connection, queue, bus, services })
    }
}

fn settings(token_key: TokenKey) -> Settings {
    Settings {
        clocks: Clocks::default(),
        token_key,
        max_shards: SHARDS_LIMIT,
        batch_overhead_ms: BATCH_OVERHEAD_MS,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        closing_bytes: CLOSING_BYTES,
        keep_history: true,
        slots: None,
        stride: Stride::default(),
    }
}
