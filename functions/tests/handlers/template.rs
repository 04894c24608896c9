//! The stack: what its template says, against the functions, their folders and their samples.
//!
//! Short forms of `CloudFormation` are written out (`!Ref X` is `{"Ref": "X"}`), and the rest is JSON.

use crate::cloud::root;
use aws::config::{Config, Github};
use functions::metrics;
use serde_json::{Map, Value, json};
use shared::domain::verdict::Verdict;
use std::collections::BTreeSet;
use std::fs;

/// Actions that the service does not let be narrowed to a resource.
const WITHOUT_RESOURCE: [&str; 4] = [
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "ecr:GetAuthorizationToken",
    // Narrowed to the cluster by a condition.
    "ecs:ListTasks",
];
/// A message must outlive this many attempts of its function.
const VISIBILITY_FACTOR: u64 = 6;
/// Variables that the platform sets.
const OF_THE_PLATFORM: &str = "AWS_";

fn written_out(yaml: serde_yaml_ng::Value) -> Value {
    use serde_yaml_ng::Value as Yaml;
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => serde_json::to_value(number).unwrap(),
        Yaml::String(text) => text.into(),
        Yaml::Sequence(all) => all.into_iter().map(written_out).collect(),
        Yaml::Mapping(all) => Value::Object(
            all.into_iter()
                .map(|(key, value)| (key.as_str().unwrap().to_owned(), written_out(value)))
                .collect(),
        ),
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                "Ref" => "Ref".to_owned(),
                "Condition" => "Condition".to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: written_out(tagged.value) })
        }
    }
}

fn template() -> Value {
    let text = fs::read_to_string(root().join("template.yaml")).unwrap();
    written_out(serde_yaml_ng::from_str(&text).unwrap())
}

fn resources(template: &Value) -> &Map<String, Value> {
    template["Resources"].as_object().unwrap()
}

/// The resources of a type, by name.
fn of_type<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let all = resources(template).iter().filter(|(_, resource)| resource["Type"] == kind);
    all.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
}

/// The functions: the name of the binary, the name in the template, and the resource.
fn functions(template: &Value) -> Vec<(String, String, &Value)> {
    let all = resources(template).iter().filter(|(_, one)| one["Type"] == "AWS::Serverless::Function");
    all.map(|(name, one)| {
        let binary = one["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
        (binary.to_owned(), name.clone(), one)
    })
    .collect()
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |all| all.iter().collect())
}

/// The statements of every role, each with the name of its role.
fn statements(template: &Value) -> Vec<(&str, Value)> {
    let mut found = Vec::new();
    for (name, role) in of_type(template, "AWS::IAM::Role") {
        for policy in list(&role["Policies"]) {
            let statements = list(&policy["PolicyDocument"]["Statement"]);
            // A statement that stands there only under a condition counts as well.
            let unwrapped = |statement: &'_ Value| match statement.get("Fn::If") {
                Some(chosen) => chosen[1].clone(),
                None => statement.clone(),
            };
            found.extend(statements.into_iter().map(|statement| (name, unwrapped(statement))));
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

/// Whether the role of a function may do something at all, to whatever.
pub(crate) fn may(function: &str, action: &str) -> bool {
    let template = template();
    let (_, name, _) = functions(&template).into_iter().find(|(binary, ..)| binary == function).unwrap();
    let role = name.replace("Function", "Role");
    let mut own = statements(&template).into_iter().filter(|(of, _)| *of == role);
    own.any(|(_, statement)| list(&statement["Action"]).contains(&&json!(action)))
}

fn folders(of: &str, holding: Option<&str>) -> BTreeSet<String> {
    let folders = fs::read_dir(root().join(of)).unwrap().map(|entry| entry.unwrap().path());
    folders
        .filter(|path| holding.map_or(path.is_dir(), |file| path.join(file).is_file()))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn functions_folders_and_samples_are_the_same_set() {
    let template = template();
    let named: BTreeSet<String> = functions(&template).into_iter().map(|(binary, ..)| binary).collect();
    assert_eq!(named.len(), 9);
    assert_eq!(named, folders("functions", Some("main.rs")));
    assert_eq!(named, folders("events", None));
    for (binary, name, function) in functions(&template) {
        assert_eq!(function["Metadata"]["BuildMethod"], "rust-cargolambda", "{name}");
        let properties = &function["Properties"];
        assert_eq!(properties["FunctionName"]["Fn::Sub"], format!("${{AWS::StackName}}-{binary}"), "{name}");
        assert!(properties["Timeout"].as_u64().unwrap() < 900, "{name}");
        // Without it, a changed parameter would not reach those who call the alias.
        assert_eq!(properties["AutoPublishCodeSha256"]["Ref"], "Release", "{name}");
    }
}

#[test]
fn every_variable_that_a_function_needs_is_given() {
    let template = template();
    let given = template["Globals"]["Function"]["Environment"]["Variables"].as_object().unwrap();
    let by_hand = fs::read_to_string(root().join("functions").join("local.py")).unwrap();
    let needed = Config::from_lookup(|_| None).unwrap_err();
    for problem in needed.problems {
        let known = problem.variable.starts_with(OF_THE_PLATFORM) || given.contains_key(problem.variable);
        assert!(known, "`{}` is not given", problem.variable);
        let said = by_hand.contains(&format!("\"{}\":", problem.variable));
        assert!(said, "`{}` is not in local.py", problem.variable);
    }
}

#[test]
fn nobody_may_do_everything_or_to_everything() {
    let template = template();
    for (role, statement) in statements(&template) {
        assert_eq!(statement["Effect"], "Allow", "{role}");
        let actions: Vec<&str> =
            list(&statement["Action"]).into_iter().map(|a| a.as_str().unwrap()).collect();
        assert!(actions.iter().all(|action| !action.contains('*')), "{role}: {actions:?}");
        if list(&statement["Resource"]).contains(&&json!("*")) {
            let known = actions.iter().all(|action| WITHOUT_RESOURCE.contains(action));
            assert!(known, "{role} may {actions:?} with every resource");
            let of_cluster = !statement["Condition"]["ArnEquals"]["ecs:cluster"].is_null();
            assert!(of_cluster || !actions.contains(&"ecs:ListTasks"), "{role}");
        }
    }
}

#[test]
fn a_role_is_handed_on_to_tasks_only() {
    let template = template();
    let passing: Vec<_> = statements(&template)
        .into_iter()
        .filter(|(_, statement)| list(&statement["Action"]).contains(&&json!("iam:PassRole")))
        .collect();
    let roles: Vec<&str> = passing.iter().map(|(role, _)| *role).collect();
    assert_eq!(roles, ["LaunchRole", "SweepRole"]);
    for (role, statement) in &passing {
        assert_eq!(statement["Resource"], json!({"Fn::GetAtt": "TaskExecutionRole.Arn"}), "{role}");
        let to = &statement["Condition"]["StringEquals"]["iam:PassedToService"];
        assert_eq!(to, "ecs-tasks.amazonaws.com", "{role}");
    }
}

/// Whether a role may read the secret that a name in the template stands for.
fn may_read(template: &Value, role: &str, secret: &str) -> bool {
    let reads = |statement: &Value| {
        statement["Action"] == "secretsmanager:GetSecretValue"
            && statement["Resource"] == json!({"Ref": secret})
    };
    statements(template).iter().any(|(name, statement)| *name == role && reads(statement))
}

#[test]
fn a_secret_is_read_by_those_that_use_it() {
    let template = template();
    let (mut of_tokens, mut of_repositories) = (0, 0);
    for (binary, name, function) in functions(&template) {
        let role = function["Properties"]["Role"]["Fn::GetAtt"].as_str().unwrap().trim_end_matches(".Arn");
        assert_eq!(role, name.replace("Function", "Role"), "each function has a role of its own");
        let main = fs::read_to_string(root().join("functions").join(&binary).join("main.rs")).unwrap();
        let makes_tokens = may_read(&template, role, "TokenKey");
        assert_eq!(main.contains("Tokens::Used"), makes_tokens, "{binary}");
        assert_ne!(main.contains("Tokens::Used"), main.contains("Tokens::Unused"), "{binary}");
        let looks_up = may_read(&template, role, "GithubTokenSecret");
        assert_eq!(main.contains("with_repositories(cloud)"), looks_up, "{binary}");
        of_tokens += usize::from(makes_tokens);
        of_repositories += usize::from(looks_up);
    }
    assert_eq!((of_tokens, of_repositories), (4, 2));
    let all = statements(&template);
    let reading = all.iter().filter(|(_, one)| one["Action"] == "secretsmanager:GetSecretValue");
    assert_eq!(reading.count(), of_tokens + of_repositories, "nobody reads another secret");
}

#[test]
fn where_repositories_are_looked_up_is_given_to_all_as_it_is_read() {
    let template = template();
    let given = &template["Globals"]["Function"]["Environment"]["Variables"];
    let parameter =
        |name: &str| given[name]["Ref"].as_str().map(|name| &template["Parameters"][name]["Default"]);
    let default = |name: &str| parameter(name).and_then(Value::as_str);
    let usual = Github::default();
    assert_eq!(default("FLEETEST_GITHUB_HOST"), Some(usual.host.as_str()));
    assert_eq!(default("FLEETEST_GITHUB_API"), Some(usual.api_url.as_str()));
    assert_eq!(default("FLEETEST_GITHUB_TOKEN_SECRET"), Some(""));
}

#[test]
fn mail_comes_from_the_address_that_its_role_is_held_to() {
    let template = template();
    let all = statements(&template);
    let mut senders = all.iter().filter(|(_, one)| one["Action"] == "ses:SendEmail");
    let (role, sends) = senders.next().unwrap();
    assert_eq!(*role, "NotifyRole");
    assert_eq!(sends["Condition"]["StringEquals"]["ses:FromAddress"], json!({"Ref": "MailFrom"}));
    assert!(senders.next().is_none());
    // SES compares the address without a name, so the sender may have none.
    let pattern = template["Parameters"]["MailFrom"]["AllowedPattern"].as_str().unwrap();
    assert!(pattern.starts_with("([^ <>@]+@[^ <>@]+") && pattern.ends_with(")?"), "{pattern}");
}

/// What a rule asserts when a parameter has this value.
fn asserted<'a>(template: &'a Value, parameter: &str, value: &str) -> &'a Value {
    let when = json!({"Fn::Equals": [{"Ref": parameter}, value]});
    let rules = template["Rules"].as_object().unwrap();
    let mut found = rules.values().filter(|rule| rule["RuleCondition"] == when);
    let rule = found.next().unwrap_or_else(|| panic!("no rule for `{parameter}` {value}"));
    assert!(found.next().is_none(), "two rules for `{parameter}` {value}");
    let assertion = &rule["Assertions"][0];
    assert!(!assertion["AssertDescription"].as_str().unwrap().is_empty());
    &assertion["Assert"]
}

/// Fargate's pairs: CPU units, then the least, the most and the step of the memory in GiB.
const FARGATE: [(&str, usize, usize, usize); 5] =
    [("1024", 2, 8, 1), ("2048", 4, 16, 1), ("4096", 8, 30, 1), ("8192", 16, 60, 4), ("16384", 32, 120, 8)];

#[test]
fn a_runner_has_a_size_that_fargate_has() {
    let template = template();
    let parameters = &template["Parameters"];
    let known: Vec<&str> = FARGATE.iter().map(|(cpu, ..)| *cpu).collect();
    assert_eq!(parameters["RunnerCpu"]["AllowedValues"], json!(known));
    for (cpu, least, most, step) in FARGATE {
        let memory: Vec<String> = (least..=most).step_by(step).map(|gib| (gib * 1024).to_string()).collect();
        let wanted = json!({"Fn::Contains": [memory, {"Ref": "RunnerMemoryMiB"}]});
        assert_eq!(*asserted(&template, "RunnerCpu", cpu), wanted, "{cpu}");
        if parameters["RunnerCpu"]["Default"] == cpu {
            assert!(memory.contains(&parameters["RunnerMemoryMiB"]["Default"].to_string()));
        }
    }
}

#[test]
fn runners_without_public_addresses_need_a_network_with_a_way_out() {
    let named = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "SubnetIds"}, ""]}]});
    assert_eq!(*asserted(&template(), "PublicAddress", "false"), named);
}

/// Whether an alarm looks at this metric of this queue.
fn is_watched(template: &Value, queue: &str, metric: &str) -> bool {
    of_type(template, "AWS::CloudWatch::Alarm").into_iter().any(|(_, alarm)| {
        let value = &alarm["Dimensions"][0]["Value"]["Fn::GetAtt"];
        alarm["MetricName"] == metric
            && *value == format!("{queue}.QueueName")
            && alarm["AlarmActions"] == json!([{"Ref": "Alarms"}])
    })
}

#[test]
fn every_queue_has_dead_letters_and_alarms() {
    let template = template();
    let mut sources = 0;
    for (name, queue) in of_type(&template, "AWS::SQS::Queue") {
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
        let policy = &queue["RedrivePolicy"];
        if policy.is_null() {
            assert!(name.ends_with("DeadQueue"), "{name} has no dead letters");
            assert!(is_watched(&template, name, "ApproximateNumberOfMessagesVisible"), "{name}");
            assert_eq!(queue["MessageRetentionPeriod"], 14 * 24 * 3600, "{name}");
        } else {
            let dead = name.replace("Queue", "DeadQueue");
            assert_eq!(policy["deadLetterTargetArn"], json!({"Fn::GetAtt": format!("{dead}.Arn")}));
            assert!(is_watched(&template, name, "ApproximateAgeOfOldestMessage"), "{name}");
            sources += 1;
        }
    }
    assert_eq!(sources, 3);
}

#[test]
fn alarms_on_our_own_metrics_name_functions_as_they_are_named() {
    let template = template();
    let ours = of_type(&template, "AWS::CloudWatch::Alarm");
    let ours = ours.into_iter().filter(|(_, alarm)| alarm["Namespace"] == metrics::NAMESPACE);
    let watched: BTreeSet<String> = ours
        .map(|(name, alarm)| {
            assert_eq!(alarm["MetricName"], metrics::TOOK, "{name}");
            assert_eq!(alarm["Dimensions"][0]["Name"], metrics::FUNCTION, "{name}");
            alarm["Dimensions"][0]["Value"]["Fn::Sub"].as_str().unwrap().to_owned()
        })
        .collect();
    let doors = ["ApiFunction", "CoordinatorFunction"].map(|name| {
        let named = &template["Resources"][name]["Properties"]["FunctionName"]["Fn::Sub"];
        named.as_str().unwrap().to_owned()
    });
    assert_eq!(watched, doors.into());
}

#[test]
fn batches_fit_their_queues() {
    let template = template();
    let mut sources = 0;
    for (binary, name, function) in functions(&template) {
        let source = &function["Properties"]["Events"]["Queue"]["Properties"];
        if source.is_null() {
            continue;
        }
        sources += 1;
        let queue = source["Queue"]["Fn::GetAtt"].as_str().unwrap().trim_end_matches(".Arn");
        let visible_s = template["Resources"][queue]["Properties"]["VisibilityTimeout"].as_u64().unwrap();
        let timeout_s = function["Properties"]["Timeout"].as_u64().unwrap();
        assert!(visible_s >= VISIBILITY_FACTOR * timeout_s, "{name}");
        assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{name}");
        assert!(source["ScalingConfig"]["MaximumConcurrency"].as_u64().unwrap() >= 2, "{name}");
        assert!(
            fs::read_to_string(root().join("functions").join(binary).join("main.rs"))
                .unwrap()
                .contains("Batch")
        );
    }
    assert_eq!(sources, 3);
}

#[test]
fn logs_are_kept_for_a_while_and_not_for_ever() {
    let template = template();
    let groups = of_type(&template, "AWS::Logs::LogGroup");
    for (name, group) in &groups {
        assert_eq!(group["RetentionInDays"], json!({"Ref": "LogDays"}), "{name}");
        assert!(!group["KmsKeyId"].is_null(), "{name}");
    }
    for (_, name, function) in functions(&template) {
        let logs = name.replace("Function", "Logs");
        let logging = &function["Properties"]["LoggingConfig"];
        assert_eq!(*logging, json!({"LogFormat": "JSON", "LogGroup": {"Ref": logs}}));
        assert!(groups.iter().any(|(group, _)| *group == logs), "{logs}");
    }
}

#[test]
fn what_the_clock_sends_is_a_sample_and_is_not_lost() {
    let template = template();
    let mut ticks = BTreeSet::new();
    for (name, schedule) in of_type(&template, "AWS::Scheduler::Schedule") {
        let target = &schedule["Target"];
        assert!(!target["DeadLetterConfig"].is_null() && !target["RetryPolicy"].is_null(), "{name}");
        let function = target["Arn"]["Ref"].as_str().unwrap().trim_end_matches(".Alias");
        let input: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
        let (binary, ..) = functions(&template).into_iter().find(|(_, name, _)| name == function).unwrap();
        ticks.insert((binary, input["tick"].as_str().unwrap().to_owned()));
    }
    // Said by a person, and never by the clock.
    let by_hand = ("sweep".to_owned(), "redrive".to_owned());
    assert!(ticks.insert(by_hand));
    let mut samples = BTreeSet::new();
    for binary in folders("events", None) {
        for file in fs::read_dir(root().join("events").join(&binary)).unwrap() {
            let sample: Value =
                serde_json::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
            samples.extend(sample["tick"].as_str().map(|tick| (binary.clone(), tick.to_owned())));
        }
    }
    assert_eq!(ticks, samples);
}

#[test]
fn rules_lose_nothing_and_count_because_they_have_a_target() {
    let template = template();
    let dead =
        &template["Resources"]["EventsDeadQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0];
    let buried = &dead["Condition"]["ArnEquals"]["aws:SourceArn"];
    let rules = of_type(&template, "AWS::Events::Rule");
    for (name, rule) in &rules {
        let target = &rule["Targets"][0];
        assert!(!target["DeadLetterConfig"].is_null() && !target["RetryPolicy"].is_null(), "{name}");
        assert!(list(buried).contains(&&json!({"Fn::GetAtt": format!("{name}.Arn")})), "{name}");
        let named = rule["Name"]["Fn::Sub"].as_str().unwrap();
        let text = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"].as_str();
        let shown = text.unwrap().contains(&format!("\"RuleName\", \"{named}\""));
        assert!(shown || *name == "TaskEventsRule", "{name} is not on the dashboard");
    }
    let verdicts =
        [Verdict::Passed, Verdict::Failed, Verdict::TimedOut, Verdict::Errored, Verdict::Cancelled];
    for verdict in verdicts {
        // Another one belongs into the list above, too.
        match verdict {
            Verdict::Passed | Verdict::Failed | Verdict::TimedOut | Verdict::Errored | Verdict::Cancelled => {
            }
        }
        let of_verdict =
            |rule: &Value| rule["EventPattern"]["detail"]["verdict"] == json!([verdict.as_str()]);
        let mut found = rules.iter().filter(|(_, rule)| of_verdict(rule));
        let (name, rule) = found.next().unwrap_or_else(|| panic!("no rule for `{verdict}`"));
        assert!(found.next().is_none(), "each end is told once: {name}");
        assert_eq!(rule["Targets"][0]["Arn"], json!({"Ref": "NotifyFunction.Alias"}), "{name}");
        assert_eq!(rule["EventPattern"]["source"], json!([aws::events::SOURCE]), "{name}");
        assert_eq!(rule["EventPattern"]["detail-type"], json!([aws::events::RUN_FINISHED]), "{name}");
    }
}

#[test]
fn a_runner_is_a_guest() {
    let template = template();
    let task = &template["Resources"]["TaskDefinition"]["Properties"];
    assert!(task["TaskRoleArn"].is_null(), "a runner holds no credentials");
    let runner = &task["ContainerDefinitions"][0];
    assert_eq!((&runner["ReadonlyRootFilesystem"], &runner["Privileged"]), (&json!(true), &json!(false)));
    assert_eq!(runner["StopTimeout"], aws::limits::STOP_TIMEOUT_LIMIT_S);
    assert_eq!(runner["LogConfiguration"]["Options"]["mode"], "non-blocking");
    let user = runner["User"].as_str().unwrap();
    assert!(!user.starts_with("0") && !user.starts_with("root"), "{user}");
    assert!(runner["Environment"].is_null() && runner["Secrets"].is_null());
}

#[test]
fn what_is_stored_is_encrypted_recoverable_and_private() {
    let template = template();
    let table = &template["Resources"]["Table"]["Properties"];
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"]["SSEType"], "KMS");
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], aws::dynamo::EXPIRY_S_ATTRIBUTE);
    assert_eq!(table["GlobalSecondaryIndexes"][0]["IndexName"], aws::dynamo::INDEX);
    let bucket = &template["Resources"]["Bucket"]["Properties"];
    let block = bucket["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(block.len() == 4 && block.values().all(|value| value == true), "{block:?}");
    for name in ["Table", "Bucket", "Key"] {
        assert_eq!(template["Resources"][name]["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
    }
}

#[test]
fn the_api_is_throttled_logged_and_leads_to_both_doors() {
    let template = template();
    let (_, stage) = of_type(&template, "AWS::ApiGatewayV2::Stage")[0];
    assert!(stage["DefaultRouteSettings"]["ThrottlingRateLimit"].as_u64().unwrap() > 0);
    assert!(!stage["AccessLogSettings"]["Format"].as_str().unwrap().contains("$context.path"));
    let routes: BTreeSet<&str> = of_type(&template, "AWS::ApiGatewayV2::Route")
        .into_iter()
        .map(|(_, route)| route["RouteKey"].as_str().unwrap())
        .collect();
    let prefix = shared::wire::link::LINK_PREFIX;
    assert_eq!(routes, ["$default", &format!("ANY {prefix}/{{proxy+}}")].into());
    for (name, integration) in of_type(&template, "AWS::ApiGatewayV2::Integration") {
        assert!(
            integration["TimeoutInMillis"].as_u64().unwrap() <= aws::limits::HTTP_API_LIMIT_S * 1000,
            "{name}"
        );
        assert_eq!(integration["PayloadFormatVersion"], "2.0", "{name}");
    }
}

#[test]
fn a_deployment_to_production_goes_stepwise_and_back() {
    let template = template();
    let stages = &template["Mappings"]["Stages"];
    assert_eq!(
        (&stages["production"]["Stepwise"], &stages["dev"]["Stepwise"]),
        (&json!(true), &json!(false))
    );
    for (_, name, function) in functions(&template) {
        let preference = &function["Properties"]["DeploymentPreference"];
        let alarm = name.replace("Function", "ErrorsAlarm");
        assert_eq!(preference["Alarms"], json!([{"Ref": alarm}]));
        assert_eq!(template["Resources"][&alarm]["Properties"]["MetricName"], "Errors", "{name}");
    }
    assert_eq!(template["Globals"]["Function"]["AutoPublishAlias"], "live");
}

/// The longest that a variable of the functions can be: of a parameter what the template allows, of a name what AWS does.
fn longest(template: &Value, variable: &str, value: &Value) -> usize {
    let parameter = |name: &str| {
        let found = &template["Parameters"][name];
        let allowed = found["AllowedValues"]
            .as_array()
            .and_then(|all| all.iter().map(|one| one.as_str().unwrap_or_default().len()).max());
        let most = found["MaxLength"].as_u64().map(|most| usize::try_from(most).unwrap());
        allowed.or(most).unwrap_or_else(|| panic!("`{name}` needs a MaxLength: it stands in the environment"))
    };
    let url = |name: usize| "https://sqs.ap-southeast-2.amazonaws.com.cn/123456789012/".len() + name;
    match variable {
        "FLEETEST_TABLE" => 255,
        "FLEETEST_BUCKET" => 63,
        "FLEETEST_PLAN_QUEUE_URL"
        | "FLEETEST_LAUNCH_QUEUE_URL"
        | "FLEETEST_AGGREGATE_QUEUE_URL"
        | "FLEETEST_EVENTS_DEAD_QUEUE_URL" => url(80),
        // Named after the stack, whose name has at most 128 letters.
        "FLEETEST_TASK_DEFINITION" | "FLEETEST_CLUSTER" | "FLEETEST_EVENT_BUS" => 128 + "-runners".len(),
        "FLEETEST_SUBNETS" => parameter("SubnetIds"),
        "FLEETEST_SECURITY_GROUPS" => parameter("SecurityGroupIds"),
        "FLEETEST_LINK_URL" => parameter("LinkUrl"),
        "FLEETEST_TOKEN_KEY_SECRET" => 200,
        _ => match (value.as_str(), value["Ref"].as_str(), value["Fn::If"][1]["Ref"].as_str()) {
            (Some(text), ..) => text.len(),
            (None, Some(name), _) | (None, None, Some(name)) => parameter(name),
            (None, None, None) => panic!("say how long `{variable}` can be"),
        },
    }
}

#[test]
fn the_environment_of_a_function_fits_what_lambda_takes() {
    let template = template();
    let variables = template["Globals"]["Function"]["Environment"]["Variables"].as_object().unwrap();
    let size: usize =
        variables.iter().map(|(name, value)| name.len() + longest(&template, name, value)).sum();
    assert!(size <= aws::limits::FUNCTION_ENVIRONMENT_LIMIT_BYTES, "{size}");
    for (binary, _, function) in functions(&template) {
        assert!(function["Properties"]["Environment"].is_null(), "{binary} is not counted");
    }
}
