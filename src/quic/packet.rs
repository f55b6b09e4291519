//! What can be seen of a datagram's packets without keys: the version-independent fields (RFC 8999), and where each
//! coalesced packet ends (RFC 9000 §12.2).

/// Length of every connection id that this crate issues. Short headers do not carry it (RFC 9000 §17.3). No longer than
/// it needs to be: quiche has 128 bytes for the transport parameters, which repeat ids.
pub const ID_LENGTH: usize = 12;

const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;
const INITIAL: u8 = 0x00;
const RETRY: u8 = 0x30;
const TYPE_MASK: u8 = 0x30;

/// Whether the first byte begins a long header.
pub fn is_long(first: u8) -> bool {
    first & LONG_HEADER != 0
}

/// Whether a packet looks like one of QUIC v1 with a short header.
pub fn is_short(first: u8) -> bool {
    first & (LONG_HEADER | FIXED_BIT) == FIXED_BIT
}

/// The destination connection id of a datagram's first packet; `None` if the datagram is too short to have one.
pub fn destination_id(datagram: &[u8]) -> Option<&[u8]> {
    let first = *datagram.first()?;
    if !is_long(first) {
        return datagram.get(1..1 + ID_LENGTH);
    }
    // RFC 8999 §5.1: flags, version (4 bytes), length and bytes of the destination id.
    let length = usize::from(*datagram.get(5)?);
    datagram.get(6..6 + length)
}

/// The version of a long header, 0 in version negotiation.
pub fn version(datagram: &[u8]) -> Option<u32> {
    let first = *datagram.first()?;
    let bytes: [u8; 4] = datagram.get(1..5)?.try_into().ok()?;
    is_long(first).then(|| u32::from_be_bytes(bytes))
}

/// The packets coalesced in a datagram of QUIC v1, as far as their plain fields tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coalesced {
    /// How many packets.
    pub count: usize,
    /// Where the last one begins, if it has a short header.
    pub short: Option<usize>,
}

/// Walks the length fields of a datagram; `None` if it is malformed.
pub fn coalesced(datagram: &[u8]) -> Option<Coalesced> {
    let mut offset = 0;
    let mut count = 0;
    while offset < datagram.len() {
        count += 1;
        if !is_long(datagram[offset]) {
            return Some(Coalesced {
                count,
                short: Some(offset),
            });
        }
        offset += long_packet_length(&datagram[offset..])?;
    }
    Some(Coalesced { count, short: None })
}

/// Length of a long header packet of QUIC v1 (RFC 9000 §17.2).
fn long_packet_length(packet: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(packet, 5);
    let destination = reader.byte()?;
    reader.skip(destination.into())?;
    let source = reader.byte()?;
    reader.skip(source.into())?;
    match packet[0] & TYPE_MASK {
        // A Retry has no length: it is alone in its datagram.
        RETRY => return Some(packet.len()),
        INITIAL => {
            let token = reader.varint()?;
            reader.skip(token)?;
        }
        _ => {}
    }
    let rest = reader.varint()?;
    reader.skip(rest)?;
    Some(reader.offset)
}

/// Reads the fields of packets and frames; `None` where there are too few bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.offset >= self.bytes.len()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.offset)?;
        self.offset += 1;
        Some(byte)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        let end = self.offset.checked_add(count)?;
        if end > self.bytes.len() {
            return None;
        }
        self.offset = end;
        Some(())
    }

    /// RFC 9000 §16: the first two bits tell the length.
    pub(super) fn varint(&mut self) -> Option<usize> {
        let first = self.byte()?;
        let mut value = u64::from(first & 0x3f);
        for _ in 1..(1 << (first >> 6)) {
            value = value << 8 | u64::from(self.byte()?);
        }
        usize::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An Initial with 8-byte ids, an empty token and `payload` bytes.
    fn long(kind: u8, payload: u8) -> Vec<u8> {
        let mut packet = vec![LONG_HEADER | FIXED_BIT | kind, 0, 0, 0, 1, 8];
        packet.extend([1; 8]);
        packet.push(8);
        packet.extend([2; 8]);
        if kind == INITIAL {
            packet.push(0);
        }
        packet.push(payload);
        packet.extend(vec![0; payload.into()]);
        packet
    }

    #[test]
    fn finds_the_destination_id_in_both_headers() {
        let mut short = vec![FIXED_BIT];
        short.extend([7; ID_LENGTH]);
        assert_eq!(destination_id(&short), Some(&[7; ID_LENGTH][..]));
        assert_eq!(destination_id(&short[..ID_LENGTH]), None);
        assert_eq!(destination_id(&long(INITIAL, 30)), Some(&[1; 8][..]));
        assert_eq!(version(&long(INITIAL, 30)), Some(1));
    }

    #[test]
    fn walks_coalesced_packets_up_to_the_short_header() {
        let mut datagram = long(INITIAL, 40);
        datagram.extend(long(0x20, 20));
        assert_eq!(coalesced(&datagram), Some(Coalesced { count: 2, short: None }));
        let end = datagram.len();
        datagram.extend([FIXED_BIT; 50]);
        assert_eq!(
            coalesced(&datagram),
            Some(Coalesced {
                count: 3,
                short: Some(end)
            })
        );
        datagram.truncate(end - 1);
        assert_eq!(coalesced(&datagram), None);
    }

    proptest! {
        #[test]
        fn never_reads_beyond_the_datagram(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            destination_id(&bytes);
            version(&bytes);
            if let Some(found) = coalesced(&bytes) {
                prop_assert!(found.short.is_none_or(|offset| offset < bytes.len()));
            }
        }
    }
}
