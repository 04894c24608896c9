//! Flags of `run --remote` that mean nothing there.

use crate::args::{Cli, Command};
use crate::config::Config;
use crate::exit::Exit;
use crate::remote::Session;
use crate::remote::client::Client;
use crate::remote::console::Console;
use crate::remote::settings::Settings;
use clap::Parser as _;
use shared::domain::time::Timestamp;

#[test]
fn flags_without_meaning_are_refused_before_anything_is_asked() {
    let scratch = tempfile::tempdir().unwrap();
    // Port 9 of loopback is nobody's: whatever asks there ends in another code.
    let remote = Settings { url: Some("http://127.0.0.1:9".to_owned()), ..Settings::default() };
    let config = Config { here: scratch.path().to_owned(), remote, ..Config::default() };
    let client = Client::new(&config.remote).unwrap();
    let lines: [&[&str]; 13] = [
        &["--slots=2"],
        &["--shards=2"],
        &["--retries=1"],
        &["--case-timeout=1s"],
        &["--failed"],
        &["--no-history"],
        &["--ref=main", "--upload"],
        &["--detach", "--junit=x"],
        &["--filter=("],
        &["no-such-directory"],
        &["https://example.org/web"],
        &["--timeout=2d"],
        &["--project=No Such"],
    ];
    for line in lines {
        let cli = Cli::try_parse_from(["fleetest", "run", "--remote"].iter().chain(line)).unwrap();
        let Command::Run(args) = cli.command else { panic!("not a run") };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::plain(&mut out, &mut err, || Timestamp(0));
        let mut session = Session { client: &client, config: &config, console: &mut console };
        let problem = session.run_remotely(&args).unwrap_err();
        assert_eq!(problem.exit(), Exit::Usage, "{line:?}: {problem}");
    }
}
