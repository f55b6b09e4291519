//! Distinguished names: compared by their DER, shown to people as text.

use super::certificate::hex;
use super::oid;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The name of a subject or an issuer. Equal if the DER is equal (RFC 5280 §7.1 permits looser rules; strict is safe).
#[derive(Debug, Clone)]
pub struct Name {
    der: Vec<u8>,
    text: String,
    common_name: Option<String>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Name {}

impl Name {
    /// `None` if the name has an attribute whose type has no reasonable object identifier.
    pub(crate) fn read(name: &X509Name<'_>) -> Option<Self> {
        let mut text = String::new();
        for relative in name.iter_rdn() {
            for (position, attribute) in relative.iter().enumerate() {
                if !text.is_empty() {
                    text.push_str(if position == 0 { ", " } else { " + " });
                }
                text.push_str(&attribute_type(attribute)?);
                text.push('=');
                text.push_str(&attribute_value(attribute));
            }
        }
        let common_name = name.iter_common_name().next().and_then(|name| name.as_str().ok());
        Some(Self {
            der: name.as_raw().to_vec(),
            text,
            common_name: common_name.map(str::to_owned),
        })
    }

    /// The name in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The name for people to read, such as `CN=alice, O=Example`, with RFC 4514's escapes; in the order of the DER.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first common name, if it is text.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Whether the name has no attributes.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// RFC 4514 §3, and what else is common.
const SHORT_TYPES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn attribute_type(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let oid = oid::text_from_der(attribute.attr_type().as_bytes())?;
    let short = SHORT_TYPES.iter().find(|(known, _)| *known == oid);
    Some(short.map_or(oid, |(_, short)| (*short).to_owned()))
}

fn attribute_value(attribute: &AttributeTypeAndValue<'_>) -> String {
    let Ok(value) = attribute.as_str() else {
        return format!("#{}", hex(attribute.as_slice()));
    };
    let mut escaped = String::with_capacity(value.len());
    for (position, character) in value.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => escaped.extend(['\\', character]),
            '#' | ' ' if position == 0 => escaped.extend(['\\', character]),
            control if control.is_control() => {
                for byte in control.encode_utf8(&mut [0; 4]).bytes() {
                    escaped.push_str(&format!("\\{byte:02x}"));
                }
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}
