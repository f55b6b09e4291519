//! Ends of streams, and streams beside others, where packets get lost: whatever is lost, the peer hears of them.
//! Most of these fail with quiche 0.30.0 as it was released.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::Instant;

use common::{End, Pair, drain, lossy, read, shut, write};
use polykey_quic::quic::SharedConnection;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::stream::{Read, Write};
use quiche::Shutdown;

/// What `end` sends now is lost.
fn lose(end: &mut End) {
    assert!(!end.transmit().is_empty(), "there is something to lose");
}

/// Waits for the timer of `end`, and lets it do what is due.
fn time_out(end: &mut End) {
    let timeout = end.endpoint.next_timeout().expect("something is in flight");
    std::thread::sleep(timeout.saturating_duration_since(Instant::now()));
    end.endpoint.on_timeout(Instant::now());
}

/// Runs until the stream has ended; answers what was read of it.
fn read_to_end(pair: &mut Pair, connection: &SharedConnection, id: u64) -> Vec<u8> {
    let mut heard = Vec::new();
    pair.run_until(|_| {
        let (bytes, fin) = read(connection, id);
        heard.extend(bytes);
        fin
    });
    heard
}

/// A pair with stream 0, on which the server has heard `a` and has ended its own side, which the client hasn't read yet.
fn half_ended() -> (Pair, SharedConnection, SharedConnection) {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"a", false);
    pair.run();
    write(&server, 0, b"", true);
    pair.run();
    (pair, client, server)
}

#[test]
fn an_end_is_sent_though_the_peers_was_read_before() {
    let (mut pair, client, server) = half_ended();
    write(&client, 0, b"", true);
    assert_eq!(read(&client, 0), (Vec::new(), true));
    assert_eq!(read_to_end(&mut pair, &server, 0), b"a");
}

#[test]
fn a_stream_whose_end_is_read_without_room_is_forgotten() {
    let (mut pair, client, server) = half_ended();
    assert_eq!(
        client.borrow_mut().stream_read(0, &mut []),
        Ok(Read::Data { bytes: 0, fin: true })
    );
    write(&client, 0, b"", true);
    assert_eq!(read_to_end(&mut pair, &server, 0), b"a");
    pair.run();
    assert_eq!(client.borrow_mut().stream_capacity(0), Ok(Write::Finished));
}

#[test]
fn a_lost_end_is_sent_again_though_the_peers_was_read_meanwhile() {
    let (mut pair, client, server) = half_ended();
    write(&client, 0, b"", true);
    lose(&mut pair.client);
    assert_eq!(read(&client, 0), (Vec::new(), true));
    assert_eq!(read_to_end(&mut pair, &server, 0), b"a");
}

#[test]
fn a_lost_end_is_sent_again_though_all_data_was_acknowledged_meanwhile() {
    let (mut pair, client, server) = half_ended();
    assert_eq!(read(&client, 0), (Vec::new(), true));
    // A stream in both directions that the peer has ended, and one in ours alone.
    for (id, all) in [(0, &b"ab"[..]), (2, b"b")] {
        write(&client, id, b"b", false);
        let data = pair.client.transmit();
        pair.server.receive(&data);
        write(&client, id, b"", true);
        lose(&mut pair.client);
        let acknowledgement = pair.server.transmit();
        pair.client.receive(&acknowledgement);
        assert_eq!(read_to_end(&mut pair, &server, id), all);
    }
}

#[test]
fn an_end_that_is_lost_with_data_is_sent_again_though_that_data_arrived_earlier() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 2, b"a", false);
    let late = pair.client.transmit();
    write(&client, 2, b"", true);
    // The probe carries the data once more, this time with the end.
    time_out(&mut pair.client);
    lose(&mut pair.client);
    pair.server.receive(&late);
    let acknowledgement = pair.server.transmit();
    pair.client.receive(&acknowledgement);
    assert_eq!(read_to_end(&mut pair, &server, 2), b"a");
}

#[test]
fn an_end_is_heard_that_comes_with_data_which_was_read_before() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 2, b"a", false);
    let data = pair.client.transmit();
    pair.server.receive(&data);
    assert_eq!(read(&server, 2), (b"a".to_vec(), false));
    lose(&mut pair.server);
    write(&client, 2, b"", true);
    // The probe carries the data once more, this time with the end.
    time_out(&mut pair.client);
    pair.server.changes.clear();
    assert_eq!(read_to_end(&mut pair, &server, 2), b"");
    assert_eq!(
        pair.server
            .count(|change| matches!(change, Change::StreamReadable(_, 2))),
        1
    );
}

#[test]
fn an_end_is_acknowledged_before_a_stream_is_forgotten() {
    let (mut pair, client, server) = half_ended();
    write(&client, 0, b"", true);
    let knows = |connection: &SharedConnection| {
        let mut connection = connection.borrow_mut();
        connection.live_mut().expect("live").stream_capacity(0).is_ok()
    };
    let end = pair.client.transmit();
    assert_eq!(read(&client, 0), (Vec::new(), true));
    assert!(knows(&client));
    pair.server.receive(&end);
    assert_eq!(read(&server, 0), (b"a".to_vec(), true));
    pair.run();
    assert!(!knows(&client));
    assert!(!knows(&server));
}

/// One direction of one stream.
struct Half {
    from: SharedConnection,
    to: SharedConnection,
    id: u64,
    heard: Vec<u8>,
    is_ended: bool,
}

impl Half {
    fn read(&mut self) {
        if !self.is_ended {
            let (bytes, fin) = read(&self.to, self.id);
            self.heard.extend(bytes);
            self.is_ended = fin;
        }
    }
}

/// Ten streams of each kind by each side; the first data is there and acknowledged.
fn many_halves(pair: &mut Pair, client: &SharedConnection, server: &SharedConnection) -> Vec<Half> {
    let mut halves = Vec::new();
    for id in 0..40 {
        let (opener, other) = if id % 2 == 0 {
            (client, server)
        } else {
            (server, client)
        };
        let mut add = |from: &SharedConnection, to: &SharedConnection| {
            write(from, id, b"a", false);
            pair.run();
            halves.push(Half {
                from: from.clone(),
                to: to.clone(),
                id,
                heard: Vec::new(),
                is_ended: false,
            });
        };
        add(opener, other);
        if id % 4 < 2 {
            add(other, opener);
        }
    }
    halves
}

#[test]
fn all_ends_arrive_over_a_bad_link() {
    for seed in 1..=10 {
        let (mut pair, client, server) = Pair::connected();
        let mut halves = many_halves(&mut pair, &client, &server);
        pair.up = lossy(seed, 30);
        pair.down = lossy(seed + 100, 30);
        let count = halves.len();
        // Each gets more data in some turn and its end in a later one; the steps are prime to the count.
        let step = [7, 11, 13, 17][seed as usize % 4];
        let order = |turn: usize| turn * step % count;
        let mut turn = 0;
        pair.run_until(|_| {
            for _ in 0..5 {
                if (7..count + 7).contains(&turn) {
                    let half = &halves[order(turn - 7)];
                    write(&half.from, half.id, b"", true);
                }
                if turn < count {
                    let half = &halves[order(turn)];
                    write(&half.from, half.id, b"b", false);
                }
                turn += 1;
            }
            halves.iter_mut().for_each(Half::read);
            turn >= count + 7 && halves.iter().all(|half| half.is_ended)
        });
        for half in &halves {
            assert_eq!(half.heard, b"ab", "stream {}, seed {seed}", half.id);
        }
    }
}

#[test]
fn a_stream_that_has_nothing_left_to_repeat_stops_no_other() {
    let (mut pair, client, server) = Pair::connected();
    // The client has something to acknowledge in each packet,
    write(&server, 1, b"x", false);
    pair.run();
    // and as much under way as may be. All of it arrives, but not what acknowledges it.
    write(&client, 0, &[1; 2_000], false);
    write(&client, 4, &[1; 20_000], false);
    let sent = pair.client.transmit();
    pair.server.receive(&sent);
    pair.server.transmit();
    // So the oldest packet is repeated, and what finds no room in it beside the acknowledgement has to wait, until it is
    // acknowledged, too.
    time_out(&mut pair.client);
    let repeated = pair.client.transmit();
    assert_eq!(repeated.len(), 1);
    pair.server.receive(&repeated);
    pair.run();
    write(&client, 8, b"other", true);
    pair.run();
    assert!(pair.server.opened().contains(&8));
    assert_eq!(read(&server, 8), (b"other".to_vec(), true));
}

/// Runs until a stream's reader has heard the last of it, and answers what that was.
fn last_word(pair: &mut Pair, connection: &SharedConnection, id: u64) -> Read {
    let mut last = Read::Blocked;
    pair.run_until(|_| {
        last = drain(connection, id);
        last != Read::Blocked
    });
    last
}

#[test]
fn a_stream_that_is_aborted_with_data_unsent_never_looks_complete() {
    let (mut pair, client, server) = Pair::connected();
    for id in [2, 6] {
        write(&client, id, b"a", false);
    }
    pair.run();
    assert_eq!(read(&server, 6), (b"a".to_vec(), false));
    write(&client, 2, &[2; 5_000], false);
    write(&client, 6, &[6; 5_000], false);
    assert!(shut(&client, 6, Shutdown::Write, 5));
    // The first datagram tells of the reset, and is lost; the others arrive.
    let sent = pair.client.transmit();
    assert!(sent.len() > 1);
    pair.server.receive(&sent[1..]);
    assert_eq!(read(&server, 6), (Vec::new(), false));
    assert_eq!(last_word(&mut pair, &server, 6), Read::Reset { code: 5 });
}

#[test]
fn an_end_that_is_written_after_an_abort_is_not_sent_in_its_place() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 2, b"a", false);
    pair.run();
    assert!(shut(&client, 2, Shutdown::Write, 5));
    lose(&mut pair.client);
    let _ = client.borrow_mut().stream_write(2, b"", true).expect("live");
    pair.run();
    assert_eq!(read(&server, 2), (b"a".to_vec(), false));
    assert_eq!(last_word(&mut pair, &server, 2), Read::Reset { code: 5 });
}

#[test]
fn an_answer_that_is_aborted_never_looks_complete_where_the_question_is_read_no_more() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"question", false);
    pair.run();
    write(&server, 0, b"a", false);
    pair.run();
    assert!(shut(&server, 0, Shutdown::Write, 5));
    assert!(shut(&server, 0, Shutdown::Read, 6));
    lose(&mut pair.server);
    // With the end of the question, the server's part is to be acknowledged once more, so that the stream is forgotten.
    write(&client, 0, b"", true);
    pair.run();
    assert_eq!(read(&client, 0), (b"a".to_vec(), false));
    assert_eq!(last_word(&mut pair, &client, 0), Read::Reset { code: 5 });
}

#[test]
fn a_reset_is_heard_though_the_end_came_before_a_gap_was_filled() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 2, &[2; 5_000], true);
    let mut sent = pair.client.transmit();
    sent.remove(1);
    pair.server.receive(&sent);
    assert!(!read(&server, 2).1);
    pair.server.changes.clear();
    // What is missing will never come.
    assert!(shut(&client, 2, Shutdown::Write, 5));
    pair.run();
    assert!(pair.server.changes.contains(&Change::StreamReadable(0, 2)));
    assert_eq!(drain(&server, 2), Read::Reset { code: 5 });
}

#[test]
fn a_reset_drops_what_is_unread_and_is_heard_but_not_where_all_was_read() {
    for is_read in [false, true] {
        let (mut pair, client, server) = Pair::connected();
        write(&client, 0, &[0; 500], true);
        let sent = pair.client.transmit();
        pair.server.receive(&sent);
        if is_read {
            assert_eq!(read(&server, 0), (vec![0; 500], true));
        }
        pair.server.changes.clear();
        assert!(shut(&client, 0, Shutdown::Write, 5));
        pair.run();
        let (told, last) = match is_read {
            // RFC 9000 §3.2: "Data Read" is a state that nothing follows.
            true => (0, Read::Finished),
            false => (1, Read::Reset { code: 5 }),
        };
        let is_told = |change: &Change| matches!(change, Change::StreamReadable(_, 0));
        assert_eq!(pair.server.count(is_told), told);
        assert_eq!(drain(&server, 0), last);
    }
}

/// How the writer of a stream leaves it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Farewell {
    End,
    EndAndAbort,
    Abort,
}

#[test]
fn no_aborted_stream_looks_complete_over_a_bad_link() {
    /// More than one packet, so that something is unsent where the abort comes at once.
    const MORE: [u8; 3_000] = [b'b'; 3_000];
    for seed in 1..=10 {
        let (mut pair, client, server) = Pair::connected();
        let halves = many_halves(&mut pair, &client, &server);
        pair.up = lossy(seed, 30);
        pair.down = lossy(seed + 100, 30);
        let farewell = |index: usize| match index % 7 {
            0..3 => Farewell::End,
            3..5 => Farewell::EndAndAbort,
            _ => Farewell::Abort,
        };
        let mut unwritten = vec![MORE.len(); halves.len()];
        let mut heard = vec![(0, None); halves.len()];
        let mut turn = 0;
        pair.run_until(|_| {
            for (index, half) in halves.iter().enumerate() {
                let (begin, farewell) = (index / 5, farewell(index));
                let end = begin + index % 2;
                let left = &mut unwritten[index];
                if turn >= begin && *left > 0 && (turn <= end || farewell == Farewell::End) {
                    *left -= write(&half.from, half.id, &MORE[..*left], farewell != Farewell::Abort);
                }
                if turn == end && farewell != Farewell::End {
                    shut(&half.from, half.id, Shutdown::Write, 5);
                }
            }
            turn += 1;
            for (half, (bytes, last)) in halves.iter().zip(&mut heard) {
                while last.is_none() {
                    let read = half.to.borrow_mut().stream_discard(half.id, usize::MAX);
                    match read.expect("a live connection") {
                        Read::Blocked => break,
                        Read::Data { bytes: more, fin } => {
                            *bytes += more;
                            *last = fin.then_some(Read::Finished);
                        }
                        other => *last = Some(other),
                    }
                }
            }
            heard.iter().all(|(_, last)| last.is_some())
        });
        for (index, (bytes, last)) in heard.into_iter().enumerate() {
            let is_whole = last == Some(Read::Finished) && bytes == 1 + MORE.len();
            let is_reset = last == Some(Read::Reset { code: 5 });
            let (id, farewell) = (halves[index].id, farewell(index));
            assert!(
                is_whole && farewell != Farewell::Abort || is_reset && farewell != Farewell::End,
                "stream {id}, seed {seed}: {farewell:?}, then {bytes} bytes and {last:?}"
            );
        }
    }
}
