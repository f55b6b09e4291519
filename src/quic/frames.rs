//! What stands in a packet that quiche has taken: quiche decrypts in place, so that the frames can be read afterwards.
//!
//! quiche tells of resets and stops only by counters, and its counters cost a walk over all streams: too much for each
//! packet. Most packets have neither, which a look at their frames tells in no time.

use super::packet::{ID_LENGTH, Reader, is_short};

/// Length of the tag at the end of each packet, the same for all ciphers of QUIC v1 (RFC 9001 §5.3).
const TAG: usize = 16;
/// RFC 9000 §19.15.
const RESET_TOKEN: usize = 16;

/// Whether a decrypted 1-RTT packet has a RESET_STREAM or STOP_SENDING frame (RFC 9000 §19.4, §19.5). True as well where
/// that can't be told: of a packet of another kind, or one that makes no sense.
pub fn may_end_streams(packet: &[u8]) -> bool {
    has_ends(packet).unwrap_or(true)
}

fn has_ends(packet: &[u8]) -> Option<bool> {
    let first = *packet.first()?;
    if !is_short(first) {
        return None;
    }
    // RFC 9000 §17.3.1: the last two bits tell the length of the packet number.
    let number_length = usize::from(first & 0x03) + 1;
    let payload = packet.len().checked_sub(TAG)?;
    let mut reader = Reader::new(packet.get(..payload)?, 1 + ID_LENGTH + number_length);
    while !reader.is_at_end() {
        match reader.varint()? {
            // PADDING, PING, HANDSHAKE_DONE.
            0x00 | 0x01 | 0x1e => {}
            kind @ (0x02 | 0x03) => skip_ack(&mut reader, kind == 0x03)?,
            // RESET_STREAM, STOP_SENDING.
            0x04 | 0x05 => return Some(true),
            // CRYPTO: offset, length, data.
            0x06 => {
                reader.varint()?;
                skip_data(&mut reader)?;
            }
            // NEW_TOKEN, DATAGRAM with a length.
            0x07 | 0x31 => skip_data(&mut reader)?,
            kind @ 0x08..=0x0f => {
                reader.varint()?;
                if kind & 0x04 != 0 {
                    reader.varint()?;
                }
                // Without a length it reaches to the end.
                if kind & 0x02 == 0 {
                    return Some(false);
                }
                skip_data(&mut reader)?;
            }
            // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID.
            0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => {
                reader.varint()?;
            }
            // MAX_STREAM_DATA, STREAM_DATA_BLOCKED.
            0x11 | 0x15 => {
                reader.varint()?;
                reader.varint()?;
            }
            // NEW_CONNECTION_ID: sequence number, retire prior to, id, token.
            0x18 => {
                reader.varint()?;
                reader.varint()?;
                let length = reader.byte()?;
                reader.skip(usize::from(length) + RESET_TOKEN)?;
            }
            // PATH_CHALLENGE, PATH_RESPONSE.
            0x1a | 0x1b => reader.skip(8)?,
            // DATAGRAM up to the end.
            0x30 => return Some(false),
            // CONNECTION_CLOSE ends all, and nothing else is known.
            _ => return None,
        }
    }
    Some(false)
}

/// RFC 9000 §19.3.
fn skip_ack(reader: &mut Reader<'_>, has_ecn_counts: bool) -> Option<()> {
    // Largest acknowledged, delay.
    reader.varint()?;
    reader.varint()?;
    let ranges = reader.varint()?;
    reader.varint()?;
    for _ in 0..ranges {
        reader.varint()?;
        reader.varint()?;
    }
    if has_ecn_counts {
        for _ in 0..3 {
            reader.varint()?;
        }
    }
    Some(())
}

fn skip_data(reader: &mut Reader<'_>) -> Option<()> {
    let length = reader.varint()?;
    reader.skip(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A 1-RTT packet with a packet number of two bytes.
    fn packet(frames: &[&[u8]]) -> Vec<u8> {
        let mut packet = vec![0x41];
        packet.extend([9; ID_LENGTH + 2]);
        packet.extend(frames.concat());
        packet.extend([0x05; TAG]);
        packet
    }

    const ACK: &[u8] = &[0x02, 0x10, 0x01, 0x01, 0x02, 0x03, 0x04];
    const ACK_ECN: &[u8] = &[0x03, 0x10, 0x01, 0x00, 0x02, 0x01, 0x01, 0x00];
    const STREAM: &[u8] = &[0x0e, 0x04, 0x40, 0x80, 0x02, 0x05, 0x05];
    const OPEN_STREAM: &[u8] = &[0x0c, 0x04, 0x01, 0x05, 0x05];
    const NEW_ID: &[u8] = &[
        0x18, 0x01, 0x00, 0x04, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    ];
    const RESET: &[u8] = &[0x04, 0x04, 0x07, 0x00];
    const STOP: &[u8] = &[0x05, 0x04, 0x07];

    #[test]
    fn finds_resets_and_stops_behind_all_other_frames() {
        let others: [&[u8]; 16] = [
            &[0x00],
            &[0x01],
            ACK,
            ACK_ECN,
            &[0x06, 0x00, 0x01, 0x05],
            &[0x07, 0x02, 0x05, 0x05],
            STREAM,
            &[0x10, 0x05],
            &[0x11, 0x05, 0x05],
            &[0x13, 0x05],
            &[0x15, 0x05, 0x05],
            NEW_ID,
            &[0x19, 0x05],
            &[0x1a, 5, 5, 5, 5, 5, 5, 5, 5],
            &[0x1e],
            &[0x31, 0x01, 0x05],
        ];
        for other in others {
            assert!(!may_end_streams(&packet(&[other])), "{other:02x?}");
            assert!(may_end_streams(&packet(&[other, RESET])), "{other:02x?}");
            assert!(may_end_streams(&packet(&[STOP, other])), "{other:02x?}");
        }
        assert!(!may_end_streams(&packet(&others)));
        assert!(may_end_streams(&packet(&[&others.concat(), STOP])));
    }

    #[test]
    fn what_reaches_to_the_end_hides_nothing() {
        assert!(!may_end_streams(&packet(&[ACK, OPEN_STREAM])));
        assert!(!may_end_streams(&packet(&[&[0x30, 0x05, 0x05]])));
    }

    #[test]
    fn what_makes_no_sense_may_be_anything() {
        assert!(may_end_streams(&[]));
        assert!(may_end_streams(&[0xc1; 100]), "a long header");
        assert!(may_end_streams(&[0x41; 12]), "too short");
        assert!(may_end_streams(&packet(&[&STREAM[..5]])), "cut");
        assert!(may_end_streams(&packet(&[&[0x1c, 0x00]])), "a close");
        assert!(may_end_streams(&packet(&[&[0x21]])), "unknown");
    }

    proptest! {
        #[test]
        fn never_reads_beyond_the_packet(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            may_end_streams(&bytes);
            may_end_streams(&packet(&[&bytes]));
        }
    }
}
