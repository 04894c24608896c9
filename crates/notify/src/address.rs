//! Which addresses are of the public internet, and which lead into the server, its network or its cloud.
//!
//! IPv6 is judged by what is allowed (global unicast, without the parts that carry or stand for something else), IPv4
//! by what is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of the public internet.
    Public,
    /// Of this machine or of a private network: reachable if the operator says so.
    Private,
    /// Never to be reached: metadata services, multicast, reserved, documentation.
    Forbidden,
}

/// Networks of IPv4 that are not public, with the length of their prefixes.
const V4: [(Ipv4Addr, u32, Kind); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, Kind::Forbidden),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Kind::Private),
    // The metadata service of a cloud lies in the shared address space.
    (Ipv4Addr::new(100, 100, 100, 200), 32, Kind::Forbidden),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Kind::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Kind::Private),
    // The platform of a cloud, at an address that looks public.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Kind::Forbidden),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Kind::Forbidden),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Kind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Kind::Forbidden),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Kind::Forbidden),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Kind::Forbidden),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Kind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Kind::Forbidden),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Kind::Forbidden),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Kind::Forbidden),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Kind::Forbidden),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Kind::Forbidden),
];

/// Parts of global unicast that are not public: Teredo, benchmarks, ORCHID, 6to4, documentation, and the metadata
/// service of a cloud among the unique local ones.
const V6: [(Ipv6Addr, u32, Kind); 9] = [
    (Ipv6Addr::LOCALHOST, 128, Kind::Private),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, Kind::Forbidden),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0), 32, Kind::Forbidden),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Kind::Private),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Kind::Forbidden),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Kind::Forbidden),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Kind::Forbidden),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Kind::Forbidden),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, Kind::Forbidden),
];

/// What an address is. One that carries an IPv4 address inside is what that is.
#[must_use]
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => carried(address).map_or_else(|| kind_v6(address), kind_v4),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let inside = |net: Ipv4Addr, length: u32| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        (address.to_bits() ^ net.to_bits()) & mask == 0
    };
    V4.iter().find(|(net, length, _)| inside(*net, *length)).map_or(Kind::Public, |(_, _, kind)| *kind)
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    let inside = |net: Ipv6Addr, length: u32| {
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        (address.to_bits() ^ net.to_bits()) & mask == 0
    };
    let listed = V6.iter().find(|(net, length, _)| inside(*net, *length)).map(|(_, _, kind)| *kind);
    let global = address.to_bits() >> 125 == 1;
    listed.unwrap_or(if global { Kind::Public } else { Kind::Forbidden })
}

/// The IPv4 address in a mapped (`::ffff:0:0/96`) or translated (`64:ff9b::/96`) one.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = u32::try_from(address.to_bits() & u128::from(u32::MAX)).ok()?;
    let high = address.to_bits() >> 32;
    matches!(high, 0xffff | 0x0064_ff9b_0000_0000_0000_0000).then(|| Ipv4Addr::from_bits(low))
}
