//! Bare datagrams of ours, outside of any connection: punches, which open the way through NATs, and questions for the
//! address from which we are seen. `docs/punching.md` has the layout.
//!
//! All have one length, so that no answer is larger than what it answers.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::address::normalise;

/// Length of every probe in bytes.
pub const LENGTH: usize = 40;
/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 16;
/// Names one probe or one series of them: whoever echoes it has received it.
pub type Nonce = [u8; NONCE_LENGTH];

/// RFC 9443: 4 to 15 belong to no protocol that shares ports with QUIC. The rest keeps random bytes from being answered.
const HEAD: [u8; 4] = [0x0c, b'p', b'k', b'q'];
const KIND: usize = 4;
/// A byte of zero, for what may come.
const RESERVED: usize = 5;
const NONCE: usize = 6;
const PORT: usize = NONCE + NONCE_LENGTH;
const IP: usize = PORT + 2;

/// What a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Let me in, and answer if you hear me.
    Punch,
    /// I have heard your punch, from this address.
    PunchAnswer(SocketAddr),
    /// Where do you see me?
    Observe,
    /// There.
    ObserveAnswer(SocketAddr),
}

/// A bare datagram of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// What it says.
    pub said: Said,
    /// Of the request; an answer echoes it.
    pub nonce: Nonce,
}

impl Probe {
    /// The probe that a datagram is; `None` for any other datagram.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = datagram.try_into().ok()?;
        if bytes[..KIND] != HEAD || bytes[RESERVED] != 0 {
            return None;
        }
        let nonce = bytes[NONCE..PORT].try_into().expect("the range has this length");
        let said = match bytes[KIND] {
            1 => Said::Punch,
            2 => Said::PunchAnswer(address(bytes, &nonce)),
            3 => Said::Observe,
            4 => Said::ObserveAnswer(address(bytes, &nonce)),
            _ => return None,
        };
        Some(Self { said, nonce })
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; LENGTH] {
        let (kind, address) = match self.said {
            Said::Punch => (1, None),
            Said::PunchAnswer(address) => (2, Some(address)),
            Said::Observe => (3, None),
            Said::ObserveAnswer(address) => (4, Some(address)),
        };
        let mut bytes = [0; LENGTH];
        bytes[..KIND].copy_from_slice(&HEAD);
        bytes[KIND] = kind;
        bytes[NONCE..PORT].copy_from_slice(&self.nonce);
        if let Some(address) = address {
            bytes[PORT..IP].copy_from_slice(&address.port().to_be_bytes());
            bytes[IP..].copy_from_slice(&in_six(address.ip()).octets());
            mask(&mut bytes, &self.nonce);
        }
        bytes
    }
}

/// As in STUN (RFC 8489 §14.2), addresses go in disguise: some NATs translate what looks like one of theirs.
fn mask(bytes: &mut [u8; LENGTH], nonce: &Nonce) {
    for (byte, mask) in bytes[PORT..].iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
}

fn address(bytes: &[u8; LENGTH], nonce: &Nonce) -> SocketAddr {
    let mut bytes = *bytes;
    mask(&mut bytes, nonce);
    let port = u16::from_be_bytes([bytes[PORT], bytes[PORT + 1]]);
    let octets: [u8; 16] = bytes[IP..].try_into().expect("the rest has this length");
    normalise(SocketAddr::new(Ipv6Addr::from(octets).into(), port))
}

fn in_six(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_probe() -> impl Strategy<Value = Probe> {
        let address = any::<(IpAddr, u16)>().prop_map(|(ip, port)| normalise(SocketAddr::new(ip, port)));
        // Without a scope: what it means is known on one machine only.
        let address = address.prop_map(|address| SocketAddr::new(address.ip(), address.port()));
        let said = (0..4, address).prop_map(|(kind, address)| match kind {
            0 => Said::Punch,
            1 => Said::PunchAnswer(address),
            2 => Said::Observe,
            _ => Said::ObserveAnswer(address),
        });
        (said, any::<Nonce>()).prop_map(|(said, nonce)| Probe { said, nonce })
    }

    #[test]
    fn an_address_never_stands_there_as_it_is() {
        let address = "192.168.1.2:500".parse().expect("an address");
        let nonce = [0xa5; NONCE_LENGTH];
        let said = Said::ObserveAnswer(address);
        let bytes = Probe { said, nonce }.encode();
        assert!(!bytes.windows(4).any(|window| window == [192, 168, 1, 2]));
        assert_eq!(Probe::parse(&bytes).expect("a probe").said, said);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_again(probe in any_probe()) {
            prop_assert_eq!(Probe::parse(&probe.encode()), Some(probe));
        }

        #[test]
        fn the_first_byte_is_nobody_elses(probe in any_probe()) {
            prop_assert!((4..16).contains(&probe.encode()[0]));
        }

        #[test]
        fn no_other_length_is_a_probe(probe in any_probe(), length in 0..100_usize) {
            let mut bytes = probe.encode().to_vec();
            bytes.resize(length, 0);
            prop_assert_eq!(Probe::parse(&bytes).is_some(), length == LENGTH);
        }

        #[test]
        fn a_changed_head_is_no_probe(probe in any_probe(), place in 0..KIND, change in 1..=u8::MAX) {
            let mut bytes = probe.encode();
            bytes[place] ^= change;
            prop_assert_eq!(Probe::parse(&bytes), None);
        }

        #[test]
        fn any_bytes_are_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), LENGTH), kind in any::<u8>()) {
            let mut bytes = bytes;
            Probe::parse(&bytes);
            bytes[..KIND].copy_from_slice(&HEAD);
            bytes[KIND] = kind;
            bytes[RESERVED] = 0;
            prop_assert_eq!(Probe::parse(&bytes).is_some(), (1..=4).contains(&kind));
        }
    }
}
