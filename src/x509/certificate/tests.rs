#![allow(clippy::disallowed_methods, reason = "time is what is tested")]

use std::time::Instant;

use super::*;
use crate::x509::create::CaParams;
use crate::x509::testing::{DAY, NOW, Party, extension};

fn read(party: &Party) -> Certificate {
    Certificate::parse(&party.der).unwrap()
}

fn code(der: &[u8]) -> &'static str {
    Certificate::parse(der).expect_err("an error").code()
}

#[test]
fn all_facts_of_a_certificate_are_read() {
    let issuer = Party::ca("The Issuer", None);
    let leaf = read(&Party::new("leaf, of \"them\"", Some(&issuer), |params| {
        params.dns_names = vec!["a.example".into(), "*.b.example".into()];
        params.ip_addresses = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        params.uris = vec!["pk://vabc".into()];
        params.extensions = vec![extension("1.3.6.1.4.1.57167.2.2.1", true, b"\x16\x011")];
    }));
    assert_eq!(leaf.version(), 3);
    assert_eq!(leaf.subject().common_name(), Some("leaf, of \"them\""));
    assert_eq!(leaf.subject().text(), "CN=leaf\\, of \\\"them\\\"");
    assert_eq!(leaf.issuer().text(), "CN=The Issuer");
    assert_eq!(leaf.issuer(), read(&issuer).subject());
    assert_eq!((leaf.not_before(), leaf.not_after()), (NOW - DAY, NOW + DAY));
    assert_eq!(leaf.key_type(), &KeyType::Ed25519);
    assert_eq!(leaf.public_key().len(), 32);
    assert!(leaf.spki().ends_with(leaf.public_key()) && leaf.spki().len() == 44);
    assert_eq!(leaf.signature_algorithm(), "1.3.101.112");
    assert_eq!(leaf.alt_names().dns, ["a.example", "*.b.example"]);
    assert_eq!(
        leaf.alt_names().ip,
        ["127.0.0.1".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]
    );
    assert_eq!(leaf.alt_names().uri, ["pk://vabc"]);
    assert_eq!(
        leaf.key_usage().unwrap().names().collect::<Vec<_>>(),
        ["digitalSignature"]
    );
    assert_eq!(
        leaf.extended_key_usage().unwrap().purposes(),
        ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]
    );
    assert!(!leaf.is_ca() && !leaf.is_self_issued());
    let custom = leaf.extension("1.3.6.1.4.1.57167.2.2.1").unwrap();
    assert_eq!((custom.critical, custom.value.as_slice()), (true, &b"\x16\x011"[..]));
    assert!(leaf.extension("1.2.3").is_none());
}

#[test]
fn a_ca_says_so() {
    let ca = read(&Party::new("ca", None, |params| {
        params.ca = Some(CaParams { path_length: Some(3) })
    }));
    assert_eq!(
        ca.basic_constraints(),
        Some(BasicConstraints {
            is_ca: true,
            path_length: Some(3)
        })
    );
    assert_eq!(
        ca.key_usage().unwrap().names().collect::<Vec<_>>(),
        ["digitalSignature", "keyCertSign", "cRLSign"]
    );
    assert!(ca.is_self_issued());
}

#[test]
fn fingerprints_name_the_key_or_the_certificate() {
    let first = Party::new("same", None, |_| {});
    let second = Party::with_key(first.key.clone(), "same", None, |_| {});
    let (first, second) = (read(&first), read(&second));
    assert_eq!(first.spki_fingerprint(), second.spki_fingerprint());
    assert_ne!(first.fingerprint(), second.fingerprint());
}

#[test]
fn what_is_no_certificate_is_refused() {
    let der = Party::new("whole", None, |_| {}).der;
    assert_eq!(code(b""), "MalformedCertificate");
    assert_eq!(code(b"garbage"), "MalformedCertificate");
    for length in 0..der.len() {
        assert_eq!(code(&der[..length]), "MalformedCertificate", "{length}");
    }
    assert_eq!(
        Certificate::parse(&[&der[..], &[0]].concat()),
        Err(CertificateError::TrailingBytes { bytes: 1 })
    );
    assert_eq!(code(&vec![0x30; MAX_CERTIFICATE_BYTES + 1]), "CertificateTooLarge");
}

#[test]
fn extensions_a_verdict_depends_on_must_be_well_formed() {
    for oid in JUDGED {
        for value in [&[][..], &[5, 0], &[0x30, 0x85], &[0x30, 2, 5, 0]] {
            let party = Party::new("odd", None, |params| {
                params.extensions = vec![extension(oid, false, value)]
            });
            assert_eq!(code(&party.der), "MalformedExtension", "{oid} {value:02x?}");
        }
    }
    let odd_address = [0x30, 5, 0x87, 3, 1, 2, 3];
    let party = Party::new("odd", None, |params| {
        params.extensions = vec![extension(oid::SUBJECT_ALT_NAME, false, &odd_address)];
    });
    assert_eq!(code(&party.der), "MalformedExtension");
    // Of others, only the caller knows.
    let policies = Party::new("odd", None, |params| {
        params.extensions = vec![extension(oid::CERTIFICATE_POLICIES, false, &[5, 0])];
    });
    assert!(Certificate::parse(&policies.der).is_ok());
}

#[test]
fn name_constraints_that_are_read_in_part_are_refused() {
    // excluded [1], then something the parser would skip.
    let value = [
        0x30, 0x0e, 0xa1, 0x05, 0x30, 0x03, 0x82, 1, b'a', 0xa0, 0x05, 0x30, 0x03, 0x82, 1, b'b',
    ];
    let party = Party::new("odd", None, |params| {
        params.extensions = vec![extension(oid::NAME_CONSTRAINTS, true, &value)];
    });
    assert_eq!(code(&party.der), "MalformedExtension");
}

#[test]
fn two_algorithms_in_one_certificate_are_refused() {
    let mut der = Party::new("odd", None, |_| {}).der;
    let ed25519 = [0x2b, 0x65, 0x70];
    let inner = der.windows(3).position(|window| window == ed25519).unwrap();
    der[inner + 2] = 0x71; // Ed448
    assert_eq!(code(&der), "AlgorithmMismatch");
}

#[test]
fn a_certificate_has_one_encoding() {
    let der = Party::new("one", None, |_| {}).der;
    // The outer length with a leading zero; another tag class; a signature that ends in the middle of a byte.
    let longer = [&[0x30, 0x83, 0][..], &der[2..]].concat();
    assert_eq!(code(&longer), "MalformedCertificate");
    let signature = der.len() - 67;
    assert_eq!(der[signature..signature + 3], [0x03, 0x41, 0x00]);
    for (at, byte) in [(0, 0xf0), (signature - 7, 0xf0), (signature, 0xc3), (signature + 2, 1)] {
        let mut changed = der.clone();
        changed[at] = byte;
        assert_eq!(code(&changed), "MalformedCertificate", "byte {at}");
    }
}

#[test]
fn the_time_to_read_extensions_grows_with_their_number_alone() {
    let with = |count: usize| {
        Party::new("extended", None, |params| {
            params.extensions = (0..count)
                .map(|index| extension(&format!("1.2.3.{index}"), false, &[5, 0]))
                .collect();
        })
    };
    let time = |party: &Party| {
        let times = (0..5).map(|_| {
            let start = Instant::now();
            assert!(Certificate::parse(&party.der).is_ok());
            start.elapsed()
        });
        times.min().unwrap()
    };
    let (few, many) = (time(&with(400)), time(&with(4_000)));
    assert!(many < 25 * few, "{many:?} for ten times as many as in {few:?}");
}
