//! Datagrams of strangers: never answered unless by the rules, never a panic, and no harm to whoever is connected.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use common::{Authority, Datagram, End, Pair, drain, shared, write};
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::packet::ID_LENGTH;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::{SharedConnection, Verification};
use proptest::prelude::*;

const MIN_INITIAL: usize = 1_200;

/// Pseudo-random bytes.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

/// A datagram from somebody unknown to somebody.
fn from_stranger(bytes: Vec<u8>, to: &End) -> Datagram {
    Datagram {
        bytes,
        from: "192.0.2.9:999".parse().expect("an address"),
        to: to.address,
    }
}

/// Whether client and server still understand each other; `id` is a stream's that wasn't used yet.
fn assert_works(pair: &mut Pair, client: &SharedConnection, server: &SharedConnection, id: u64) {
    write(client, id, b"request", true);
    pair.run();
    assert_eq!(drain(server, id), Read::Data { bytes: 7, fin: true });
    write(server, id, b"answer", true);
    pair.run();
    assert_eq!(drain(client, id), Read::Data { bytes: 6, fin: true });
}

#[test]
fn only_unknown_versions_in_large_datagrams_are_answered() {
    let (mut pair, client, server) = Pair::connected();
    let mut negotiated = 0;
    for length in 0..1_500 {
        // Every range of RFC 9443, both headers, all long packet types, with and without the fixed bit.
        for first in [
            0x00, 0x0f, 0x13, 0x14, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xd5, 0xea, 0xff,
        ] {
            let mut bytes = noise(length as u64 * 256 + u64::from(first), length);
            if let Some(place) = bytes.first_mut() {
                *place = first;
            }
            let datagram = from_stranger(bytes, &pair.server);
            pair.server.receive(std::slice::from_ref(&datagram));
            let answers = pair.server.transmit();
            assert!(
                answers.is_empty() || first >= 0x80 && length >= MIN_INITIAL,
                "{first:x} {length}"
            );
            for answer in &answers {
                // RFC 9000 §17.2.1: version 0, and the ids exchanged.
                assert_eq!(answer.bytes[1..5], [0; 4]);
                let asked = usize::from(datagram.bytes[5]);
                assert_eq!(
                    answer.bytes[6 + usize::from(answer.bytes[5])..][1..=asked],
                    datagram.bytes[6..6 + asked]
                );
                assert!(answer.bytes.len() < datagram.bytes.len());
                assert_eq!(answer.to, datagram.from);
            }
            negotiated += answers.len() as u64;
        }
    }
    let stats = pair.server.endpoint.stats;
    assert_eq!(
        (stats.version_negotiations, stats.stateless_resets, stats.accepted),
        (negotiated, 0, 1)
    );
    assert!(negotiated > 1_000);
    assert_eq!(stats.strays_dropped, stats.strays);
    assert_works(&mut pair, &client, &server, 0);
}

#[test]
fn who_does_not_listen_answers_nobody() {
    let mut pair = Pair::new();
    let authority = Authority::new();
    pair.dial(authority.config(Verification::None));
    pair.dial(authority.config(Verification::None));
    let mut burst = pair.client.transmit();
    burst.push(from_stranger(
        [&[0xc0, 1, 2, 3, 4][..], &[0; 1_300]].concat(),
        &pair.server,
    ));
    let count = burst.len() as u64;
    pair.server.receive(&burst);
    assert!(pair.server.transmit().is_empty());
    assert_eq!(pair.server.endpoint.stats.strays, count);
}

#[test]
fn strays_are_kept_for_who_wants_them_up_to_a_bound() {
    let mut end = End::new("127.0.0.1:1", EndpointSettings::default());
    end.endpoint.keep_strays(3);
    let burst: Vec<_> = (4..9).map(|first| from_stranger(vec![first; 32], &end)).collect();
    end.receive(&burst);
    assert_eq!(end.changes, [Change::Stray(3)]);
    for first in 4..7 {
        let (bytes, from) = end.endpoint.take_stray().expect("kept");
        assert_eq!((bytes, from), (vec![first; 32], burst[0].from));
    }
    assert_eq!(end.endpoint.take_stray(), None);
    assert_eq!((end.endpoint.stats.strays, end.endpoint.stats.strays_dropped), (5, 2));
    // The next ones are told again.
    end.receive(&burst[..1]);
    assert_eq!(end.changes[1..], [Change::Stray(1)]);
}

#[test]
fn resets_answer_only_ids_of_ours_are_smaller_and_limited() {
    let settings = || EndpointSettings {
        stateless_reset_key: Some(b"a key that outlives the process".to_vec()),
        ..Default::default()
    };
    // A predecessor's id.
    let authority = Authority::new();
    let mut pair = Pair::with(settings());
    pair.server
        .endpoint
        .listen(shared(authority.config(Verification::None)));
    let client = pair.dial(authority.config(Verification::None));
    pair.run();
    let id = client.borrow().live().expect("live").destination_id().to_vec();
    assert_eq!(id.len(), ID_LENGTH);

    let mut successor = End::new("127.0.0.1:1002", settings());
    let packet = |first: u8, id: &[u8], length: usize| {
        let mut bytes = [&[first][..], id, &noise(1, 1_500)].concat();
        bytes.truncate(length);
        bytes
    };
    for length in 0..300 {
        let mut other = id.clone();
        other[length % ID_LENGTH] ^= 1;
        for (first, id, is_answered) in [(0x40, &id, length > 42), (0x40, &other, false), (0x00, &id, false)] {
            let datagram = from_stranger(packet(first, id, length), &successor);
            // Half a second each: the limit is not what is shown here.
            let later = std::time::Instant::now() + std::time::Duration::from_millis(500 * length as u64);
            successor.receive_at(&[datagram], later);
            let answers = successor.transmit();
            assert_eq!(answers.len(), usize::from(is_answered), "{first:x}, {length} bytes");
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.bytes.len() < length && answer.bytes.len() >= 21)
            );
        }
    }
    let sent = successor.endpoint.stats.stateless_resets;
    let burst: Vec<_> = (0..500)
        .map(|_| from_stranger(packet(0x40, &id, 100), &successor))
        .collect();
    successor.receive_at(&burst, std::time::Instant::now() + std::time::Duration::from_secs(600));
    assert_eq!(successor.endpoint.stats.stateless_resets - sent, 100);
    assert_eq!(successor.transmit().len(), 100);
}

/// How a datagram is spoilt on its way.
#[derive(Debug, Clone)]
enum Harm {
    Flip(Vec<(prop::sample::Index, u8)>),
    Cut(prop::sample::Index),
    Replace(prop::sample::Index, Vec<u8>),
}

impl Harm {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Harm::Flip(flips) => flips.iter().for_each(|(place, bits)| {
                let place = place.index(bytes.len());
                bytes[place] ^= bits;
            }),
            Harm::Cut(length) => bytes.truncate(length.index(bytes.len())),
            Harm::Replace(from, with) => {
                let from = from.index(bytes.len());
                bytes.truncate(from);
                bytes.extend(with);
            }
        }
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        prop::collection::vec((place(), 1..=u8::MAX), 1..4).prop_map(Harm::Flip),
        place().prop_map(Harm::Cut),
        (place(), prop::collection::vec(any::<u8>(), 1..1_300)).prop_map(|(from, with)| Harm::Replace(from, with)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_datagrams_leave_connections_alone(noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_500), 1..20)) {
        let (mut pair, client, server) = Pair::connected();
        let ids = [&client, &server].map(|end| end.borrow().live().expect("live").source_id().to_vec());
        for (index, mut bytes) in noise.into_iter().enumerate() {
            for (end, id) in [&mut pair.client, &mut pair.server].into_iter().zip(&ids) {
                // Every other one is addressed to a connection that there is.
                if index % 2 == 0 && bytes.len() > ID_LENGTH {
                    bytes[0] = bytes[0] & 0x7f | 0x40;
                    bytes[1..=ID_LENGTH].copy_from_slice(id);
                }
                let datagram = from_stranger(bytes.clone(), end);
                end.receive(&[datagram]);
                prop_assert!(end.transmit().iter().all(|answer| answer.bytes.len() <= bytes.len()));
            }
        }
        assert_works(&mut pair, &client, &server, 0);
        prop_assert_eq!(pair.server.count(|change| matches!(change, Change::Ending(_))), 0);
    }

    #[test]
    fn spoilt_copies_before_each_real_datagram_do_no_harm(harms in prop::collection::vec(harm(), 1..12), is_from_stranger: bool) {
        let (mut pair, client, server) = Pair::connected();
        let harms = std::rc::Rc::new(harms);
        let spoil = |mut next: usize| {
            let harms = harms.clone();
            let link: common::Link = Box::new(move |burst| {
                let spoilt = |datagram: &Datagram, next: usize| {
                    let mut copy = datagram.clone();
                    harms[next % harms.len()].apply(&mut copy.bytes);
                    if is_from_stranger {
                        copy.from = "192.0.2.9:999".parse().expect("an address");
                    }
                    copy
                };
                let with_copies = burst.into_iter().flat_map(|datagram| {
                    next += 1;
                    [spoilt(&datagram, next), datagram]
                });
                with_copies.collect()
            });
            link
        };
        pair.up = spoil(0);
        pair.down = spoil(1);
        for id in [0, 4, 8] {
            assert_works(&mut pair, &client, &server, id);
        }
        write(&client, 12, &vec![7; 50_000], true);
        pair.run();
        prop_assert_eq!(pair.server.endpoint.stats.rebindings, 0);
        let stats = client.borrow().stats().expect("live");
        prop_assert_eq!(stats.lost, 0);
    }

    #[test]
    fn spoilt_copies_do_not_keep_a_handshake_from_completing(flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4)) {
        let authority = Authority::new();
        let mut pair = Pair::new();
        pair.server.endpoint.listen(shared(authority.config(Verification::Chain)));
        let harm = Harm::Flip(flips);
        let client = pair.dial(authority.config(Verification::Chain));
        for _ in 0..10 {
            let up = pair.client.transmit();
            for datagram in up {
                let mut copy = from_stranger(datagram.bytes.clone(), &pair.server);
                harm.apply(&mut copy.bytes);
                // Whoever sees an Initial and is faster could take its place: the keys are no secret (RFC 9001 §5.2).
                pair.server.receive(&[datagram, copy]);
            }
            // What goes to the stranger is not for the client.
            let mut down = pair.server.transmit();
            down.retain(|datagram| datagram.to == pair.client.address);
            pair.client.receive(&down);
        }
        prop_assert!(client.borrow().is_established().expect("live"));
        prop_assert_eq!(pair.server.count(|change| matches!(change, Change::Connected(_))), 1);
    }
}
