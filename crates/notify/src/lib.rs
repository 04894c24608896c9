//! What leaves the server by itself: the one outbound HTTP client with its guard, e-mail, the `Notifier` on both, and
//! the `Forge` of servers without git.
//!
//! Every URL of a notification was written by a user. Nothing else of the server may make HTTP calls: whoever needs one,
//! as for the keys of a token issuer or for a commit of a repository, takes [`client::Outbound`].

pub mod address;
pub mod client;
pub mod forge;
pub mod github;
pub mod guard;
pub mod mail;
pub mod outbox;
pub mod sender;
