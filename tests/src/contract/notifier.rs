//! What every `Notifier` must do, seen through a probe that also receives.

use async_trait::async_trait;
use shared::domain::notify::parcel::{Answer, Parcel};
use shared::ports::Notifier;

/// What receivers say beside their answer, and nobody shall repeat.
pub const SECRET: &str = "between-you-and-me";

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It accepts.
    Willing,
    /// Not now.
    Busy,
    /// Never.
    Refusing,
    /// It does not answer at all.
    Absent,
}

/// A notifier together with receivers.
#[async_trait]
pub trait NotifierProbe: Send + Sync {
    /// A notifier that sends by way of a service in this mood, where the service is the receiver.
    fn notifier(&self, mood: Mood) -> &dyn Notifier;
    /// A parcel with this id for a receiver in this mood.
    fn parcel(&self, id: &str, mood: Mood) -> Parcel;
    /// A parcel that can never be sent by this notifier.
    fn hopeless(&self) -> Parcel;
    /// What was accepted so far, each as one text.
    async fn accepted(&self) -> Vec<String>;
}

async fn deliver(probe: &dyn NotifierProbe, id: &str, mood: Mood) -> Answer {
    probe.notifier(mood).deliver(&probe.parcel(id, mood)).await
}

/// `Delivered` means that it is there, and it can be told by its id.
pub async fn what_is_delivered_was_accepted(probe: &dyn NotifierProbe) {
    for id in ["evt_1", "evt_2"] {
        assert_eq!(deliver(probe, id, Mood::Willing).await, Answer::Delivered);
    }
    let accepted = probe.accepted().await;
    assert_eq!(accepted.len(), 2, "{accepted:?}");
    for id in ["evt_1", "evt_2"] {
        assert!(accepted.iter().any(|text| text.contains(id)), "{id}: {accepted:?}");
    }
}

/// What comes twice has the same id.
pub async fn the_same_parcel_comes_again_with_its_id(probe: &dyn NotifierProbe) {
    let parcel = probe.parcel("evt_1", Mood::Willing);
    for _ in 0..2 {
        assert_eq!(probe.notifier(Mood::Willing).deliver(&parcel).await, Answer::Delivered);
    }
    let accepted = probe.accepted().await;
    assert_eq!(accepted.iter().filter(|text| text.contains("evt_1")).count(), 2, "{accepted:?}");
}

/// What may work later is not given up.
pub async fn who_is_busy_or_absent_is_tried_later(probe: &dyn NotifierProbe) {
    for mood in [Mood::Busy, Mood::Absent] {
        let answer = deliver(probe, "evt_1", mood).await;
        assert!(matches!(answer, Answer::Later { .. }), "{mood:?}: {answer:?}");
    }
    assert_eq!(probe.accepted().await, Vec::<String>::new());
}

/// What will never work is given up.
pub async fn who_refuses_and_what_is_hopeless_is_given_up(probe: &dyn NotifierProbe) {
    let answer = deliver(probe, "evt_1", Mood::Refusing).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    let answer = probe.notifier(Mood::Willing).deliver(&probe.hopeless()).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    assert_eq!(probe.accepted().await, Vec::<String>::new());
}

/// A reason is shown to people who may see less than the receiver says.
pub async fn a_reason_repeats_nothing_of_the_receiver(probe: &dyn NotifierProbe) {
    for mood in [Mood::Busy, Mood::Refusing, Mood::Absent] {
        let reason = match deliver(probe, "evt_1", mood).await {
            Answer::Later { reason, .. } | Answer::Refused { reason } => reason,
            Answer::Delivered => String::new(),
        };
        assert!(!reason.contains(SECRET) && !reason.is_empty(), "{mood:?}: {reason:?}");
    }
}
