use super::*;
use crate::x509::key::{KeyAlgorithm, generate_key};
use crate::x509::testing::{DAY, NOW, Party, extension};

fn ed25519() -> PrivateKey {
    generate_key(KeyAlgorithm::Ed25519).unwrap()
}

fn error(change: impl FnOnce(&mut CertificateParams<'_>)) -> &'static str {
    let key = ed25519();
    let mut params = CertificateParams::new("name", &key, NOW, NOW + DAY);
    change(&mut params);
    create_certificate(&params).expect_err("an error").code()
}

#[test]
fn dates_are_checked() {
    for (not_before, not_after) in [(-1, 5), (5, 4), (0, MAX_TIME + 1), (i64::MIN, i64::MAX)] {
        let code = error(|params| (params.not_before, params.not_after) = (not_before, not_after));
        assert_eq!(code, "InvalidValidity", "{not_before} {not_after}");
    }
    for (not_before, not_after) in [(0, 0), (0, MAX_TIME), (2_524_607_999, 2_524_608_000)] {
        let party = Party::new("dated", None, |params| {
            (params.not_before, params.not_after) = (not_before, not_after);
        });
        let read = Certificate::parse(&party.der).unwrap();
        assert_eq!((read.not_before(), read.not_after()), (not_before, not_after));
    }
}

#[test]
fn serials_are_checked_and_random_by_default() {
    for serial in [vec![], vec![0, 0], vec![1; 21], vec![0x80; 20]] {
        assert_eq!(error(|params| params.serial = Some(serial)), "InvalidSerial");
    }
    let read = |serial: Option<Vec<u8>>| {
        let party = Party::new("numbered", None, |params| params.serial = serial);
        Certificate::parse(&party.der).unwrap()
    };
    assert_eq!(read(Some(vec![0xab, 0xcd])).serial(), [0, 0xab, 0xcd]);
    assert_eq!(read(Some(vec![0xab, 0xcd])).serial_hex(), "ABCD");
    assert_eq!(read(Some(vec![0x7f; 20])).serial(), [0x7f; 20]);
    assert_eq!(read(None).serial().len(), 16);
    assert_ne!(read(None).serial(), read(None).serial());
}

#[test]
fn names_are_checked() {
    for name in ["", "bücher.example", "a b", "a\0b"] {
        assert_eq!(
            error(|params| params.dns_names = vec![name.into()]),
            "InvalidName",
            "{name:?}"
        );
        assert_eq!(
            error(|params| params.uris = vec![name.into()]),
            "InvalidName",
            "{name:?}"
        );
    }
}

#[test]
fn extensions_are_checked() {
    let add = |oid: &str| error(|params| params.extensions = vec![extension(oid, false, &[])]);
    assert_eq!(add("not an oid"), "InvalidOid");
    assert_eq!(add("3.1"), "InvalidOid");
    let twice = || vec![extension("1.2.3", false, &[5, 0]), extension("1.2.3", true, &[5, 0])];
    assert_eq!(error(|params| params.extensions = twice()), "DuplicateExtension");
    let key_identifier = || vec![extension(oid::SUBJECT_KEY_IDENTIFIER, false, &[4, 1, 7])];
    assert_eq!(
        error(|params| {
            params.extensions = key_identifier();
            params.ca = Some(CaParams::default());
        }),
        "DuplicateExtension"
    );
}

#[test]
fn given_extensions_replace_those_written_by_default() {
    let given = [
        extension(oid::KEY_USAGE, true, &[3, 2, 7, 0x80]),
        extension(oid::EXTENDED_KEY_USAGE, false, &[0x30, 0x06, 6, 4, 0x55, 0x1d, 0x25, 0]),
        extension(oid::BASIC_CONSTRAINTS, true, &[0x30, 0]),
        extension(oid::SUBJECT_ALT_NAME, false, &[0x30, 3, 0x82, 1, b'a']),
        extension(oid::SUBJECT_KEY_IDENTIFIER, false, &[4, 1, 7]),
        extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &[0x30, 3, 0x80, 1, 7]),
    ];
    let issuer = Party::ca("issuer", None);
    let party = Party::new("leaf", Some(&issuer), |params| {
        params.ca = Some(CaParams::default());
        params.extensions = given.to_vec();
    });
    let read = Certificate::parse(&party.der).unwrap();
    assert_eq!(read.extensions(), given);
    assert!(!read.is_ca());
    assert_eq!(read.alt_names().dns, ["a"]);
}

#[test]
fn keys_are_checked() {
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nMAMCAQU=\n-----END EC PRIVATE KEY-----";
    let sec1 = pem::private_key(sec1.as_bytes()).unwrap();
    let params = CertificateParams::new("name", &sec1, NOW, NOW);
    assert_eq!(create_certificate(&params).unwrap_err().code(), "NotPkcs8");
    let garbage = PrivateKey::from_pkcs8(vec![0x30, 0]);
    let params = CertificateParams::new("name", &garbage, NOW, NOW);
    assert_eq!(create_certificate(&params).unwrap_err(), CreateError::UnsupportedKey);
}

#[test]
fn issuers_are_checked() {
    let issuer = Party::ca("issuer", None);
    let wrong_key = ed25519();
    let key = ed25519();
    let mut params = CertificateParams::new("name", &key, NOW, NOW);
    params.issuer = Some(IssuerParams {
        certificate: &issuer.der,
        key: &wrong_key,
    });
    assert_eq!(create_certificate(&params).unwrap_err(), CreateError::IssuerKeyMismatch);
    params.issuer = Some(IssuerParams {
        certificate: b"garbage",
        key: &issuer.key,
    });
    assert_eq!(create_certificate(&params).unwrap_err().code(), "MalformedCertificate");
}

#[test]
fn a_subject_may_have_no_name() {
    let issuer = Party::ca("", None);
    let party = Party::new("", Some(&issuer), |params| params.dns_names = vec!["a.example".into()]);
    let read = Certificate::parse(&party.der).unwrap();
    assert!(read.subject().is_empty() && read.issuer().is_empty());
    // RFC 5280 §4.2.1.6: then the alternative names are critical.
    assert!(read.extension(oid::SUBJECT_ALT_NAME).unwrap().critical);
}

#[test]
fn an_issuers_name_is_copied_as_it_is_or_refused() {
    const COMMON_NAME: [u8; 3] = [0x55, 4, 3];
    let key = ed25519();
    for first in 0..=u8::MAX {
        let mut issuer = Party::ca("issuer", None);
        // Both names; the signature isn't looked at.
        for start in 0..issuer.der.len() - 2 {
            if issuer.der[start..start + 3] == COMMON_NAME {
                issuer.der[start] = first;
            }
        }
        let Ok(read) = Certificate::parse(&issuer.der) else {
            continue;
        };
        let mut params = CertificateParams::new("issued", &key, NOW, NOW + DAY);
        params.issuer = Some(IssuerParams {
            certificate: &issuer.der,
            key: &issuer.key,
        });
        match create_certificate(&params) {
            Ok(issued) => assert_eq!(Certificate::parse(&issued.der).unwrap().issuer(), read.subject()),
            Err(error) => {
                assert_eq!(error.code(), "UnsupportedIssuerName");
                // 2.40 and above: the two numbers share one, which may take more than a byte.
                assert!(first >= 120, "{first}");
            }
        }
    }
}
