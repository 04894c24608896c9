//! The configured HTTP client speaks TLS and believes only whom it should.

use crate::adapters::START;
use crate::hosted::Hosted;
use crate::hosting::hosted;
use crate::stage;
use aws::connection::Connection;
use aws::dynamo::DynamoStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use shared::ports::{Key, PortError, Store as _};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use testkit::contract::block_on;
use testkit::memory::ManualClock;

/// A server with a certificate of its own that answers every request with `{}`; its address and certificate.
fn server() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let mut head = [0; 4096];
            // Who does not believe the certificate goes away here.
            if stream.read(&mut head).is_ok_and(|read| read > 0) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                drop(stream.write_all(answer.as_bytes()));
                drop(stream.flush());
            }
        }
    });
    (format!("https://localhost:{port}"), made.cert.pem())
}

fn load(connection: &Connection) -> Result<(), PortError> {
    let store = Hosted(DynamoStore::new(connection.dynamodb(), "table", Arc::new(ManualClock::new(START))));
    let found = block_on(store.load(&Key::new("p", "s"), START))?;
    assert_eq!(found, None);
    Ok(())
}

#[test]
fn a_call_by_tls_reaches_a_trusted_server_and_no_other() {
    let (url, certificate) = server();
    let trusting = block_on(hosted(async {
        Connection::trusting(stage::account(&url), certificate.as_bytes()).unwrap()
    }));
    load(&trusting).unwrap();
    assert_eq!(trusting.counts().of("DynamoDB"), 1);
    let refused = load(&Connection::new(stage::account(&url))).unwrap_err();
    assert!(matches!(&refused, PortError::Unavailable { .. }), "{refused}");
    assert!(refused.to_string().to_lowercase().contains("certificate"), "{refused}");
}
