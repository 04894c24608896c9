//! The tables of addresses and URLs that must not be reached, by any spelling.

use notify::address::{Kind, kind};
use notify::guard::{Allow, Blocked, Guard, SystemLookup};
use std::collections::BTreeSet;
use std::sync::Arc;

fn guard(allow: Allow) -> Guard {
    Guard::new(allow, Arc::new(SystemLookup))
}

const PUBLIC: [&str; 19] = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.0.1",
    "198.17.0.1",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:4860::8888",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
];
const PRIVATE: [&str; 15] = [
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fd00::1",
    "fcff::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::192.168.0.1",
];
const FORBIDDEN: [&str; 35] = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fd00:ec2::254",
    "5f00::1",
    "4000::1",
    "::ffff:0:127.0.0.1",
];

#[test]
fn addresses_are_judged_by_where_they_lead() {
    for (texts, expected) in
        [(&PUBLIC[..], Kind::Public), (&PRIVATE[..], Kind::Private), (&FORBIDDEN[..], Kind::Forbidden)]
    {
        for text in texts {
            assert_eq!(kind(text.parse().unwrap()), expected, "{text}");
        }
    }
}

const HOSTILE: [(&str, Blocked); 65] = [
    ("", Blocked::NoUrl),
    ("hooks.example.org", Blocked::NoUrl),
    ("https://", Blocked::NoUrl),
    ("https://[::1", Blocked::NoUrl),
    ("https://256.1.1.1/", Blocked::NoUrl),
    ("https://example.org:99999/", Blocked::NoUrl),
    ("file:///etc/passwd", Blocked::NoUrl),
    ("data:text/plain,x", Blocked::NoUrl),
    ("mailto:a@example.org", Blocked::NoUrl),
    ("ftp://example.org/", Blocked::Scheme),
    ("gopher://example.org/", Blocked::Scheme),
    ("ws://example.org/", Blocked::Scheme),
    ("http://example.org/", Blocked::Scheme),
    ("HTTP://EXAMPLE.ORG/", Blocked::Scheme),
    ("https://user@example.org/", Blocked::User),
    ("https://user:password@example.org/", Blocked::User),
    ("https://example.org@127.0.0.1/", Blocked::User),
    ("https://:x@example.org/", Blocked::User),
    ("https://example.org:8443/", Blocked::Port),
    ("https://example.org:22/", Blocked::Port),
    ("https://example.org:80/", Blocked::Port),
    ("https://127.0.0.1/", Blocked::Address),
    ("https://127.1/", Blocked::Address),
    ("https://127.0.0.1./", Blocked::Address),
    ("https://2130706433/", Blocked::Address),
    ("https://0x7f000001/", Blocked::Address),
    ("https://0x7f.1/", Blocked::Address),
    ("https://0177.0.0.1/", Blocked::Address),
    ("https://017700000001/", Blocked::Address),
    ("https://0/", Blocked::Address),
    ("https://0.0.0.0/", Blocked::Address),
    ("https://①②⑦.⓪.⓪.①/", Blocked::Address),
    ("https://127。0。0。1/", Blocked::Address),
    ("https://%31%32%37.0.0.1/", Blocked::Address),
    ("https:\\\\127.0.0.1\\", Blocked::Address),
    ("https:127.0.0.1", Blocked::Address),
    ("https:///127.0.0.1/", Blocked::Address),
    (" https://127.0.0.1/", Blocked::Address),
    ("https://127.0.0.1\t/", Blocked::Address),
    ("h\nttps://127.0.0.1/", Blocked::Address),
    ("https://127.0.0.1#@example.org/", Blocked::Address),
    ("https://127.0.0.1?@example.org/", Blocked::Address),
    ("https://10.0.0.1/", Blocked::Address),
    ("https://100.64.0.1/", Blocked::Address),
    ("https://172.16.0.1/", Blocked::Address),
    ("https://192.168.0.1/", Blocked::Address),
    ("https://169.254.169.254/latest/meta-data/", Blocked::Address),
    ("https://169.254.170.2/v2/credentials", Blocked::Address),
    ("https://2852039166/", Blocked::Address),
    ("https://0xa9fea9fe/", Blocked::Address),
    ("https://168.63.129.16/", Blocked::Address),
    ("https://[::1]/", Blocked::Address),
    ("https://[::]/", Blocked::Address),
    ("https://[0:0:0:0:0:0:0:1]/", Blocked::Address),
    ("https://[::ffff:127.0.0.1]/", Blocked::Address),
    ("https://[::ffff:7f00:1]/", Blocked::Address),
    ("https://[::ffff:a9fe:a9fe]/", Blocked::Address),
    ("https://[64:ff9b::127.0.0.1]/", Blocked::Address),
    ("https://[2002:7f00:1::]/", Blocked::Address),
    ("https://[fe80::1]/", Blocked::Address),
    ("https://[fd00:ec2::254]/", Blocked::Address),
    ("https://[ff02::1]/", Blocked::Address),
    ("https://[2001:db8::1]/", Blocked::Address),
    ("https://224.0.0.1/", Blocked::Address),
    ("https://255.255.255.255/", Blocked::Address),
];

#[test]
fn hostile_urls_are_stopped_before_anything_is_looked_up() {
    let guard = guard(Allow::default());
    for (url, reason) in HOSTILE {
        assert_eq!(guard.check(url), Err(reason), "{url:?}");
    }
    for url in ["https://hooks.slack.com/services/x", "https://example.org:443/x?y#z", "https://1.1.1.1/"] {
        assert!(guard.check(url).is_ok(), "{url}");
    }
}

#[test]
fn what_the_operator_allows_passes_and_no_more() {
    let named = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect::<BTreeSet<_>>();
    let plain = guard(Allow { plain: true, ..Allow::default() });
    assert!(plain.check("http://example.org/").is_ok());
    assert_eq!(plain.check("http://example.org:8080/"), Err(Blocked::Port));
    assert_eq!(plain.check("http://127.0.0.1/"), Err(Blocked::Address));
    let private = guard(Allow { private: true, ..Allow::default() });
    for url in [
        "http://127.0.0.1:9/x",
        "https://10.0.0.1:8443/",
        "http://receiver.internal:8080/",
        "http://[::1]:1/",
    ] {
        assert!(private.check(url).is_ok(), "{url}");
    }
    for url in
        ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://0.0.0.0:80/", "ftp://127.0.0.1/"]
    {
        assert!(private.check(url).is_err(), "{url}");
    }
    let one = guard(Allow { hosts: named(&["127.0.0.1", "[::1]", "ci.internal"]), ..Allow::default() });
    for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://ci.internal:8080/"] {
        assert!(one.check(url).is_ok(), "{url}");
    }
    for url in ["http://127.0.0.2:9/", "http://10.0.0.1/", "http://other.internal/", "http://u@127.0.0.1/"] {
        assert!(one.check(url).is_err(), "{url}");
    }
}
