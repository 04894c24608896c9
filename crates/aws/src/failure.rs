//! What AWS answers, judged: try again, it will never work, or it is an answer.
//!
//! Services hide throttles and missing capacity in messages of errors that are called something else, so text is
//! looked at too. Whatever is not known counts as an outage: trying again later loses nothing, giving up would.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use shared::ports::PortError;
use std::error::Error;

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Too many requests; the SDK has tried again already.
    Throttled,
    /// No answer, or one that says nothing; it is unknown whether a write took effect.
    Outage,
    /// The credentials are over; the next process has new ones.
    Expired,
    /// The clock of this machine is wrong.
    ClockSkew,
    /// No room for another task at the moment.
    NoCapacity,
    /// The role does not allow it, or the credentials are wrong.
    AccessDenied,
    /// The resource is in another region.
    WrongRegion,
    /// The table, bucket, queue, cluster or task definition does not exist.
    ResourceMissing,
    /// Larger than the service takes.
    TooLarge,
    /// The request is not one that the service understands.
    Invalid,
    /// A condition did not hold.
    ConditionFailed,
    /// What was asked for does not exist.
    NotThere,
}

/// How a caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Later, the same may work.
    Retry,
    /// Somebody has to change something first.
    Permanent,
    /// It is an answer, not a failure.
    Answer,
}

impl Kind {
    /// How a caller goes on.
    #[must_use]
    pub fn course(self) -> Course {
        match self {
            Self::Throttled | Self::Outage | Self::Expired | Self::ClockSkew | Self::NoCapacity => {
                Course::Retry
            }
            Self::AccessDenied
            | Self::WrongRegion
            | Self::ResourceMissing
            | Self::TooLarge
            | Self::Invalid => Course::Permanent,
            Self::ConditionFailed | Self::NotThere => Course::Answer,
        }
    }

    /// What a person can do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::Throttled => "too many requests; it is tried again later",
            Self::Outage => "it is unknown whether it took effect",
            Self::Expired => "the credentials are over; a new process has new ones",
            Self::ClockSkew => "the clock of this machine is wrong",
            Self::NoCapacity => "no room at the moment; it is tried again later",
            Self::AccessDenied => "allow it in the role's policy, or correct the credentials",
            Self::WrongRegion => "check `AWS_REGION`: the resource is in another region",
            Self::ResourceMissing => "check the configured name and `AWS_REGION`, or deploy the resource",
            Self::TooLarge => "it is larger than the service takes",
            Self::Invalid => "the service does not understand the request",
            Self::ConditionFailed => "a condition did not hold",
            Self::NotThere => "it does not exist",
        }
    }
}

/// A judged answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// The service's own code, or what happened on the way.
    pub code: String,
    /// The service's own words.
    pub message: String,
}

/// Longest part of a service's words that is passed on.
const MESSAGE_CHARS: usize = 300;

impl Failure {
    /// Judges an answer by code, words and HTTP status.
    #[must_use]
    pub fn judged(code: &str, message: &str, status: u16) -> Self {
        let kind = by_code(code)
            .or_else(|| by_words(message))
            .or_else(|| by_status(code, status))
            .unwrap_or(Kind::Outage);
        Self { kind, code: code.to_owned(), message: message.chars().take(MESSAGE_CHARS).collect() }
    }

    /// Judges what the SDK returns.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let lost = |code: &str| Self {
            kind: Kind::Outage,
            code: code.to_owned(),
            message: chain(error).chars().take(MESSAGE_CHARS).collect(),
        };
        match error {
            SdkError::ConstructionFailure(_) => Self { kind: Kind::Invalid, ..lost("request not sent") },
            SdkError::TimeoutError(_) => lost("timeout"),
            SdkError::DispatchFailure(_) => lost("no connection"),
            SdkError::ResponseError(_) => lost("unreadable answer"),
            SdkError::ServiceError(context) => {
                let (code, message) = (context.err().code(), context.err().message());
                let status = context.raw().status().as_u16();
                Self::judged(code.unwrap_or("no code"), message.unwrap_or_default(), status)
            }
            _ => lost("unknown failure"),
        }
    }

    /// As an error of a port. `NotThere` and `ConditionFailed` are named only where the port has such an answer.
    #[must_use]
    pub fn into_port(self, port: &'static str, subject: impl Into<String>) -> PortError {
        let subject = subject.into();
        let reason = format!("{}: {} ({})", self.code, self.message, self.kind.advice());
        match (self.kind.course(), self.kind) {
            (Course::Retry, _) => PortError::Unavailable { port, subject, reason },
            (Course::Permanent, _) => PortError::Denied { port, subject, reason },
            (Course::Answer, Kind::ConditionFailed) => PortError::Conflict { port, subject },
            (Course::Answer, _) => PortError::NotFound { port, subject },
        }
    }
}

/// The words of an error and of what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn by_code(code: &str) -> Option<Kind> {
    let kind = match code {
        "ConditionalCheckFailedException" | "PreconditionFailed" => Kind::ConditionFailed,
        "NoSuchKey" | "NotFound" => Kind::NotThere,
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "TooManyRequestsException"
        | "SlowDown"
        | "OverLimit"
        | "KmsThrottled"
        | "BandwidthLimitExceeded" => Kind::Throttled,
        "TransactionConflictException"
        | "TransactionInProgressException"
        | "OperationAborted"
        | "ConditionalRequestConflict" => Kind::Throttled,
        "ExpiredTokenException" | "ExpiredToken" | "TokenRefreshRequired" => Kind::Expired,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Kind::ClockSkew,
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "TemporaryRedirect"
        | "301" => Kind::WrongRegion,
        "ResourceNotFoundException"
        | "NoSuchBucket"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "ClusterNotFoundException" => Kind::ResourceMissing,
        "EntityTooLarge"
        | "ItemCollectionSizeLimitExceededException"
        | "MessageTooLong"
        | "BatchRequestTooLong"
        | "AWS.SimpleQueueService.BatchRequestTooLong" => Kind::TooLarge,
        _ => return None,
    };
    Some(kind)
}

/// Beginnings of sentences, in small letters, by which services say what their code does not.
const WORDS: &[(&str, Kind)] = &[
    ("rate exceeded", Kind::Throttled),
    ("too many concurrent", Kind::Throttled),
    ("throttl", Kind::Throttled),
    ("too many requests", Kind::Throttled),
    ("request rate", Kind::Throttled),
    ("capacity is unavailable", Kind::NoCapacity),
    ("capacity unavailable", Kind::NoCapacity),
    ("insufficient capacity", Kind::NoCapacity),
    ("limit on the number of", Kind::NoCapacity),
    ("signature expired", Kind::ClockSkew),
    ("signature not yet current", Kind::ClockSkew),
    ("item size", Kind::TooLarge),
    ("maximum allowed size", Kind::TooLarge),
    ("cannot exceed 4 mb", Kind::TooLarge),
    ("must be shorter than", Kind::TooLarge),
    ("should be scoped to a valid region", Kind::WrongRegion),
    ("taskdefinition not found", Kind::ResourceMissing),
    ("unable to describe task definition", Kind::ResourceMissing),
];

pub(crate) fn by_words(message: &str) -> Option<Kind> {
    let small = message.to_lowercase();
    WORDS.iter().find(|(words, _)| small.contains(words)).map(|(_, kind)| *kind)
}

fn by_status(code: &str, status: u16) -> Option<Kind> {
    match status {
        301 | 307 => Some(Kind::WrongRegion),
        401 | 403 => Some(Kind::AccessDenied),
        404 => Some(Kind::NotThere),
        412 => Some(Kind::ConditionFailed),
        413 => Some(Kind::TooLarge),
        429 | 503 => Some(Kind::Throttled),
        400..=499 if is_denial(code) => Some(Kind::AccessDenied),
        400..=499 => Some(Kind::Invalid),
        _ => None,
    }
}

/// Refusals come with the status 400 too; what a signature was refused for is in the words, which come first.
fn is_denial(code: &str) -> bool {
    [
        "AccessDenied",
        "Unrecognized",
        "Signature",
        "InvalidClientToken",
        "InvalidAccessKey",
        "MissingAuth",
        "OptIn",
    ]
    .iter()
    .any(|part| code.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_code_then_words_then_status() {
        use Kind::*;
        for (code, message, status, wanted) in [
            ("ConditionalCheckFailedException", "The conditional request failed", 400, ConditionFailed),
            ("PreconditionFailed", "", 412, ConditionFailed),
            ("NoSuchKey", "", 404, NotThere),
            ("NoSuchBucket", "", 404, ResourceMissing),
            (
                "ResourceNotFoundException",
                "Cannot do operations on a non-existent table",
                400,
                ResourceMissing,
            ),
            ("QueueDoesNotExist", "", 400, ResourceMissing),
            ("ClusterNotFoundException", "Cluster not found.", 400, ResourceMissing),
            ("ClientException", "TaskDefinition not found.", 400, ResourceMissing),
            ("ThrottlingException", "Rate exceeded", 400, Throttled),
            ("ClientException", "Rate exceeded", 400, Throttled),
            ("ClientException", "Too many concurrent attempts to create a new task.", 400, Throttled),
            ("ServerException", "Request was throttled", 500, Throttled),
            ("SlowDown", "", 503, Throttled),
            ("ServiceUnavailable", "", 503, Throttled),
            (
                "ClientException",
                "You've reached the limit on the number of tasks you can run",
                400,
                NoCapacity,
            ),
            ("ServerException", "Capacity is unavailable at this time.", 500, NoCapacity),
            ("AccessDeniedException", "User is not authorized", 400, AccessDenied),
            ("AccessDenied", "", 403, AccessDenied),
            ("UnrecognizedClientException", "The security token is invalid", 400, AccessDenied),
            ("InvalidSignatureException", "Signature expired: 2026 is now earlier than", 400, ClockSkew),
            ("SignatureDoesNotMatch", "The request signature does not match", 403, AccessDenied),
            ("RequestTimeTooSkewed", "", 403, ClockSkew),
            ("ExpiredTokenException", "", 400, Expired),
            ("PermanentRedirect", "", 301, WrongRegion),
            ("AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong", 400, WrongRegion),
            ("SignatureDoesNotMatch", "Credential should be scoped to a valid region.", 403, WrongRegion),
            ("ValidationException", "Item size has exceeded the maximum allowed size", 400, TooLarge),
            (
                "InvalidParameterValue",
                "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.",
                400,
                TooLarge,
            ),
            ("ValidationException", "1 validation error detected", 400, Invalid),
            ("InternalServerError", "", 500, Outage),
            ("no code", "", 502, Outage),
        ] {
            assert_eq!(Failure::judged(code, message, status).kind, wanted, "{code}: {message}");
        }
    }

    #[test]
    fn every_kind_has_one_course() {
        let port =
            |kind| Failure { kind, code: "C".to_owned(), message: "m".to_owned() }.into_port("store", "x");
        assert!(matches!(port(Kind::Throttled), PortError::Unavailable { .. }));
        assert!(matches!(port(Kind::ClockSkew), PortError::Unavailable { .. }));
        assert!(matches!(port(Kind::AccessDenied), PortError::Denied { .. }));
        assert!(matches!(port(Kind::TooLarge), PortError::Denied { .. }));
        assert!(matches!(port(Kind::ConditionFailed), PortError::Conflict { .. }));
        assert!(matches!(port(Kind::NotThere), PortError::NotFound { .. }));
    }

    #[test]
    fn what_a_service_says_is_cut() {
        let failure = Failure::judged("X", &"é".repeat(MESSAGE_CHARS + 1), 400);
        assert_eq!(failure.message.chars().count(), MESSAGE_CHARS);
    }
}
