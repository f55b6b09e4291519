//! Streams that are cancelled leave nothing behind: the peer may always open more.

mod common;

use common::{Pair, drain, lossy, read, shut, write};
use polykey_quic::quic::SharedConnection;
use polykey_quic::quic::stream::{Read, Write};
use quiche::Shutdown;

/// The peer may have 100 streams of a kind: five times as many show whether they are given back.
const MANY: u64 = 500;

/// Lets the client open many streams of a kind, one after the other, each of which `cancel` ends in its own way. `first`
/// is the first stream's id.
fn open_and_cancel(first: u64, cancel: impl Fn(&mut Pair, &SharedConnection, &SharedConnection, u64)) {
    let (mut pair, client, server) = Pair::connected();
    for index in 0..MANY {
        let id = first + 4 * index;
        let opened = client.borrow_mut().stream_write(id, b"request", false);
        assert_eq!(opened, Ok(Write::Taken(7)), "stream number {index}");
        pair.run();
        cancel(&mut pair, &client, &server, id);
        pair.run();
    }
    let ids: Vec<_> = (0..MANY).map(|index| first + 4 * index).collect();
    assert_eq!(pair.server.opened(), ids);
}

#[test]
fn stopped_after_both_sides_have_ended() {
    open_and_cancel(0, |pair, client, server, id| {
        write(client, id, b"!", true);
        write(server, id, b"answer", true);
        pair.run();
        assert_eq!(read(client, id), (b"answer".to_vec(), true));
        assert!(shut(server, id, Shutdown::Read, 1));
    });
}

#[test]
fn stopped_when_our_end_is_acknowledged_and_reset_by_the_peer_then() {
    open_and_cancel(0, |pair, client, server, id| {
        write(server, id, b"answer", true);
        pair.run();
        assert_eq!(read(client, id), (b"answer".to_vec(), true));
        assert!(shut(server, id, Shutdown::Read, 1));
    });
}

#[test]
fn stopped_when_our_reset_is_acknowledged() {
    open_and_cancel(0, |pair, client, server, id| {
        assert!(shut(server, id, Shutdown::Write, 1));
        pair.run();
        assert_eq!(
            client.borrow_mut().stream_read(id, &mut [0; 9]),
            Ok(Read::Reset { code: 1 })
        );
        assert!(shut(server, id, Shutdown::Read, 1));
    });
}

#[test]
fn both_parts_cancelled_at_once() {
    open_and_cancel(0, |pair, client, server, id| {
        assert!(shut(server, id, Shutdown::Read, 1));
        assert!(shut(server, id, Shutdown::Write, 2));
        pair.run();
        assert_eq!(drain(client, id), Read::Reset { code: 2 });
    });
}

#[test]
fn cancelled_by_the_one_who_opened() {
    open_and_cancel(0, |pair, client, server, id| {
        assert!(shut(client, id, Shutdown::Read, 1));
        assert!(shut(client, id, Shutdown::Write, 2));
        pair.run();
        assert_eq!(drain(server, id), Read::Reset { code: 2 });
        let written = server.borrow_mut().stream_write(id, b"answer", true).expect("live");
        assert_eq!(written, Write::Stopped { code: 1 });
    });
}

#[test]
fn cancelled_by_both_at_once() {
    open_and_cancel(0, |_, client, server, id| {
        for (end, code) in [(client, 1), (server, 2)] {
            for direction in [Shutdown::Read, Shutdown::Write] {
                assert!(shut(end, id, direction, code), "stream {id}, {code}");
            }
        }
    });
}

#[test]
fn unidirectional_and_reset() {
    open_and_cancel(2, |pair, client, server, id| {
        assert!(shut(client, id, Shutdown::Write, 7));
        pair.run();
        assert_eq!(drain(server, id), Read::Reset { code: 7 });
    });
}

#[test]
fn unidirectional_and_stopped() {
    open_and_cancel(2, |pair, client, server, id| {
        assert!(shut(server, id, Shutdown::Read, 7));
        pair.run();
        let written = client.borrow_mut().stream_write(id, b"more", true);
        let told = id < 4 * 50;
        let expected = if told {
            Write::Stopped { code: 7 }
        } else {
            Write::Taken(4)
        };
        assert_eq!(written, Ok(expected), "stream {id}");
    });
}

#[test]
fn unidirectional_and_stopped_when_all_has_come() {
    open_and_cancel(2, |pair, client, server, id| {
        write(client, id, b"more", true);
        pair.run();
        assert!(shut(server, id, Shutdown::Read, 7));
    });
}

#[test]
fn unidirectional_and_dropped_in_silence_whatever_comes() {
    open_and_cancel(2, |pair, client, server, id| {
        assert!(shut(server, id, Shutdown::Read, 7));
        if id < 4 * 50 {
            return;
        }
        assert!(!shut(server, id, Shutdown::Read, 7), "cancelled twice");
        let told = pair.server.changes.len();
        // Now and then more than the window of the stream: what is dropped counts as read.
        let mut sent = 0;
        while sent < (3 << 18) * usize::from(id % 400 == 2) {
            sent += write(client, id, &[0; 1 << 16], false);
            pair.run();
        }
        write(client, id, b"", true);
        pair.run();
        assert_eq!(pair.server.changes[told..], [], "nothing of it is told");
        assert_eq!(server.borrow_mut().stream_read(id, &mut [0; 9]), Ok(Read::Finished));
    });
}

#[test]
fn over_a_link_that_loses_and_reorders() {
    for seed in 1..=3 {
        let (mut pair, client, server) = Pair::connected();
        pair.up = lossy(seed, 10);
        pair.down = lossy(seed + 100, 10);
        let mut ids = (0..MANY).map(|index| 4 * index).peekable();
        let mut told = 0;
        pair.run_until(|pair| {
            while let Some(id) = ids.peek() {
                match client
                    .borrow_mut()
                    .stream_write(*id, &[7; 3000], id % 8 == 0)
                    .expect("live")
                {
                    Write::BeyondLimit | Write::Taken(0) => break,
                    // The rest of what wasn't taken may stay away: the stream is reset.
                    Write::Taken(_) => {}
                    other => panic!("stream {id}: {other:?}"),
                }
                if id % 8 != 0 {
                    shut(&client, *id, Shutdown::Write, 1);
                }
                shut(&client, *id, Shutdown::Read, 2);
                ids.next();
            }
            let opened = pair.server.opened();
            for id in &opened[told..] {
                shut(&server, *id, Shutdown::Read, 3);
                if id % 12 == 0 {
                    shut(&server, *id, Shutdown::Write, 4);
                } else {
                    server.borrow_mut().stream_write(*id, b"", true).expect("live");
                }
            }
            told = opened.len();
            ids.peek().is_none()
        });
    }
}
