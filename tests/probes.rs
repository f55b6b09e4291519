//! Bare datagrams of ours: punches and questions.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Datagram, End, Pair};
use polykey_quic::quic::endpoint::EndpointSettings;
use polykey_quic::quic::endpoint::probes::Heard;
use polykey_quic::quic::probe::{LENGTH, Nonce, Probe, Said};
use proptest::prelude::*;

const NONCE: Nonce = [7; 16];
const PUNCH: Probe = Probe {
    said: Said::Punch,
    nonce: NONCE,
};
const QUESTION: Probe = Probe {
    said: Said::Observe,
    nonce: NONCE,
};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn end() -> End {
    End::new("127.0.0.1:1", EndpointSettings::default())
}

fn datagram(bytes: &[u8], from: SocketAddr, to: &End) -> Datagram {
    Datagram {
        bytes: bytes.to_vec(),
        from,
        to: to.address,
    }
}

/// Sends a probe to an end; answers what it answers.
fn answers(end: &mut End, probe: Probe, from: SocketAddr, now: Instant) -> Vec<Probe> {
    let sent = datagram(&probe.encode(), from, end);
    end.receive_at(&[sent], now);
    let answers = end.transmit_at(now);
    assert!(
        answers
            .iter()
            .all(|answer| answer.to == from && answer.bytes.len() <= LENGTH)
    );
    answers
        .iter()
        .map(|answer| Probe::parse(&answer.bytes).expect("a probe"))
        .collect()
}

#[test]
fn a_punch_is_answered_with_its_nonce_and_the_address_it_came_from() {
    let from = address("192.0.2.7:1234");
    let mut end = end();
    let expected = Probe {
        said: Said::PunchAnswer(from),
        nonce: NONCE,
    };
    assert_eq!(answers(&mut end, PUNCH, from, Instant::now()), [expected]);
    assert_eq!(end.endpoint.stats.probes_answered, 1);
    // Nobody punches, so nobody wants to know.
    assert_eq!(end.endpoint.take_heard(), None);
}

#[test]
fn a_question_is_answered_by_the_willing_alone() {
    let from = address("[2001:db8::7]:1234");
    let mut end = end();
    assert_eq!(answers(&mut end, QUESTION, from, Instant::now()), []);
    end.endpoint.answer_questions(true);
    let said = Said::ObserveAnswer(from);
    assert_eq!(
        answers(&mut end, QUESTION, from, Instant::now()),
        [Probe { said, nonce: NONCE }]
    );
    assert_eq!(end.endpoint.stats.probes_unanswered, 1);
}

#[test]
fn answers_are_told_to_who_expects_them_and_to_nobody_else() {
    let (from, seen) = (address("192.0.2.7:1234"), address("198.51.100.1:9"));
    let answer = Probe {
        said: Said::PunchAnswer(seen),
        nonce: NONCE,
    };
    let mut end = end();
    let now = Instant::now();
    assert_eq!(answers(&mut end, answer, from, now), []);
    assert_eq!(end.endpoint.take_heard(), None);
    assert!(end.endpoint.expect_probe(NONCE, Instant::now()));
    assert!(
        !end.endpoint.expect_probe(NONCE, Instant::now()),
        "it is expected already"
    );
    assert_eq!(answers(&mut end, answer, from, now), []);
    assert_eq!(end.endpoint.take_heard(), Some((Heard::Probe(answer), from)));
    // Who punches wants to know who else does.
    answers(&mut end, PUNCH, from, now);
    assert_eq!(end.endpoint.take_heard(), Some((Heard::Probe(PUNCH), from)));
    end.endpoint.forget_probe(&NONCE);
    answers(&mut end, answer, from, now);
    assert_eq!(end.endpoint.take_heard(), None);
    assert_eq!(end.endpoint.stats.probes_unexpected, 2);
}

#[test]
fn any_datagram_from_a_watched_address_is_told_once() {
    let (watched, other) = (address("192.0.2.7:1234"), address("192.0.2.7:1235"));
    let mut end = end();
    end.endpoint.watch(watched);
    for from in [other, watched, watched] {
        let sent = datagram(b"hello", from, &end);
        end.receive(&[sent]);
    }
    assert_eq!(end.endpoint.take_heard(), Some((Heard::Anything, watched)));
    assert_eq!(end.endpoint.take_heard(), None);
    assert_eq!(end.endpoint.stats.strays, 3, "they are strays all the same");
}

#[test]
fn one_address_gets_its_share_of_answers_and_leaves_the_others_theirs() {
    let mut end = end();
    let now = Instant::now();
    let greedy = address("192.0.2.7:1");
    let count = |end: &mut End, from, now| (0..500).map(|_| answers(end, PUNCH, from, now).len()).sum::<usize>();
    assert_eq!(count(&mut end, greedy, now), 50);
    let modest = (0..20).filter(|host| {
        let from = SocketAddr::from(([203, 0, 113, *host], 1));
        !answers(&mut end, PUNCH, from, now).is_empty()
    });
    // Some may share the greedy one's counter.
    assert!(modest.count() > 10);
    assert_eq!(count(&mut end, greedy, now + Duration::from_secs(1)), 50);
    assert_eq!(
        end.endpoint.stats.probes_answered + end.endpoint.stats.probes_unanswered,
        1_020
    );
}

#[test]
fn all_addresses_together_get_so_many_answers() {
    let mut end = end();
    let now = Instant::now();
    let answered: usize = (0..5_000_u32)
        .map(|host| {
            let from = SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + host), 1));
            answers(&mut end, PUNCH, from, now).len()
        })
        .sum();
    assert_eq!(answered, 1_000);
}

#[test]
fn a_punch_that_came_early_is_told_to_who_punches_by_its_nonce() {
    let (from, other) = (address("192.0.2.7:1234"), address("192.0.2.7:1235"));
    let mut end = end();
    let now = Instant::now();
    answers(&mut end, PUNCH, from, now);
    answers(&mut end, PUNCH, from, now);
    let foreign = Probe {
        said: Said::Punch,
        nonce: [8; 16],
    };
    answers(&mut end, foreign, other, now);
    end.endpoint.expect_probe(NONCE, now + Duration::from_secs(29));
    assert_eq!(end.endpoint.take_heard(), Some((Heard::Probe(PUNCH), from)));
    assert_eq!(end.endpoint.take_heard(), None);
    end.endpoint.forget_probe(&NONCE);
    end.endpoint.expect_probe(NONCE, now + Duration::from_secs(31));
    assert_eq!(end.endpoint.take_heard(), None, "it came too long ago");
}

#[test]
fn two_that_punch_hear_each_other() {
    let mut pair = Pair::new();
    let (client, server) = (pair.client.address, pair.server.address);
    pair.client.endpoint.expect_probe(NONCE, Instant::now());
    pair.client.endpoint.send_probe(PUNCH, server);
    pair.run();
    let said = Said::PunchAnswer(client);
    let heard = Heard::Probe(Probe { said, nonce: NONCE });
    assert_eq!(pair.client.endpoint.take_heard(), Some((heard, server)));
    assert_eq!(
        (
            pair.client.endpoint.stats.probes_sent,
            pair.server.endpoint.stats.strays
        ),
        (1, 0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_no_probe_is_never_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), first in 0..64_u8) {
        let mut end = end();
        end.endpoint.answer_questions(true);
        if let Some(place) = bytes.first_mut() {
            *place = first;
        }
        let sent = datagram(&bytes, address("192.0.2.7:1"), &end);
        end.receive(&[sent]);
        prop_assert_eq!(end.transmit().len(), 0);
        prop_assert_eq!(end.endpoint.stats.strays, 1);
    }
}
