//! Clients of the AWS services: one HTTP client, one set of counters, one patience for all of them.
//!
//! Credentials are those of the configuration. The SDK's own chain is not used: it would ask addresses of the
//! network, and a function has its credentials in its environment.

use crate::config::Account;
use crate::count::RequestCounts;
use aws_smithy_http_client::HttpClientError;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use std::time::Duration;

/// Attempts of one request: throttles and outages are waited out with growing, random pauses.
const ATTEMPTS: u32 = 4;
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ATTEMPT_WITHIN: Duration = Duration::from_secs(15);
/// Objects are larger than other answers.
const OBJECT_WITHIN: Duration = Duration::from_secs(60);

/// What every client is made of.
#[derive(Debug, Clone)]
pub struct Connection {
    account: Account,
    http: SharedHttpClient,
    counts: RequestCounts,
}

macro_rules! configured {
    ($service:ident, $connection:expr, $within:expr) => {{
        let mut config = $service::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region($service::config::Region::new($connection.account.region.clone()))
            .credentials_provider($connection.account.credentials())
            .http_client($connection.http.clone())
            .interceptor($connection.counts.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(patience($within));
        config.set_endpoint_url($connection.account.endpoint.clone());
        config
    }};
}

impl Connection {
    /// A connection by HTTPS that trusts the machine's certificates.
    #[must_use]
    pub fn new(account: Account) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        Self::through(account, http)
    }

    /// A connection by HTTPS that trusts one authority, in PEM, and no other.
    ///
    /// # Errors
    /// If the certificate cannot be read.
    pub fn trusting(account: Account, certificate: &[u8]) -> Result<Self, HttpClientError> {
        let store = TrustStore::empty().with_pem_certificate(certificate);
        let context = TlsContext::builder().with_trust_store(store).build()?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https();
        Ok(Self::through(account, http))
    }

    /// A connection through a given HTTP client.
    #[must_use]
    pub fn through(account: Account, http: SharedHttpClient) -> Self {
        Self { account, http, counts: RequestCounts::default() }
    }

    /// What was sent through the clients of this connection.
    #[must_use]
    pub fn counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// A client of DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = configured!(aws_sdk_dynamodb, self, ATTEMPT_WITHIN);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of S3.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        // Emulators have no names below their own.
        let config =
            configured!(aws_sdk_s3, self, OBJECT_WITHIN).force_path_style(self.account.endpoint.is_some());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A client of SQS; an attempt is longer than the longest wait for messages.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = configured!(aws_sdk_sqs, self, 2 * ATTEMPT_WITHIN);
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// A client of EventBridge.
    #[must_use]
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        let config = configured!(aws_sdk_eventbridge, self, ATTEMPT_WITHIN);
        aws_sdk_eventbridge::Client::from_conf(config.build())
    }

    /// A client of Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let config = configured!(aws_sdk_secretsmanager, self, ATTEMPT_WITHIN);
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// A client of SES.
    #[must_use]
    pub fn ses(&self) -> aws_sdk_sesv2::Client {
        let config = configured!(aws_sdk_sesv2, self, ATTEMPT_WITHIN);
        aws_sdk_sesv2::Client::from_conf(config.build())
    }

    /// A client of ECS.
    #[must_use]
    pub fn ecs(&self) -> aws_sdk_ecs::Client {
        let config = configured!(aws_sdk_ecs, self, ATTEMPT_WITHIN);
        aws_sdk_ecs::Client::from_conf(config.build())
    }
}

fn patience(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).operation_attempt_timeout(attempt).build()
}
