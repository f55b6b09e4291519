//! Object identifiers: dotted text ↔ arcs ↔ DER content, bounded.

/// Longest DER content of an object identifier that is turned into text, in bytes.
///
/// Real ones are below 20. The bound matters: turning one enormous arc into decimal digits takes quadratic time.
pub const MAX_OID_BYTES: usize = 64;

pub(crate) const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const CERTIFICATE_POLICIES: &str = "2.5.29.32";
pub(crate) const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";

/// Why a text is no object identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidError {
    /// The text is not an object identifier.
    #[error("not an object identifier such as 1.3.6.1.4.1.57167.1 (two or more numbers, the first 0 to 2)")]
    Invalid,
}

impl OidError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "InvalidOid",
        }
    }
}

/// Turns DER content (without tag and length) into dotted text; `None` if it is malformed or unreasonably long.
pub(crate) fn text_from_der(content: &[u8]) -> Option<String> {
    if content.is_empty() || content.len() > MAX_OID_BYTES {
        return None;
    }
    let mut text = String::new();
    let mut arc: u128 = 0;
    let mut open = false;
    for &byte in content {
        if !open && byte == 0x80 {
            return None; // X.690 §8.19.2: no padding
        }
        arc = arc.checked_mul(128)? + u128::from(byte & 0x7f);
        open = byte & 0x80 != 0;
        if open {
            continue;
        }
        if text.is_empty() {
            // X.690 §8.19.4: the first two arcs share one number.
            let first = (arc / 40).min(2);
            text.push_str(&format!("{first}.{}", arc - first * 40));
        } else {
            text.push_str(&format!(".{arc}"));
        }
        arc = 0;
    }
    (!open).then_some(text)
}

/// Turns dotted text into its arcs.
pub(crate) fn arcs_from_text(text: &str) -> Result<Vec<u64>, OidError> {
    let arcs: Vec<u64> = text
        .split('.')
        .map(|arc| match arc.as_bytes() {
            [b'0'..=b'9', ..] => arc.parse().map_err(|_| OidError::Invalid),
            _ => Err(OidError::Invalid), // an empty arc, or "+1", which parse() would take
        })
        .collect::<Result<_, _>>()?;
    match arcs.as_slice() {
        [0 | 1, 0..=39, ..] => {}
        // The pair is sent as one number, 80 + second, which must not overflow.
        [2, second, ..] if *second <= u64::MAX - 80 => {}
        _ => return Err(OidError::Invalid),
    }
    // Seven bits travel in a byte, so ten bytes hold any arc.
    if arcs.len() > MAX_OID_BYTES / 10 * 3 {
        return Err(OidError::Invalid);
    }
    Ok(arcs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_identifiers_become_text() {
        assert_eq!(text_from_der(&[0x55, 0x1d, 0x13]).as_deref(), Some("2.5.29.19"));
        assert_eq!(text_from_der(&[0x2b, 0x65, 0x70]).as_deref(), Some("1.3.101.112"));
        let rsa = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        assert_eq!(text_from_der(&rsa).as_deref(), Some("1.2.840.113549.1.1.1"));
    }

    #[test]
    fn malformed_content_is_refused() {
        for content in [
            &[][..],
            &[0x80, 0x01],
            &[0x2a, 0x86],
            &[0xff; 40],
            &[1; MAX_OID_BYTES + 1],
        ] {
            assert_eq!(text_from_der(content), None, "{content:02x?}");
        }
    }

    #[test]
    fn text_becomes_arcs() {
        assert_eq!(arcs_from_text("2.5.29.19"), Ok(vec![2, 5, 29, 19]));
        assert_eq!(arcs_from_text("2.999"), Ok(vec![2, 999]));
        for text in [
            "",
            "1",
            "3.1",
            "1.40",
            "1..2",
            "1.2.",
            "1.+2",
            "1.-2",
            "1.2.x",
            "2.18446744073709551615",
        ] {
            assert_eq!(arcs_from_text(text), Err(OidError::Invalid), "{text}");
        }
    }
}
