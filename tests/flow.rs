//! What holds streams back, and what must get through all the same: windows, credit, losses, late packets.

mod common;

use std::collections::HashMap;

use common::{Datagram, Pair, drain, lossy, read, write};
use polykey_quic::quic::endpoint::change::{Change, StreamKind};
use polykey_quic::quic::stream::{Read, Write};
use polykey_quic::quic::{Config, SharedConnection};
use ring::digest::{Context, SHA256};

/// Bytes that tell where they come from.
fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&SHA256, bytes).as_ref().to_vec()
}

/// Writes the rest of `data` from `written` on; answers whether all is taken, the end included.
fn write_on(connection: &SharedConnection, id: u64, data: &[u8], written: &mut usize) -> bool {
    let outcome = connection.borrow_mut().stream_write(id, &data[*written..], true);
    match outcome.expect("a live connection") {
        Write::Taken(taken) => *written += taken,
        Write::BeyondLimit => return false,
        other => panic!("stream {id} doesn't take data: {other:?}"),
    }
    *written == data.len()
}

fn small_windows(config: &mut Config) {
    config.quiche.set_initial_max_data(40_000);
    config.quiche.set_initial_max_stream_data_bidi_remote(20_000);
    config.quiche.set_initial_max_stream_data_uni(20_000);
}

#[test]
fn a_full_stream_window_blocks_and_reading_tells_the_writer() {
    let (mut pair, client, server) = Pair::connected_with(|_| {}, small_windows);
    let key = client.borrow().key().expect("driven");
    let data = pattern(1, 300_000);
    let (mut written, mut heard) = (0, Context::new(&SHA256));
    let mut blocked = 0;
    loop {
        let is_done = write_on(&client, 0, &data, &mut written);
        pair.client.changes.clear();
        pair.run();
        if is_done {
            break;
        }
        if pair.client.changes.contains(&Change::StreamWritable(key, 0)) {
            // The congestion window held it back.
            continue;
        }
        // Nobody reads: nothing more is taken, and the writer isn't called.
        assert_eq!(client.borrow_mut().stream_write(0, &[0], false), Ok(Write::Taken(0)));
        blocked += 1;
        heard.update(&read(&server, 0).0);
        pair.run();
        let calls = pair.client.changes.iter();
        assert_eq!(
            calls
                .filter(|change| **change == Change::StreamWritable(key, 0))
                .count(),
            1
        );
    }
    let (rest, fin) = read(&server, 0);
    heard.update(&rest);
    assert!(fin);
    assert_eq!(heard.finish().as_ref(), hash(&data));
    assert!(blocked >= 2, "blocked only {blocked} times");
}

#[test]
fn a_full_connection_window_blocks_all_streams() {
    let (mut pair, client, server) = Pair::connected_with(|_| {}, small_windows);
    let data = pattern(2, 20_000);
    let mut written = [0; 4];
    pair.run_until(|_| {
        for (index, written) in written.iter_mut().enumerate() {
            if *written < data.len() {
                write_on(&client, 2 + 4 * index as u64, &data, written);
            }
        }
        written.iter().sum::<usize>() == 40_000
    });
    for index in 0..4 {
        let more = client.borrow_mut().stream_write(2 + 4 * index, &[0], false);
        assert_ne!(more, Ok(Write::Taken(1)));
    }
    let mut heard = [const { Vec::new() }; 4];
    pair.run_until(|pair| {
        let opened = pair.server.opened();
        for (index, heard) in heard.iter_mut().enumerate() {
            let id = 2 + 4 * index as u64;
            if written[index] < data.len() {
                write_on(&client, id, &data, &mut written[index]);
            }
            if heard.len() < data.len() && opened.contains(&id) {
                heard.extend(read(&server, id).0);
            }
        }
        heard.iter().all(|heard: &Vec<u8>| heard.len() == data.len())
    });
    assert!(heard.iter().all(|heard| *heard == data));
}

#[test]
fn opening_beyond_the_credit_waits_and_is_told_when_there_is_more() {
    for (first, kind) in [(0, StreamKind::Bidi), (2, StreamKind::Uni)] {
        let (mut pair, client, server) = Pair::connected_with(
            |_| {},
            |config| {
                config.quiche.set_initial_max_streams_bidi(3);
                config.set_initial_max_streams_uni(3);
            },
        );
        let key = client.borrow().key().expect("driven");
        let ids: Vec<_> = (0..4).map(|index| first + 4 * index).collect();
        for id in &ids[..3] {
            write(&client, *id, b"request", true);
        }
        let beyond = || client.borrow_mut().stream_write(ids[3], b"request", true);
        assert_eq!(beyond(), Ok(Write::BeyondLimit));
        pair.run();
        assert_eq!(beyond(), Ok(Write::BeyondLimit));
        assert_eq!(pair.server.opened(), ids[..3]);
        let available = Change::StreamsAvailable(key, kind);
        assert!(!pair.client.changes.contains(&available));
        // Streams that are over on both sides make room.
        for id in &ids[..3] {
            read(&server, *id);
            if kind == StreamKind::Bidi {
                write(&server, *id, b"", true);
            }
        }
        pair.run();
        for id in &ids[..3] {
            if kind == StreamKind::Bidi {
                read(&client, *id);
            }
        }
        pair.run();
        assert_eq!(pair.client.count(|change| *change == available), 1);
        assert_eq!(beyond(), Ok(Write::Taken(7)));
        pair.run();
        assert_eq!(read(&server, ids[3]), (b"request".to_vec(), true));
    }
}

#[test]
fn streams_that_are_skipped_are_opened_when_they_come() {
    let (mut pair, client, _) = Pair::connected();
    for id in [8, 0, 4, 2, 10] {
        write(&client, id, b"x", true);
        pair.run();
    }
    assert_eq!(pair.server.opened(), [8, 0, 4, 2, 10]);
}

#[test]
fn each_stream_is_opened_once_when_first_packets_come_in_any_order_and_twice() {
    for seed in 1..=20 {
        let (mut pair, client, server) = Pair::connected();
        let mut burst = Vec::new();
        for index in 0..10 {
            // One datagram for each.
            write(&client, 4 * index, b"x", true);
            burst.extend(pair.client.transmit());
        }
        assert_eq!(burst.len(), 10);
        shuffle(&mut burst, seed);
        pair.server.receive(&burst);
        let mut opened = pair.server.opened();
        for id in &opened {
            drain(&server, *id);
            write(&server, *id, b"", true);
        }
        pair.run();
        (0..10).for_each(|index| assert_eq!(read(&client, 4 * index), (Vec::new(), true)));
        pair.run();
        // All streams are gone. The same packets, once more.
        pair.server.receive(&burst);
        pair.run();
        assert_eq!(pair.server.opened(), opened, "seed {seed}");
        opened.sort_unstable();
        assert_eq!(opened, (0..10).map(|index| 4 * index).collect::<Vec<_>>());
        assert_eq!(server.borrow_mut().stream_read(0, &mut [0; 9]), Ok(Read::Finished));
    }
}

fn shuffle(burst: &mut [Datagram], seed: u64) {
    for (index, random) in pattern(seed, burst.len()).into_iter().enumerate() {
        burst.swap(index, usize::from(random) % (index + 1));
    }
}

#[test]
fn a_frame_retransmitted_for_a_stream_that_is_gone_opens_none() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"a", false);
    pair.run();
    write(&server, 0, b"", true);
    pair.run();
    write(&client, 0, b"b", true);
    let last = pair.client.transmit();
    pair.server.receive(&last);
    assert_eq!(read(&server, 0), (b"ab".to_vec(), true));
    assert_eq!(server.borrow_mut().stream_write(0, b"", true), Ok(Write::Finished));
    // The acknowledgement is lost, and so the client sends the same again, in a packet of its own.
    assert_eq!(pair.server.transmit().len(), 1);
    pair.run_until(|_| client.borrow().stats().expect("live").retrans > 0);
    pair.run();
    assert_eq!(pair.server.opened(), [0]);
    assert_eq!(server.borrow_mut().stream_read(0, &mut [0; 9]), Ok(Read::Finished));
}

#[test]
fn a_mebibyte_over_many_streams_survives_loss_and_reordering() {
    const STREAMS: u64 = 8;
    for seed in 1..=5 {
        let (mut pair, client, server) = Pair::connected();
        pair.up = lossy(seed, 4);
        pair.down = lossy(seed + 100, 4);
        let parts: Vec<_> = (0..STREAMS).map(|index| pattern(seed * 100 + index, 1 << 17)).collect();
        let mut written = vec![0; parts.len()];
        let mut heard: HashMap<u64, (Context, bool)> = HashMap::new();
        pair.run_until(|pair| {
            for (index, part) in parts.iter().enumerate() {
                if written[index] < part.len() {
                    write_on(&client, 4 * index as u64, part, &mut written[index]);
                }
            }
            for id in pair.server.opened() {
                let (context, is_over) = heard.entry(id).or_insert_with(|| (Context::new(&SHA256), false));
                if !*is_over {
                    let (bytes, fin) = read(&server, id);
                    context.update(&bytes);
                    *is_over = fin;
                }
            }
            heard.len() == parts.len() && heard.values().all(|(_, is_over)| *is_over)
        });
        for (index, part) in parts.iter().enumerate() {
            let (context, _) = heard.remove(&(4 * index as u64)).expect("heard of");
            assert_eq!(context.finish().as_ref(), hash(part), "seed {seed}, stream {index}");
        }
        assert_eq!(pair.server.opened().len(), parts.len(), "opened once each");
        assert!(
            client.borrow().stats().expect("live").retrans > 0,
            "the link lost nothing"
        );
    }
}
