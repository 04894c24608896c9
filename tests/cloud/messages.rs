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

/// A dead letter with this text that died after another one: its reason, and when it died.
fn dead_letter(text: &str, after_ms: u64) -> (String, u64) {
    let sqs = stack().connection().sqs();
    eventually("the message is a dead letter", || {
        let receive = sqs
            .receive_message()
            .queue_url(&stack().resources["LaunchDeadQueue"])
            // Others shall see it, too.
            .visibility_timeout(0)
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let answer = tokio::runtime::Handle::current().block_on(receive.send()).unwrap();
        answer.messages.unwrap_or_default().into_iter().find_map(|message| {
            let sent = &message.attributes.as_ref()?[&MessageSystemAttributeName::SentTimestamp];
            let sent_ms: u64 = sent.parse().unwrap();
            let ours = message.body.as_deref() == Some(text) && sent_ms > after_ms;
            let reason = message.message_attributes?.get(REASON_ATTRIBUTE)?.string_value.clone();
            ours.then(|| (reason.unwrap_or_default(), sent_ms))
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_a_dead_letter_with_its_reason_and_is_redriven_by_command() {
    let sqs = stack().connection().sqs();
    let poison = testkit::emulator::unique("poison");
    let send = sqs.send_message().queue_url(&stack().resources["LaunchQueue"]).message_body(&poison);
    send.send().await.unwrap();
    tokio::task::block_in_place(|| {
        let (reason, died_ms) = dead_letter(&poison, 0);
        assert!(reason.contains("not one of ours"), "{reason}");
        let redriven = stack().invoke("sweep", &serde_json::json!({"tick": "redrive"}));
        assert!(redriven["messages"].as_u64() >= Some(1), "{redriven}");
        // Back in its queue it is still poison.
        let (reason, _) = dead_letter(&poison, died_ms);
        assert!(reason.contains("not one of ours"), "{reason}");
    });
}
