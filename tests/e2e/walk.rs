//! The walk of the README, typed as it is printed.

use crate::commands::Shell;
use crate::instance::Instance;
use crate::stage::{Stage, fleetest};
use std::fs;
use std::net::TcpListener;
use std::path::Path;

/// Says which command ended with a code that a walk must not meet; 1 and 4 are verdicts.
const WATCHFUL: &str = r#"trap 'code=$?; case $code in 1|4) ;; *) echo "BROKEN $code: $BASH_COMMAND" ;; esac' ERR
"#;

#[test]
fn the_walk_of_the_readme_works_as_printed() {
    let stage = Stage::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let server = readme.lines().find(|line| line.starts_with("fleetest serve --allow")).unwrap();
    let options: Vec<&str> = server.split(' ').skip(2).collect();
    let server = Instance::new(&stage).start_with(&options);
    let walk = readme.split("```sh\n").find(|block| block.starts_with("export FLEETEST_URL")).unwrap();
    let walk = walk.split("```").next().unwrap();
    let (_, walk) = walk.split_once('\n').unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!("{WATCHFUL}{}", walk.replace("9009", &free.to_string()));

    let home = stage.beside("");
    let path = std::env::vars_os().find(|(name, _)| name == "PATH").unwrap().1.into_string().unwrap();
    let own = fleetest().parent().unwrap().display().to_string();
    let mut shell = Shell::new(&stage, &server).with("HOME", home.to_str().unwrap());
    shell = shell.with("PATH", &format!("{own}:{path}"));
    for (name, value) in [("NAME", "t"), ("EMAIL", "t@example.org")] {
        shell =
            shell.with(&format!("GIT_AUTHOR_{name}"), value).with(&format!("GIT_COMMITTER_{name}"), value);
    }
    let said = shell.runs(&script, root).ends();
    assert!(!said.out.contains("BROKEN"), "{said:#?}");
    assert_eq!(said.err.matches("error: ").count(), 0, "{}", said.err);
    assert_eq!(said.err.matches("sending ").count(), 3, "{}", said.err);
    let shown = ["VERDICT", "FAILED", "ROLE", "fl_", "nightly", "a test message", "delivered", "key.revoked"];
    said.shows(&shown);
    for part in ["5 passed", "1 failed, 4 passed", "words::is_sorted", "told to stop", "has no log"] {
        assert!(said.err.contains(part), "`{part}`: {said:#?}");
    }
}
