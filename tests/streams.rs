//! Streams: both kinds, both initiators, ended, reset and stopped in each direction.

mod common;

use common::{Pair, drain, read, shut, write};
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::stream::{Read, Write};
use polykey_quic::quic::{Config, SharedConnection};
use quiche::Shutdown;

fn read_once(connection: &SharedConnection, id: u64) -> Read {
    let outcome = connection.borrow_mut().stream_read(id, &mut [0; 64]);
    outcome.expect("a readable connection")
}

fn write_once(connection: &SharedConnection, id: u64, data: &[u8]) -> Write {
    let outcome = connection.borrow_mut().stream_write(id, data, false);
    outcome.expect("a live connection")
}

fn told(changes: &[Change], expected: Change) -> usize {
    changes.iter().filter(|change| **change == expected).count()
}

#[test]
fn bidirectional_streams_of_both_sides_echo() {
    let (mut pair, client, server) = Pair::connected();
    for (id, opener, other) in [(0, &client, &server), (1, &server, &client)] {
        write(opener, id, b"hello", true);
        pair.run();
        let (heard, fin) = read(other, id);
        assert_eq!((&heard[..], fin), (&b"hello"[..], true));
        write(other, id, &heard, true);
        pair.run();
        assert_eq!(read(opener, id), (b"hello".to_vec(), true));
    }
    assert_eq!(pair.server.opened(), [0]);
    assert_eq!(pair.client.opened(), [1]);
}

#[test]
fn unidirectional_streams_of_both_sides_go_one_way() {
    let (mut pair, client, server) = Pair::connected();
    for (id, opener, other) in [(2, &client, &server), (3, &server, &client)] {
        write(opener, id, b"news", true);
        assert_eq!(read_once(opener, id), Read::Finished);
        pair.run();
        assert_eq!(write_once(other, id, b"no"), Write::Finished);
        assert!(!shut(other, id, Shutdown::Write, 1));
        assert!(!shut(opener, id, Shutdown::Read, 1));
        assert_eq!(read(other, id), (b"news".to_vec(), true));
    }
}

#[test]
fn each_direction_ends_by_itself() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"request", true);
    pair.run();
    assert_eq!(read(&server, 0), (b"request".to_vec(), true));
    assert_eq!(write_once(&client, 0, b"more"), Write::Finished);
    for part in [&b"a"[..], b"b"] {
        write(&server, 0, part, false);
        pair.run();
        assert_eq!(read(&client, 0), (part.to_vec(), false));
    }
    write(&server, 0, b"", true);
    pair.run();
    assert_eq!(read(&client, 0), (Vec::new(), true));
    for end in [&client, &server] {
        assert_eq!(read_once(end, 0), Read::Finished);
        assert_eq!(write_once(end, 0, b"more"), Write::Finished);
    }
}

#[test]
fn the_one_who_was_asked_may_end_first() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"a", false);
    pair.run();
    write(&server, 0, b"enough", true);
    pair.run();
    assert_eq!(read(&client, 0), (b"enough".to_vec(), true));
    write(&client, 0, b"b", true);
    pair.run();
    assert_eq!(read(&server, 0), (b"ab".to_vec(), true));
}

#[test]
fn an_empty_stream_has_only_an_end() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 2, b"", true);
    pair.run();
    assert_eq!(pair.server.opened(), [2]);
    assert_eq!(read(&server, 2), (Vec::new(), true));
}

#[test]
fn a_reset_replaces_what_was_not_read() {
    let (mut pair, client, server) = Pair::connected();
    for (id, opener, other) in [(0, &client, &server), (1, &server, &client)] {
        write(opener, id, b"hello", false);
        pair.run();
        assert!(shut(opener, id, Shutdown::Write, 0x0123_4567_89ab));
        assert!(!shut(opener, id, Shutdown::Write, 2), "the first code stays");
        pair.run();
        assert_eq!(read_once(other, id), Read::Reset { code: 0x0123_4567_89ab });
        assert_eq!(write_once(opener, id, b"more"), Write::Finished);
        // The other direction goes on.
        write(other, id, b"answer", true);
        pair.run();
        assert_eq!(read(opener, id), (b"answer".to_vec(), true));
    }
}

#[test]
fn a_reset_is_told_once_though_earlier_data_was_told_and_is_unread() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"unread", false);
    write(&client, 4, b"read", false);
    pair.run();
    assert_eq!(read_once(&server, 4), Read::Data { bytes: 4, fin: false });
    pair.server.changes.clear();
    for id in [0, 4] {
        assert!(shut(&client, id, Shutdown::Write, 5));
    }
    pair.run();
    for id in [0, 4] {
        let is_told = |change: &Change| matches!(change, Change::StreamReadable(_, told) if *told == id);
        assert_eq!(pair.server.count(is_told), 1);
        assert_eq!(read_once(&server, id), Read::Reset { code: 5 });
    }
}

#[test]
fn a_stop_that_comes_with_its_stream_is_told_though_nothing_may_be_written() {
    let nothing = |config: &mut Config| config.quiche.set_initial_max_data(0);
    let (mut pair, client, server) = Pair::connected_with(nothing, |_| {});
    write(&client, 0, b"hello", true);
    assert!(shut(&client, 0, Shutdown::Read, 7));
    pair.run();
    assert_eq!(pair.server.opened(), [0]);
    let is_told = |change: &Change| matches!(change, Change::StreamWritable(_, 0));
    assert_eq!(pair.server.count(is_told), 1);
    assert_eq!(read(&server, 0), (b"hello".to_vec(), true));
    assert_eq!(write_once(&server, 0, b"answer"), Write::Stopped { code: 7 });
}

#[test]
fn a_reset_tells_also_a_stream_that_had_no_data() {
    let (mut pair, client, server) = Pair::connected();
    // Opened and reset before anything of it was sent.
    write(&client, 0, b"never sent", false);
    assert!(shut(&client, 0, Shutdown::Write, 9));
    pair.run();
    assert_eq!(pair.server.opened(), [0]);
    assert_eq!(read_once(&server, 0), Read::Reset { code: 9 });
}

#[test]
fn a_reset_gives_back_what_full_buffers_held() {
    let (mut pair, client, server) = Pair::connected();
    // The window of one stream is a quarter of the connection's: five rounds need it back each time.
    for id in [0, 4, 8, 12, 16] {
        let mut sent = 0;
        while sent < 1 << 18 {
            sent += write(&client, id, &[0; 1 << 18], false);
            pair.run();
        }
        assert_eq!(write_once(&client, id, b"more"), Write::Taken(0));
        assert!(shut(&client, id, Shutdown::Write, 5));
        pair.run();
        assert_eq!(read_once(&server, id), Read::Reset { code: 5 });
    }
}

#[test]
fn a_stop_tells_the_writer_once_and_with_its_code() {
    let (mut pair, client, server) = Pair::connected();
    for (id, opener, other) in [(0, &client, &server), (1, &server, &client)] {
        write(opener, id, b"hello", false);
        pair.run();
        assert!(shut(other, id, Shutdown::Read, 77));
        assert!(!shut(other, id, Shutdown::Read, 78), "the first code stays");
        pair.run();
        let key = opener.borrow().key().expect("driven");
        let changes = if id == 0 {
            &pair.client.changes
        } else {
            &pair.server.changes
        };
        assert_eq!(told(changes, Change::StreamWritable(key, id)), 1);
        assert_eq!(write_once(opener, id, b"more"), Write::Stopped { code: 77 });
        // quiche resets a stopped stream by itself; the one who stopped it isn't told of that.
        assert_eq!(read_once(other, id), Read::Finished);
    }
}

#[test]
fn a_stop_tells_a_writer_that_has_not_begun() {
    let (mut pair, client, server) = Pair::connected();
    // In one batch: the stream is new to the server, and stopped.
    write(&client, 0, b"request", false);
    shut(&client, 0, Shutdown::Read, 3);
    // And one batch later.
    write(&client, 4, b"request", false);
    pair.run();
    shut(&client, 4, Shutdown::Read, 3);
    pair.run();
    let key = server.borrow().key().expect("driven");
    for id in [0, 4] {
        let changes = &pair.server.changes;
        assert_eq!(told(changes, Change::StreamWritable(key, id)), 1, "stream {id}");
        let opened = changes
            .iter()
            .position(|change| *change == Change::StreamOpened(key, id));
        let stopped = changes
            .iter()
            .position(|change| *change == Change::StreamWritable(key, id));
        assert!(opened.is_some() && opened < stopped);
        assert_eq!(write_once(&server, id, b"answer"), Write::Stopped { code: 3 });
    }
}

#[test]
fn a_stop_frees_a_writer_with_full_buffers() {
    let (mut pair, client, server) = Pair::connected();
    let mut sent = 0;
    while sent < 1 << 18 {
        sent += write(&client, 0, &[0; 1 << 18], false);
        pair.run();
    }
    assert_eq!(write_once(&client, 0, b"more"), Write::Taken(0));
    pair.client.changes.clear();
    shut(&server, 0, Shutdown::Read, 6);
    pair.run();
    let key = client.borrow().key().expect("driven");
    assert_eq!(told(&pair.client.changes, Change::StreamWritable(key, 0)), 1);
    assert_eq!(write_once(&client, 0, b"more"), Write::Stopped { code: 6 });
}

#[test]
fn a_stop_is_told_even_if_the_rest_of_the_stream_is_over() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"a", false);
    pair.run();
    write(&server, 0, b"answer", true);
    shut(&server, 0, Shutdown::Read, 8);
    pair.run();
    assert_eq!(read(&client, 0), (b"answer".to_vec(), true));
    pair.run();
    assert_eq!(write_once(&client, 0, b"b"), Write::Stopped { code: 8 });
    assert_eq!(write_once(&client, 0, b"c"), Write::Stopped { code: 8 });
}

#[test]
fn reset_and_stop_may_cross() {
    let (mut pair, client, server) = Pair::connected();
    write(&client, 0, b"hello", false);
    pair.run();
    // Both at once, on both directions.
    write(&server, 0, b"hello", false);
    shut(&client, 0, Shutdown::Write, 1);
    shut(&server, 0, Shutdown::Read, 2);
    shut(&server, 0, Shutdown::Write, 3);
    shut(&client, 0, Shutdown::Read, 4);
    pair.run();
    for end in [&client, &server] {
        assert!(matches!(drain(end, 0), Read::Blocked | Read::Finished));
        let written = write_once(end, 0, b"more");
        assert!(
            matches!(written, Write::Finished | Write::Stopped { .. }),
            "{written:?}"
        );
        assert_eq!(end.borrow().close_cause(), None);
    }
    write(&client, 4, b"next", true);
    pair.run();
    assert_eq!(read(&server, 4), (b"next".to_vec(), true));
}

#[test]
fn an_urgent_stream_goes_first() {
    let (mut pair, client, server) = Pair::connected();
    for (id, urgency) in [(0, 200), (4, 1)] {
        let mut client = client.borrow_mut();
        let quiche = client.live_mut().expect("live");
        quiche.stream_priority(id, urgency, false).expect("a stream");
        assert_eq!(client.stream_write(id, &[0; 5_000], true), Ok(Write::Taken(5_000)));
    }
    let burst = pair.client.transmit();
    // The first half of what leaves.
    pair.server.receive(&burst[..burst.len() / 2 + 1]);
    assert_eq!(
        drain(&server, 4),
        Read::Data {
            bytes: 5_000,
            fin: true
        }
    );
    assert_ne!(
        drain(&server, 0),
        Read::Data {
            bytes: 5_000,
            fin: true
        }
    );
}

#[test]
fn incremental_streams_share() {
    let (mut pair, client, server) = Pair::connected();
    for id in [0, 4] {
        assert_eq!(write(&client, id, &[0; 5_000], true), 5_000);
    }
    let burst = pair.client.transmit();
    pair.server.receive(&burst[..4]);
    for id in [0, 4] {
        assert!(
            !read(&server, id).0.is_empty(),
            "nothing of stream {id} in four datagrams"
        );
    }
}

#[test]
fn the_code_of_a_stop_arrives_though_all_was_acknowledged_at_once() {
    let (mut pair, client, server) = Pair::connected();
    assert_eq!(write(&client, 2, b"x", false), 1);
    let sent = pair.client.transmit();
    pair.server.receive(&sent);
    // Stopped in the turn that brought the data, so that its acknowledgement is still to be sent.
    assert_eq!(
        server.borrow_mut().stream_shutdown(2, quiche::Shutdown::Read, 7),
        Ok(true)
    );
    pair.run();
    assert_eq!(
        pair.client
            .count(|change| matches!(change, Change::StreamWritable(_, 2))),
        1
    );
    assert_eq!(
        client.borrow_mut().stream_write(2, b"y", false),
        Ok(Write::Stopped { code: 7 })
    );
}
