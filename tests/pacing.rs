//! Packets leave when the pacer says, and at once where there is none.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::{Duration, Instant};

use common::{Pair, drain, write};
use polykey_quic::quic::connection::CloseCause;
use polykey_quic::quic::stream::Read;
use polykey_quic::quic::{Config, SharedConnection};

fn paced_bbr(config: &mut Config) {
    config.quiche.set_cc_algorithm_name("bbr2_gcongestion").expect("known");
    config.quiche.enable_pacing(true);
}

#[test]
fn without_pacing_a_slow_caller_delays_nothing() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, &[0; 5_000], true);
    // quiche's clock is ahead of a caller that asked for the time long ago.
    let burst = pair.client.transmit_at(Instant::now() - Duration::from_millis(20));
    assert!(burst.len() > 4, "{} datagrams", burst.len());
    assert_eq!(pair.client.endpoint.stats.paced, 0);
    pair.server.receive(&burst);
    assert_eq!(
        drain(&server, 0),
        Read::Data {
            bytes: 5_000,
            fin: true
        }
    );
}

/// A pair whose packets are paced. Pacing spreads a window over a round trip: that of memory is too short to see it.
fn paced_pair() -> (Pair, SharedConnection, SharedConnection) {
    let (mut pair, client, server) = Pair::connected_with(paced_bbr, paced_bbr);
    pair.up = Box::new(|burst| {
        std::thread::sleep(Duration::from_millis(if burst.is_empty() { 0 } else { 8 }));
        burst
    });
    (pair, client, server)
}

/// The same where a packet of the client's waits for its time.
fn waiting() -> (Pair, SharedConnection, SharedConnection) {
    let (mut pair, client, server) = paced_pair();
    for _ in 0..100 {
        write(&client, 0, &[7; 100_000], false);
        let up = pair.client.transmit();
        let is_waiting = pair.client.endpoint.stats.paced > 0;
        // All others arrive, so that nothing else is in the way.
        pair.server.receive(&(pair.up)(up));
        drain(&server, 0);
        let down = pair.server.transmit();
        pair.client.receive(&down);
        if is_waiting {
            return (pair, client, server);
        }
    }
    panic!("nothing was paced");
}

#[test]
fn paced_packets_leave_when_they_are_due() {
    let (mut pair, client, server) = paced_pair();
    let data = vec![7; 200_000];
    let mut written = 0;
    let mut read = 0;
    pair.run_until(|_| {
        if written < data.len() {
            written += write(&client, 0, &data[written..], true);
        }
        loop {
            match server.borrow_mut().stream_discard(0, usize::MAX).expect("readable") {
                Read::Data { bytes, fin } => {
                    read += bytes;
                    if fin {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    });
    assert_eq!(read, data.len());
    assert!(pair.client.endpoint.stats.paced > 0, "nothing was paced");
}

#[test]
fn a_packet_that_is_due_while_the_socket_has_no_room_wakes_nobody_again() {
    let (mut pair, _client, _server) = waiting();
    let due = pair.client.endpoint.next_timeout().expect("a packet waits");
    pair.client.endpoint.on_timeout(due);
    let next = pair.client.endpoint.next_timeout();
    assert!(next.is_none_or(|next| next > due), "{:?}", next.map(|next| next - due));
    // There is room again.
    assert!(pair.client.endpoint.has_output());
    assert!(!pair.client.transmit_at(due).is_empty());
}

#[test]
fn a_close_overtakes_the_packet_that_waits() {
    let (mut pair, client, server) = waiting();
    let due = pair.client.endpoint.next_timeout().expect("a packet waits");
    client.borrow_mut().close(true, 7, b"bye").expect("live");
    let sent = pair.client.transmit_at(due - Duration::from_millis(5));
    pair.server.receive(&sent);
    assert_eq!(server.borrow().close_cause(), Some(CloseCause::Peer));
}
