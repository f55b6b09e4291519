use super::*;
use crate::udp::{Entry, Inbox};

const KIB: usize = 1024;

fn options(address: &str) -> BindOptions {
    BindOptions {
        address: address.parse().expect("a valid address"),
        is_ipv6_only: false,
        reuses_address: false,
        receive_buffer: 1024 * KIB,
        send_buffer: 1024 * KIB,
        offload: true,
    }
}

fn bind(address: &str) -> Socket {
    Socket::bind(&options(address)).expect("a free port")
}

/// Datagrams of these sizes, one after the other, each filled with its number.
fn datagrams(sizes: &[usize], to: SocketAddr) -> (Vec<u8>, Vec<Entry>) {
    let (mut bytes, mut entries) = (Vec::new(), Vec::new());
    for (number, size) in sizes.iter().enumerate() {
        entries.push(Entry {
            offset: bytes.len(),
            length: *size,
            address: to,
        });
        bytes.resize(bytes.len() + size, number as u8);
    }
    (bytes, entries)
}

/// Sizes of all that came, each checked to hold its number.
fn sizes_received(socket: &Socket, from: SocketAddr) -> Vec<usize> {
    let (mut inbox, mut sizes) = (Inbox::default(), Vec::new());
    loop {
        let has_more = socket.drain(&mut inbox).expect("it is alive");
        for (datagram, sender) in inbox.datagrams() {
            assert_eq!(sender, from);
            assert!(datagram.iter().all(|byte| usize::from(*byte) == sizes.len() % 256));
            sizes.push(datagram.len());
        }
        if !has_more {
            return sizes;
        }
    }
}

fn bind_with(offload: bool) -> Socket {
    let options = BindOptions {
        offload,
        ..options("127.0.0.1:0")
    };
    Socket::bind(&options).expect("a free port")
}

/// How many datagrams the inbox took in with one system call.
fn drain(socket: &Socket, inbox: &mut Inbox) -> usize {
    socket.drain(inbox).expect("it is alive");
    inbox.datagrams().count()
}

fn exchange(cuts: bool, merges: bool, sizes: &[usize]) {
    let (mut sender, receiver) = (bind_with(cuts), bind_with(merges));
    assert_eq!((sender.segments(), receiver.merges()), (cuts, merges));
    let (bytes, entries) = datagrams(sizes, receiver.local_address().expect("it is bound"));
    let burst = sender.burst(&bytes, &entries).expect("it is alive");
    assert_eq!((burst.done, burst.failed, burst.is_blocked), (sizes.len(), 0, false));
    let from = sender.local_address().expect("it is bound");
    assert_eq!(sizes_received(&receiver, from), sizes);
}

#[test]
fn bursts_come_as_the_datagrams_they_were() {
    let mixed = [
        vec![1200; 70],
        vec![300],
        vec![1350; 3],
        vec![1, 2, 3],
        vec![9000; 10],
        vec![65_507, 20, 0, 7],
    ];
    for (cuts, merges) in [(true, true), (true, false), (false, true), (false, false)] {
        exchange(cuts, merges, &mixed.concat());
        exchange(cuts, merges, &[1350; 48]);
        exchange(cuts, merges, &[1]);
    }
}

#[test]
fn one_socket_speaks_both_families() {
    let mut both = bind("[::]:0");
    let receiver = bind("127.0.0.1:0");
    let (bytes, entries) = datagrams(&[100; 3], receiver.local_address().expect("it is bound"));
    both.burst(&bytes, &entries).expect("it is alive");
    let port = both.local_address().expect("it is bound").port();
    assert_eq!(
        sizes_received(&receiver, SocketAddr::from(([127, 0, 0, 1], port))),
        [100; 3]
    );
}

#[test]
fn senders_are_named_as_the_system_names_them() {
    let receiver = bind("[::]:0");
    let port = receiver.local_address().expect("it is bound").port();
    let mut sender = bind("127.0.0.1:0");
    let (bytes, entries) = datagrams(&[10], SocketAddr::from(([127, 0, 0, 1], port)));
    sender.burst(&bytes, &entries).expect("it is alive");
    let mut inbox = Inbox::default();
    assert_eq!(drain(&receiver, &mut inbox), 1);
    let (_, from) = inbox.datagrams().next().expect("one came");
    assert_eq!(
        from.ip().to_canonical(),
        sender.local_address().expect("it is bound").ip()
    );
}

#[test]
fn sockets_of_both_families_share_an_inbox() {
    let mut inbox = Inbox::default();
    for address in ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "[::1]:0"] {
        let (mut sender, receiver) = (bind(address), bind(address));
        let (bytes, entries) = datagrams(&[10; 3], receiver.local_address().expect("it is bound"));
        sender.burst(&bytes, &entries).expect("it is alive");
        assert_eq!(drain(&receiver, &mut inbox), 3);
        let from = sender.local_address().expect("it is bound");
        assert!(inbox.datagrams().all(|(_, sender)| sender == from));
    }
}

#[test]
fn what_cannot_be_sent_is_lost_and_stops_nothing() {
    let receiver = bind("127.0.0.1:0");
    let to = receiver.local_address().expect("it is bound");
    let mut sender = bind("127.0.0.1:0");
    let (bytes, mut entries) = datagrams(&[100, 100, 65_508, 100, 100], to);
    // From loopback nobody reaches a network.
    entries[1].address = "192.0.2.1:9".parse().expect("a valid address");
    let burst = sender.burst(&bytes, &entries).expect("it is alive");
    assert_eq!((burst.done, burst.failed, burst.is_blocked), (5, 2, false));
    let mut inbox = Inbox::default();
    assert_eq!(drain(&receiver, &mut inbox), 3);
    assert!(sender.segments());
}

#[test]
fn a_second_bind_fails_unless_both_want_it() {
    let socket = bind("127.0.0.1:0");
    let taken = socket.local_address().expect("it is bound");
    let again = BindOptions {
        address: taken,
        ..options("127.0.0.1:0")
    };
    let shared = BindOptions {
        reuses_address: true,
        ..again
    };
    assert!(Socket::bind(&again).is_err());
    assert!(Socket::bind(&shared).is_err());
    drop(socket);
    let socket = Socket::bind(&shared).expect("it is free again");
    assert!(Socket::bind(&again).is_err());
    assert!(Socket::bind(&shared).is_ok());
    drop(socket);
}

#[test]
fn a_dropped_socket_frees_its_port() {
    let socket = bind("127.0.0.1:0");
    let again = BindOptions {
        address: socket.local_address().expect("it is bound"),
        ..options("127.0.0.1:0")
    };
    assert!(Socket::bind(&again).is_err());
    drop(socket);
    assert!(Socket::bind(&again).is_ok());
}

#[test]
fn no_descriptor_is_inherited() {
    let socket = bind("127.0.0.1:0");
    let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", socket.descriptor()));
    let flags = flags.expect("an open descriptor");
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.expect("flags").trim(), 8).expect("an octal number");
    assert_ne!(flags & 0o2_000_000, 0, "O_CLOEXEC");
}

#[test]
fn a_number_that_is_somebody_elses_by_now_is_left_alone() {
    let (socket, other) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let number = socket.descriptor();
    // Closes ours, and gives its number to somebody else in one step: other tests open descriptors meanwhile.
    // SAFETY: both are open; what the number stands for from now on is closed below.
    assert_eq!(unsafe { libc::dup2(other.descriptor(), number) }, number);
    drop(socket);
    // SAFETY: it is open, which is what is shown, and nobody else has it.
    assert_eq!(unsafe { libc::close(number) }, 0);
}
