//! Addresses: one form for each, and small numbers for those in use.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The one form in which quiche sees an address: paths are keyed by addresses, and two forms of one would be two paths.
/// IPv4-mapped addresses become IPv4, flow labels are dropped, scope ids stay only where they mean something.
pub fn normalise(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.ip().to_ipv4_mapped() {
        return SocketAddr::new(IpAddr::V4(v4), v6.port());
    }
    let scope = if v6.ip().is_unicast_link_local() { v6.scope_id() } else { 0 };
    SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))
}

/// Addresses by small numbers, which cross borders more cheaply than text.
#[derive(Debug, Default)]
pub struct AddressBook {
    numbers: HashMap<SocketAddr, u32>,
    addresses: Vec<SocketAddr>,
}

impl AddressBook {
    /// The number of an address, a new one if it has none.
    pub fn number(&mut self, address: SocketAddr) -> u32 {
        let address = normalise(address);
        *self.numbers.entry(address).or_insert_with(|| {
            self.addresses.push(address);
            u32::try_from(self.addresses.len() - 1).expect("memory ends before there are 2^32 addresses")
        })
    }

    /// The address with this number.
    pub fn address(&self, number: u32) -> Option<SocketAddr> {
        self.addresses.get(number as usize).copied()
    }

    /// Forgets all: strangers must not fill the book.
    pub fn clear(&mut self) {
        self.numbers.clear();
        self.addresses.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SocketAddr {
        text.parse().expect("the test names a valid address")
    }

    #[test]
    fn one_form_for_each_address() {
        assert_eq!(normalise(parse("[::ffff:127.0.0.1]:5")), parse("127.0.0.1:5"));
        let flow = SocketAddr::V6(SocketAddrV6::new("2001:db8::1".parse().expect("valid"), 5, 9, 3));
        assert_eq!(normalise(flow), parse("[2001:db8::1]:5"));
        assert_eq!(normalise(parse("[fe80::1%3]:5")), parse("[fe80::1%3]:5"));
    }

    #[test]
    fn numbers_are_stable_until_cleared() {
        let mut book = AddressBook::default();
        let number = book.number(parse("127.0.0.1:5"));
        assert_eq!(book.number(parse("[::ffff:127.0.0.1]:5")), number);
        assert_ne!(book.number(parse("127.0.0.1:6")), number);
        assert_eq!(book.address(number), Some(parse("127.0.0.1:5")));
        book.clear();
        assert_eq!(book.address(number), None);
    }
}
