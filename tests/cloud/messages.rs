//! Messages that are repeated, foreign or lost.

use crate::project::{Project, SUITE};
use crate::stack::{eventually, stack};
use aws::sqs::REASON_ATTRIBUTE;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use shared::domain::id::RunId;
use shared::ports::{Topic, Wake};

fn wake(topic: Topic, run: &str) -> String {
    let run: RunId = run.parse().unwrap();
    serde_json::json!({"wake": {"wake": Wake { topic, run }, "not_before_ms": null}}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_messages_change_nothing() {
    let project = Project::with(&[("test_it.py", "def test_it():\n    pass\n"), ("fleetest.toml", SUITE)]);
    let run = project.starts();
    let sqs = stack().connection().sqs();
    for (topic, queue) in
        [(Topic::Aggregate, "AggregateQueue"), (Topic::Launch, "LaunchQueue"), (Topic::Plan, "PlanQueue")]
    {
        for _ in 0..5 {
            let send = sqs.send_message().queue_url(&stack().resources[queue]);
            send.message_body(wake(topic, &run)).send().await.unwrap();
        }
    }
    let shown = tokio::task::block_in_place(|| stack().finished(&run));
    assert_eq!(shown["verdict"], "passed", "{shown}");
    assert_eq!(shown["counts"]["planned"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_a_dead_letter_with_its_reason() {
    let sqs = stack().connection().sqs();
    let poison = testkit::emulator::unique("poison");
    let send = sqs.send_message().queue_url(&stack().resources["LaunchQueue"]).message_body(&poison);
    send.send().await.unwrap();
    let reason = tokio::task::block_in_place(|| {
        eventually("the message is a dead letter", || {
            let receive = sqs
                .receive_message()
                .queue_url(&stack().resources["LaunchDeadQueue"])
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All);
            let answer = tokio::runtime::Handle::current().block_on(receive.send()).unwrap();
            let messages = answer.messages.unwrap_or_default();
            let ours = messages.into_iter().find(|message| message.body.as_ref() == Some(&poison))?;
            ours.message_attributes.unwrap()[REASON_ATTRIBUTE].string_value.clone()
        })
    });
    assert!(reason.contains("not one of ours"), "{reason}");
}
