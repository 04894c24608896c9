//! The AWS emulator that tests of the AWS adapters share: installed under `target/`, started on loopback.
//!
//! It runs below a small script that ends it when its standard input ends, so it never outlives this process.

use crate::{launch, place, say, toolbox};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Tells tests where it is.
pub(crate) const ENDPOINT_VARIABLE: &str = "FLEETEST_AWS_ENDPOINT";
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A running emulator; ends with this value.
#[derive(Debug)]
pub(crate) struct Emulator {
    child: Child,
    endpoint: String,
}

impl Emulator {
    /// Its address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it answers to an operation of one of the services that speak JSON 1.1.
    pub(crate) fn asked(
        &self,
        region: &str,
        (service, operation): (&str, &str),
        body: &Value,
    ) -> Result<Value> {
        let address = self.endpoint.trim_start_matches("http://");
        let body = body.to_string();
        // It believes the credential's account and region, and looks at no signature.
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: {service}.{operation}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/{region}/{service}/\
             aws4_request, SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).context("the AWS emulator takes no connection")?;
        stream.set_read_timeout(Some(PATIENCE)).context("no time limit for the AWS emulator")?;
        let mut answer = String::new();
        stream.write_all(request.as_bytes()).context("the AWS emulator hung up")?;
        stream.read_to_string(&mut answer).context("the AWS emulator gave no answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
        if !head.starts_with("HTTP/1.1 200") {
            bail!("the AWS emulator does not {operation}: {answer}");
        }
        serde_json::from_str(body).with_context(|| format!("the AWS emulator wrote no JSON: {answer}"))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // The script has seen the end of its input, or is gone already.
        drop(self.child.wait());
    }
}

/// `cargo xtask emulator`.
pub(crate) fn command() -> Result<()> {
    let python = toolbox::emulator_python()?;
    say::err(&format!("the AWS emulator is installed: {}", python.display()));
    Ok(())
}

/// Installs it if need be, and starts it on a free port.
pub(crate) fn start() -> Result<Emulator> {
    let python = toolbox::emulator_python()?;
    start_with(&python, &place::root().join("tests/src/emulator.py"), &[], "emulator.log")
}

/// Starts it by a script of its own, which is given the port and then these arguments.
pub(crate) fn start_with(
    python: &Path,
    script: &Path,
    arguments: &[OsString],
    log: &str,
) -> Result<Emulator> {
    let port = free_port()?;
    let log = place::target().join(log);
    let output = File::create(&log).with_context(|| format!("could not create `{}`", log.display()))?;
    let second = output.try_clone().context("could not open the log twice")?;
    let mut command = Command::new(python);
    command.arg(script).arg(port.to_string()).args(arguments);
    command.stdin(Stdio::piped()).stdout(output).stderr(second);
    let child = command.spawn().with_context(|| format!("could not start `{}`", launch::line(&command)))?;
    let mut emulator = Emulator { child, endpoint: format!("http://127.0.0.1:{port}") };
    let begin = Instant::now();
    while !is_healthy(port) {
        let ended = emulator.child.try_wait().context("could not look at the AWS emulator")?;
        if ended.is_some() || begin.elapsed() > PATIENCE {
            bail!("the AWS emulator does not answer; see `{}`", log.display());
        }
        thread::sleep(PAUSE);
    }
    Ok(emulator)
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    Ok(listener.local_addr().context("no free port on loopback")?.port())
}

fn is_healthy(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, ANSWER_WITHIN) else { return false };
    if stream.set_read_timeout(Some(ANSWER_WITHIN)).is_err() {
        return false;
    }
    let request = "GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    asked.is_ok() && answer.starts_with("HTTP/1.1 200")
}
