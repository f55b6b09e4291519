//! PEM ↔ DER: certificates and private keys in text (RFC 7468).
//!
//! Tolerant of what people paste: CRLF, no final newline, text before and between blocks, all in one line.
//! Strict about the content: a block that is cut off, mislabelled or not base64 is an error that names the line.

use data_encoding::BASE64;
use std::fmt;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const MAX_LABEL: usize = 64;
const LINE_LENGTH: usize = 64;

/// Why a text gave no DER. Messages name lines and labels, never content: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A line begins a block, but not as `-----BEGIN LABEL-----`.
    #[error("the block that begins in line {line} has no proper -----BEGIN LABEL----- line")]
    MalformedHeader {
        /// Line of the block's beginning, from 1.
        line: usize,
    },
    /// The text ends before the block does.
    #[error("the {label} block that begins in line {line} has no -----END {label}----- line: is it cut off?")]
    MissingEnd {
        /// Label of the block.
        label: String,
        /// Line of the block's beginning, from 1.
        line: usize,
    },
    /// A character that is not base64 stands in the block.
    #[error("the {label} block has a character in line {line} that is not base64")]
    InvalidBase64 {
        /// Label of the block.
        label: String,
        /// Line of the character, from 1.
        line: usize,
    },
    /// The base64 text ends in the middle of a group.
    #[error("the base64 text of the {label} block that begins in line {line} is incomplete: is it cut off?")]
    TruncatedBase64 {
        /// Label of the block.
        label: String,
        /// Line of the block's beginning, from 1.
        line: usize,
    },
    /// A block has no content.
    #[error("the {label} block that begins in line {line} is empty")]
    EmptyBlock {
        /// Label of the block.
        label: String,
        /// Line of the block's beginning, from 1.
        line: usize,
    },
    /// There is no block at all.
    #[error("the text holds no PEM block")]
    NoBlock,
    /// There is no certificate among the blocks.
    #[error("the PEM text holds no certificate{}", instead(.found))]
    NoCertificate {
        /// Labels of the blocks there are.
        found: Vec<String>,
    },
    /// There is no private key among the blocks.
    #[error("the PEM text holds no private key{}", instead(.found))]
    NoPrivateKey {
        /// Labels of the blocks there are.
        found: Vec<String>,
    },
    /// More than one private key where one is wanted.
    #[error("the PEM text holds {count} private keys where one is wanted")]
    SeveralPrivateKeys {
        /// How many there are.
        count: usize,
    },
    /// The private key is encrypted.
    #[error("the private key in line {line} is encrypted: decrypt it first (openssl pkey -in key.pem)")]
    EncryptedPrivateKey {
        /// Line of the block's beginning, from 1.
        line: usize,
    },
    /// The private key is in a format that is not PKCS#8, SEC1 or PKCS#1.
    #[error("a key in the format {label} can't be read: convert it to PKCS#8 (-----BEGIN PRIVATE KEY-----)")]
    UnsupportedPrivateKey {
        /// Label of the block.
        label: String,
    },
    /// The block decodes, but not to one DER structure.
    #[error("the {label} block that begins in line {line} does not hold DER")]
    NotDer {
        /// Label of the block.
        label: String,
        /// Line of the block's beginning, from 1.
        line: usize,
    },
    /// A label given for encoding is not made of upper-case letters, digits and single spaces.
    #[error("a PEM label is 1 to 64 upper-case letters, digits and spaces, such as CERTIFICATE")]
    InvalidLabel,
}

fn instead(labels: &[String]) -> String {
    match labels {
        [] => ", nor any other block".to_owned(),
        labels => format!(", only: {}", labels.join(", ")),
    }
}

impl PemError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedHeader { .. } => "MalformedPemHeader",
            Self::MissingEnd { .. } => "MissingPemEnd",
            Self::InvalidBase64 { .. } => "InvalidBase64",
            Self::TruncatedBase64 { .. } => "TruncatedBase64",
            Self::EmptyBlock { .. } => "EmptyPemBlock",
            Self::NoBlock => "NoPemBlock",
            Self::NoCertificate { .. } => "NoCertificate",
            Self::NoPrivateKey { .. } => "NoPrivateKey",
            Self::SeveralPrivateKeys { .. } => "SeveralPrivateKeys",
            Self::EncryptedPrivateKey { .. } => "EncryptedPrivateKey",
            Self::UnsupportedPrivateKey { .. } => "UnsupportedPrivateKey",
            Self::NotDer { .. } => "NotDer",
            Self::InvalidLabel => "InvalidPemLabel",
        }
    }
}

/// One block of a PEM text.
#[derive(Clone, PartialEq, Eq)]
pub struct PemBlock {
    /// What stands behind `BEGIN`, such as `CERTIFICATE`.
    pub label: String,
    /// The decoded content.
    pub der: Vec<u8>,
    /// Whether the content is encrypted: by its label, or by a `Proc-Type: 4,ENCRYPTED` header.
    pub encrypted: bool,
    /// Line in which the block begins, from 1.
    pub line: usize,
}

impl fmt::Debug for PemBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content may be a secret key.
        f.debug_struct("PemBlock")
            .field("label", &self.label)
            .field("bytes", &self.der.len())
            .field("encrypted", &self.encrypted)
            .field("line", &self.line)
            .finish()
    }
}

/// The structure inside a private key's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateKeyFormat {
    /// `PRIVATE KEY`: any algorithm (RFC 5958). The only format that [`create_certificate`](super::create_certificate) signs with.
    Pkcs8,
    /// `EC PRIVATE KEY` (RFC 5915).
    Sec1,
    /// `RSA PRIVATE KEY` (RFC 8017).
    Pkcs1,
}

impl PrivateKeyFormat {
    /// The PEM label of this format.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pkcs8 => "PRIVATE KEY",
            Self::Sec1 => "EC PRIVATE KEY",
            Self::Pkcs1 => "RSA PRIVATE KEY",
        }
    }

    fn from_label(label: &str) -> Option<Self> {
        [Self::Pkcs8, Self::Sec1, Self::Pkcs1]
            .into_iter()
            .find(|format| format.label() == label)
    }
}

/// An unencrypted private key in DER. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    format: PrivateKeyFormat,
    der: Vec<u8>,
}

impl PrivateKey {
    /// Takes a PKCS#8 document.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self {
            format: PrivateKeyFormat::Pkcs8,
            der,
        }
    }

    /// The structure of the DER.
    pub fn format(&self) -> PrivateKeyFormat {
        self.format
    }

    /// The secret itself.
    pub fn secret_der(&self) -> &[u8] {
        &self.der
    }

    /// The secret as PEM text.
    pub fn to_pem(&self) -> String {
        encode(self.format.label(), &self.der).expect("the labels of the formats are valid")
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Takes all certificates out of a PEM text, in their order; blocks of other kinds are skipped.
///
/// The DER is not looked at: [`Certificate::parse`](super::Certificate::parse) does that.
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let (wanted, others): (Vec<_>, Vec<_>) = blocks(pem)?
        .into_iter()
        .partition(|block| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE"));
    if wanted.is_empty() {
        return Err(PemError::NoCertificate { found: labels(others) });
    }
    Ok(wanted.into_iter().map(|block| block.der).collect())
}

/// Takes the one private key out of a PEM text; blocks of other kinds (certificates, EC parameters) are skipped.
pub fn private_key(pem: &[u8]) -> Result<PrivateKey, PemError> {
    let (mut keys, others): (Vec<_>, Vec<_>) = blocks(pem)?
        .into_iter()
        .partition(|block| block.label.ends_with("PRIVATE KEY"));
    if keys.len() > 1 {
        return Err(PemError::SeveralPrivateKeys { count: keys.len() });
    }
    let Some(block) = keys.pop() else {
        return Err(PemError::NoPrivateKey { found: labels(others) });
    };
    if block.encrypted {
        return Err(PemError::EncryptedPrivateKey { line: block.line });
    }
    let Some(format) = PrivateKeyFormat::from_label(&block.label) else {
        return Err(PemError::UnsupportedPrivateKey { label: block.label });
    };
    if !is_one_der_sequence(&block.der) {
        return Err(PemError::NotDer {
            label: block.label,
            line: block.line,
        });
    }
    Ok(PrivateKey { format, der: block.der })
}

/// Decodes all blocks of a PEM text, in their order. A text without any block gives an empty list.
pub fn blocks(pem: &[u8]) -> Result<Vec<PemBlock>, PemError> {
    let mut blocks = Vec::new();
    let mut scanner = Scanner {
        text: pem,
        position: 0,
        line: 1,
    };
    while let Some(block) = scanner.next_block()? {
        blocks.push(block);
    }
    Ok(blocks)
}

/// Whether the bytes are a PEM text rather than DER: whether they hold a `-----BEGIN ` and don't begin as DER would.
pub fn is_pem(bytes: &[u8]) -> bool {
    // A certificate is a SEQUENCE with a long-form length; no text begins like that.
    let looks_like_der = matches!(bytes, [0x30, length, ..] if *length >= 0x80);
    !looks_like_der && find(bytes, BEGIN).is_some()
}

/// Writes DER as a PEM block with lines of 64 characters and a final newline.
pub fn encode(label: &str, der: &[u8]) -> Result<String, PemError> {
    if !is_label(label.as_bytes()) {
        return Err(PemError::InvalidLabel);
    }
    let body = BASE64.encode(der);
    let mut pem = String::with_capacity(body.len() + body.len() / LINE_LENGTH + 2 * label.len() + 40);
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE_LENGTH));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    Ok(pem)
}

/// Walks through the text block by block, counting lines.
struct Scanner<'a> {
    text: &'a [u8],
    position: usize,
    line: usize,
}

impl<'a> Scanner<'a> {
    fn next_block(&mut self) -> Result<Option<PemBlock>, PemError> {
        if self.take_until(BEGIN).is_none() {
            return Ok(None);
        }
        let line = self.line;
        let label = self.label().ok_or(PemError::MalformedHeader { line })?;
        let body_line = self.line;
        let body = self.body(&label).ok_or_else(|| PemError::MissingEnd {
            label: label.clone(),
            line,
        })?;
        let (headers, base64) = split_headers(body);
        let first_line = body_line + count_lines(headers);
        let der = decode(base64, first_line, &label, line)?;
        let encrypted = label == "ENCRYPTED PRIVATE KEY" || find(headers, b"ENCRYPTED").is_some();
        Ok(Some(PemBlock {
            label,
            der,
            encrypted,
            line,
        }))
    }

    /// The label up to its closing dashes.
    fn label(&mut self) -> Option<String> {
        let rest = &self.text[self.position..];
        let window = &rest[..rest.len().min(MAX_LABEL + DASHES.len())];
        let label = &window[..find(window, DASHES)?];
        if !is_label(label) {
            return None;
        }
        let label = str::from_utf8(label).expect("a valid label is ASCII").to_owned();
        self.advance(label.len() + DASHES.len());
        Some(label)
    }

    /// The text up to the block's own END line; `None` if another block begins, or the text ends, before that.
    fn body(&mut self, label: &str) -> Option<&'a [u8]> {
        let body = self.take_until(DASHES)?;
        self.position -= DASHES.len();
        let end = [END, label.as_bytes(), DASHES].concat();
        if !self.text[self.position..].starts_with(&end) {
            return None;
        }
        self.advance(end.len());
        Some(body)
    }

    /// Moves behind the next `marker` and answers with the text before it.
    fn take_until(&mut self, marker: &[u8]) -> Option<&'a [u8]> {
        let rest = &self.text[self.position..];
        let length = find(rest, marker)?;
        self.advance(length + marker.len());
        Some(&rest[..length])
    }

    fn advance(&mut self, bytes: usize) {
        self.line += count_lines(&self.text[self.position..self.position + bytes]);
        self.position += bytes;
    }
}

/// Splits RFC 1421 headers (`Proc-Type: 4,ENCRYPTED`), which end with an empty line, from the base64 text.
fn split_headers(body: &[u8]) -> (&[u8], &[u8]) {
    if !body.contains(&b':') {
        return (&[], body);
    }
    let end = [&b"\n\n"[..], b"\n\r\n"]
        .iter()
        .filter_map(|gap| Some(find(body, gap)? + gap.len()))
        .min();
    body.split_at(end.unwrap_or(0))
}

fn decode(base64: &[u8], first_line: usize, label: &str, line: usize) -> Result<Vec<u8>, PemError> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if let Some(at) = base64
        .iter()
        .position(|byte| !is_base64(byte) && !byte.is_ascii_whitespace())
    {
        let line = first_line + count_lines(&base64[..at]);
        return Err(PemError::InvalidBase64 {
            label: label.to_owned(),
            line,
        });
    }
    let dense: Vec<u8> = base64
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if dense.is_empty() {
        return Err(PemError::EmptyBlock {
            label: label.to_owned(),
            line,
        });
    }
    BASE64.decode(&dense).map_err(|_| PemError::TruncatedBase64 {
        label: label.to_owned(),
        line,
    })
}

/// Whether the bytes are exactly one DER SEQUENCE.
pub(crate) fn is_one_der_sequence(der: &[u8]) -> bool {
    let (length, header) = match *der {
        [0x30, length @ ..=0x7f, ..] => (usize::from(length), 2),
        [0x30, 0x81, a, ..] => (usize::from(a), 3),
        [0x30, 0x82, a, b, ..] => (usize::from(u16::from_be_bytes([a, b])), 4),
        [0x30, 0x83, a, b, c, ..] => (u32::from_be_bytes([0, a, b, c]) as usize, 5),
        _ => return false,
    };
    der.len() == header + length
}

fn is_label(label: &[u8]) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ')
        && !label.starts_with(b" ")
        && !label.ends_with(b" ")
}

fn labels(blocks: Vec<PemBlock>) -> Vec<String> {
    blocks.into_iter().map(|block| block.label).take(8).collect()
}

fn count_lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests;
