//! Many datagrams in one buffer: the bytes one after the other, and for each an entry that says where it lies and
//! which address it goes to or comes from.

use std::net::SocketAddr;

use super::address::AddressBook;

/// How many numbers describe one datagram: offset, length, address.
pub const STRIDE: usize = 3;

/// Where one datagram lies, and the number of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// First byte in the buffer.
    pub offset: usize,
    /// How many bytes.
    pub length: usize,
    /// Number of the address in the [`AddressBook`].
    pub address: u32,
}

/// Reads entry `index` of a layout; `None` if the layout has none or its range lies outside `capacity` bytes.
pub fn entry(layout: &[i32], index: usize, capacity: usize) -> Option<Entry> {
    let start = index.checked_mul(STRIDE)?;
    let [offset, length, address] = layout.get(start..start + STRIDE)? else {
        return None;
    };
    let offset = usize::try_from(*offset).ok()?;
    let length = usize::try_from(*length).ok()?;
    let address = u32::try_from(*address).ok()?;
    (offset.checked_add(length)? <= capacity).then_some(Entry {
        offset,
        length,
        address,
    })
}

/// Where an endpoint puts datagrams that are to be sent.
pub trait Outbox {
    /// All the room that is left for one more datagram, if it is at least `size` bytes.
    fn room(&mut self, size: usize) -> Option<&mut [u8]>;
    /// Adds the datagram of `length` bytes that was written to [`room`](Self::room). Who wants to name addresses by
    /// numbers finds them in the book.
    fn add(&mut self, length: usize, to: SocketAddr, addresses: &mut AddressBook);
}

impl Outbox for Batch<'_> {
    fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        Batch::room(self, size)
    }

    fn add(&mut self, length: usize, to: SocketAddr, addresses: &mut AddressBook) {
        self.push(length, addresses.number(to));
    }
}

/// Datagrams being gathered into a caller's buffer.
#[derive(Debug)]
pub struct Batch<'a> {
    data: &'a mut [u8],
    layout: &'a mut [i32],
    used: usize,
    count: usize,
}

impl<'a> Batch<'a> {
    /// An empty batch over a buffer of bytes and one of entries.
    pub fn new(data: &'a mut [u8], layout: &'a mut [i32]) -> Self {
        // Entries are 32-bit numbers.
        let capacity = data.len().min(i32::MAX as usize);
        Self {
            data: &mut data[..capacity],
            layout,
            used: 0,
            count: 0,
        }
    }

    /// How many datagrams are in it.
    pub fn count(&self) -> usize {
        self.count
    }

    /// All the room that is left for one more datagram, if it is at least `size` bytes.
    pub fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        if (self.count + 1) * STRIDE > self.layout.len() {
            return None;
        }
        let rest = &mut self.data[self.used..];
        (rest.len() >= size).then_some(rest)
    }

    /// Adds the datagram of `length` bytes that was written to [`room`](Self::room).
    pub fn push(&mut self, length: usize, address: u32) {
        let entry = &mut self.layout[self.count * STRIDE..(self.count + 1) * STRIDE];
        let numbers = [self.used, length, address as usize];
        for (place, number) in entry.iter_mut().zip(numbers) {
            *place = i32::try_from(number).expect("the buffer is limited to what an entry can name");
        }
        self.used += length;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_pushed_is_read_back() {
        let (mut data, mut layout) = (vec![0; 100], vec![0; 6]);
        let mut batch = Batch::new(&mut data, &mut layout);
        batch.room(60).expect("there is room")[..2].copy_from_slice(&[1, 2]);
        batch.push(2, 7);
        assert!(batch.room(99).is_none());
        batch.room(98).expect("there is room")[0] = 3;
        batch.push(1, 8);
        assert!(batch.room(1).is_none());
        assert_eq!(batch.count(), 2);
        assert_eq!(
            entry(&layout, 0, 100),
            Some(Entry {
                offset: 0,
                length: 2,
                address: 7
            })
        );
        assert_eq!(
            entry(&layout, 1, 100),
            Some(Entry {
                offset: 2,
                length: 1,
                address: 8
            })
        );
        assert_eq!(entry(&layout, 2, 100), None);
        assert_eq!(data[..3], [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn entries_never_point_outside(layout in proptest::collection::vec(any::<i32>(), 0..12), index in 0usize..6, capacity in 0usize..4096) {
            if let Some(entry) = entry(&layout, index, capacity) {
                prop_assert!(entry.offset + entry.length <= capacity);
            }
        }
    }
}
