use std::cell::RefCell;
use std::time::Duration;

use super::*;
use crate::quic::endpoint::{EndpointSettings, Epoch};
use crate::udp;

const LOCAL: &str = "127.0.0.1:4433";
const PEER: &str = "127.0.0.1:5544";
/// More datagrams of 1200 bytes than one turn sends, whose last burst goes beyond its share; fewer than two do.
pub(super) const MORE_THAN_A_SHARE: usize = MAX_SENT * 7 / 4 / 1200;

/// A socket without a system: it takes as many datagrams as `room` says, and refuses those to `refused`.
#[derive(Default)]
pub(super) struct FakeWire {
    pub(super) room: usize,
    refused: Option<SocketAddr>,
    pub(super) is_dead: bool,
    forbids_fragments: bool,
    /// Taken before, and refused since.
    failed_late: usize,
    pub(super) sent: RefCell<Vec<(Vec<u8>, SocketAddr)>>,
}

impl FakeWire {
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }
}

impl Wire for FakeWire {
    fn forbid_fragments(&mut self) {
        self.forbids_fragments = true;
    }

    fn drain(&self, _inbox: &mut Inbox) -> io::Result<bool> {
        if self.is_dead {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(false)
    }

    fn burst(&mut self, bytes: &[u8], entries: &[Entry]) -> io::Result<Burst> {
        if self.is_dead {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut burst = Burst {
            failed: std::mem::take(&mut self.failed_late),
            ..Burst::default()
        };
        for entry in entries {
            if self.refused == Some(entry.address) {
                burst.failed += 1;
            } else if self.room > 0 {
                let datagram = entry.datagram(bytes).to_vec();
                self.sent.borrow_mut().push((datagram, entry.address));
                self.room -= 1;
            } else {
                burst.is_blocked = true;
                break;
            }
            burst.done += 1;
        }
        Ok(burst)
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.refused == Some(to) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.sent.borrow_mut().push((datagram.to_vec(), to));
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// An endpoint that listens, and so answers packets of unknown versions.
pub(super) fn endpoint() -> Endpoint {
    let mut endpoint = unbound_endpoint();
    endpoint.set_local_address(LOCAL.parse().expect("a valid address"));
    endpoint.listen(std::rc::Rc::new(RefCell::new(
        crate::quic::Config::new(quiche::PROTOCOL_VERSION).expect("a valid version"),
    )));
    endpoint
}

/// One that doesn't know its address.
pub(super) fn unbound_endpoint() -> Endpoint {
    let epoch = Epoch {
        instant: now(),
        unix: Duration::ZERO,
    };
    Endpoint::new(EndpointSettings::default(), epoch).expect("valid settings")
}

/// A packet of a version that nobody knows: answered by one of version negotiation.
pub(super) fn unknown_version() -> Vec<u8> {
    let mut packet = vec![0; 1200];
    packet[..15].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 4, 1, 2, 3, 4, 4, 5, 6, 7, 8]);
    packet
}

/// A driver whose endpoint has so many datagrams to send, to one peer each.
fn loaded(wire: FakeWire, count: u16) -> (Driver<FakeWire>, Endpoint) {
    let (driver, mut endpoint) = (Driver::new(wire), endpoint());
    let peer: SocketAddr = PEER.parse().expect("a valid address");
    for index in 0..count {
        let from = SocketAddr::new(peer.ip(), peer.port() + index);
        endpoint.receive_one(&mut unknown_version(), from, now());
    }
    (driver, endpoint)
}

fn ports(driver: &Driver<FakeWire>) -> Vec<u16> {
    driver.wire().sent.borrow().iter().map(|(_, to)| to.port()).collect()
}

#[test]
fn what_the_system_would_not_take_is_sent_later_in_order() {
    let (mut driver, mut endpoint) = loaded(FakeWire::with_room(2), 5);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Room));
    driver.resume(Pause::Room);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Room));
    driver.wire.room = 10;
    // Not before somebody says that there is room, and nothing else does as well.
    driver.resume(Pause::Turn);
    driver.flush(&mut endpoint, now());
    assert_eq!(ports(&driver), [5544, 5545]);
    driver.resume(Pause::Room);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), None);
    assert_eq!(ports(&driver), [5544, 5545, 5546, 5547, 5548]);
    assert_eq!((driver.stats.sent, driver.stats.failed), (5, 0));
    assert_eq!(driver.stats.blocked, 2);
}

#[test]
fn a_turn_sends_its_share_and_the_next_one_the_rest() {
    let (mut driver, mut endpoint) = loaded(FakeWire::default(), 0);
    let to = PEER.parse().expect("a valid address");
    for _ in 0..MORE_THAN_A_SHARE {
        driver.send_raw(&[0; 1200], to).expect("it is kept");
    }
    driver.wire.room = usize::MAX;
    driver.resume(Pause::Room);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Turn));
    let (sent, all) = (driver.stats.sent, MORE_THAN_A_SHARE as u64);
    assert!((1..all).contains(&sent));
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.stats.sent, sent);
    driver.resume(Pause::Turn);
    driver.flush(&mut endpoint, now());
    assert_eq!((driver.pause(), driver.stats.sent), (None, all));
}

#[test]
fn what_the_system_refuses_is_counted_and_stops_nothing() {
    let refused = Some("127.0.0.1:5545".parse().expect("a valid address"));
    let (mut driver, mut endpoint) = loaded(
        FakeWire {
            room: 10,
            refused,
            ..FakeWire::default()
        },
        3,
    );
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), None);
    assert_eq!(ports(&driver), [5544, 5546]);
    assert_eq!((driver.stats.sent, driver.stats.failed), (2, 1));
    assert_eq!(endpoint.stats.send_failures, 1);
}

#[test]
fn what_the_system_took_and_refuses_later_is_no_longer_sent() {
    let (mut driver, mut endpoint) = loaded(FakeWire::with_room(1), 2);
    driver.flush(&mut endpoint, now());
    assert_eq!((driver.stats.sent, driver.stats.failed), (1, 0));
    driver.wire.failed_late = 1;
    driver.resume(Pause::Room);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Room));
    assert_eq!((driver.stats.sent, driver.stats.failed), (0, 1));
    assert_eq!(endpoint.stats.send_failures, 1);
}

#[test]
fn fragments_are_forbidden_once_a_connection_searches_for_its_path_mtu() {
    for searches in [false, true] {
        let (mut driver, mut endpoint) = loaded(FakeWire::default(), 0);
        let mut config = crate::quic::Config::new(quiche::PROTOCOL_VERSION).expect("a valid version");
        config.set_discover_pmtu(searches);
        let config = std::rc::Rc::new(RefCell::new(config));
        let peer = PEER.parse().expect("a valid address");
        endpoint.connect(&config, None, peer, now()).expect("a connection");
        driver.flush(&mut endpoint, now());
        assert_eq!(driver.wire().forbids_fragments, searches);
    }
}

#[test]
fn a_dead_socket_is_told() {
    let (mut driver, mut endpoint) = loaded(
        FakeWire {
            is_dead: true,
            ..FakeWire::default()
        },
        1,
    );
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Dead));
}

#[test]
fn a_socket_that_dies_with_nothing_to_be_sent_is_told() {
    let (mut driver, mut endpoint) = loaded(FakeWire::default(), 0);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), None);
    driver.wire.is_dead = true;
    driver.receive(&mut endpoint, now()).expect("it is bound");
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Dead));
}

#[test]
fn a_bare_datagram_stays_behind_what_waits() {
    let (mut driver, mut endpoint) = loaded(FakeWire::default(), 2);
    let [near, refused] = ["127.0.0.1:7001", "127.0.0.1:7002"].map(|text| text.parse().expect("a valid address"));
    driver.wire.refused = Some(refused);
    driver.send_raw(b"first", near).expect("it is kept");
    assert_eq!(driver.pause(), Some(Pause::Room));
    driver.resume(Pause::Room);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), Some(Pause::Room));
    driver.wire.room = 10;
    driver.send_raw(b"second", near).expect("it is kept");
    driver.resume(Pause::Room);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), None);
    driver.send_raw(b"third", near).expect("it is sent");
    assert!(driver.send_raw(b"fourth", refused).is_err());
    assert_eq!(ports(&driver), [7001, 7001, 5544, 5545, 7001]);
    assert_eq!((driver.stats.sent, driver.stats.failed), (5, 1));
}

/// A driver of a real socket, its endpoint, and somebody who has sent it so many packets of unknown versions.
fn addressed(count: usize) -> (Driver<udp::Socket>, Endpoint, udp::Socket) {
    let options = udp::BindOptions {
        address: "127.0.0.1:0".parse().expect("a valid address"),
        is_ipv6_only: false,
        reuses_address: false,
        receive_buffer: 1 << 20,
        send_buffer: 1 << 20,
        offload: true,
    };
    let driver = Driver::new(udp::Socket::bind(&options).expect("a free port"));
    let mut peer = udp::Socket::bind(&options).expect("a free port");
    let to = driver.wire().local_address().expect("it is bound");
    let entries: Vec<_> = (0..count)
        .map(|index| Entry {
            offset: index * 1200,
            length: 1200,
            address: to,
        })
        .collect();
    peer.burst(&unknown_version().repeat(count), &entries)
        .expect("it is alive");
    (driver, endpoint(), peer)
}

#[test]
fn an_endpoint_answers_over_real_sockets() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let (mut driver, mut endpoint, peer) = addressed(1);
    driver.receive(&mut endpoint, now()).expect("it is bound");
    driver.receive(&mut endpoint, now()).expect("it is bound");
    assert_eq!((driver.stats.received, driver.stats.sent), (1, 0));
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), None);
    let mut inbox = Inbox::default();
    peer.drain(&mut inbox).expect("it is alive");
    let (answer, from) = inbox.datagrams().next().expect("one came");
    let to = driver.wire().local_address().expect("it is bound");
    assert_eq!((&answer[1..5], from), (&[0; 4][..], to));
}

#[test]
fn the_first_of_a_crowd_are_answered_before_the_last_are_heard() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let (mut driver, mut endpoint, _peer) = addressed(2 * CROWD + 1);
    driver.receive(&mut endpoint, now()).expect("it is bound");
    assert_eq!(driver.stats.received, 2 * CROWD as u64 + 1);
    assert_eq!(driver.stats.sent, 2 * CROWD as u64);
    driver.flush(&mut endpoint, now());
    assert_eq!(driver.pause(), None);
    assert_eq!(driver.stats.sent, 2 * CROWD as u64 + 1);
}
