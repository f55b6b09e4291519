//! Datagrams that have come.

use std::fmt;
use std::mem;
use std::net::SocketAddr;

/// The largest message, and a little: slots a power of two apart would share a few lines of the processor's caches.
pub const SLOT: usize = 65_536 + 1472;
/// What libuv reads between two turns, if it reads 20 at a time, each into a slot.
const CAPACITY: usize = 42 * SLOT;

/// Room for the datagrams that one look into a socket brings. Any number of sockets can use it, one after the other.
pub struct Inbox {
    /// Memory that was never touched takes no room.
    bytes: Vec<u8>,
    came: Messages,
}

/// What stands in an inbox.
#[derive(Debug)]
pub struct Messages(Vec<Message>);

/// One or more datagrams of one sender, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its first byte.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Size of each datagram but the last, which may be smaller.
    pub segment: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; CAPACITY],
            came: Messages(Vec::new()),
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inbox").field("came", &self.came).finish()
    }
}

impl Inbox {
    /// What came, with its sender; the bytes may be changed.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (&mut [u8], SocketAddr)> {
        let (mut rest, mut start) = (&mut self.bytes[..], 0);
        self.came.0.iter().flat_map(move |message| {
            let (_, bytes) = mem::take(&mut rest).split_at_mut(message.offset - start);
            let (bytes, behind) = bytes.split_at_mut(message.length);
            (rest, start) = (behind, message.offset + message.length);
            // No piece would be left of a datagram without bytes.
            let empty = bytes.is_empty().then_some(&mut [][..]);
            let pieces = bytes.chunks_mut(message.segment.max(1));
            empty.into_iter().chain(pieces).map(|datagram| (datagram, message.from))
        })
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.came.0.is_empty()
    }

    /// Forgets what came.
    pub fn clear(&mut self) {
        self.came.0.clear();
    }

    /// Where the memory begins that nothing stands in, up to its end.
    pub fn used(&self) -> usize {
        self.came.end()
    }

    /// How much is free behind all that stands there.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.used()
    }

    /// All of its memory, and what stands there: to be written, and then told.
    pub fn parts(&mut self) -> (&mut [u8], &mut Messages) {
        (&mut self.bytes, &mut self.came)
    }
}

impl Messages {
    /// Tells of what was written behind all others.
    pub fn push(&mut self, message: Message) {
        assert!(self.end() <= message.offset, "messages stand one behind the other");
        self.0.push(message);
    }

    fn end(&self) -> usize {
        self.0.last().map_or(0, |last| last.offset + last.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: usize, length: usize, segment: usize) -> Message {
        Message {
            offset,
            length,
            from: SocketAddr::from(([127, 0, 0, 1], 1 + offset as u16)),
            segment,
        }
    }

    fn filled(messages: &[Message]) -> Inbox {
        let mut inbox = Inbox::default();
        let (memory, came) = inbox.parts();
        for (place, byte) in memory.iter_mut().enumerate() {
            *byte = (place % 251) as u8;
        }
        for message in messages {
            came.push(*message);
        }
        inbox
    }

    fn pieces(inbox: &mut Inbox) -> Vec<(u8, usize, u16)> {
        inbox
            .datagrams()
            .map(|(bytes, from)| (bytes.first().copied().unwrap_or(255), bytes.len(), from.port()))
            .collect()
    }

    #[test]
    fn messages_come_apart_into_the_datagrams_that_they_were() {
        let mut inbox = filled(&[
            message(0, 3, 3),
            message(10, 0, 0),
            message(10, 25, 10),
            message(100, 1, 1),
        ]);
        let expected = [
            (0, 3, 1),
            (255, 0, 11),
            (10, 10, 11),
            (20, 10, 11),
            (30, 5, 11),
            (100, 1, 101),
        ];
        assert_eq!(pieces(&mut inbox), expected);
        // Looking takes nothing out.
        assert_eq!(pieces(&mut inbox), expected);
        assert_eq!((inbox.used(), inbox.is_empty()), (101, false));
        assert_eq!(inbox.room(), inbox.parts().0.len() - 101);
        inbox.clear();
        assert_eq!((inbox.used(), inbox.is_empty()), (0, true));
        assert_eq!(pieces(&mut inbox), []);
    }

    #[test]
    #[should_panic(expected = "one behind the other")]
    fn no_message_stands_in_another() {
        filled(&[message(0, 3, 3), message(2, 1, 1)]);
    }
}
