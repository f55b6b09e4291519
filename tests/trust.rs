//! BoringSSL's check of the peer's chain: what is an anchor, what is refused and how we are told, which certificate is shown.

#![allow(clippy::disallowed_methods, reason = "tests are the outside, where time comes from")]

mod common;

use std::time::Instant;

use common::{Pair, Party, config, shared, unix_now};
use foreign_types_shared::ForeignTypeRef;
use polykey_quic::quic::chain_check::ChainFailure;
use polykey_quic::quic::endpoint::change::Change;
use polykey_quic::quic::tls::{self, Credential, TlsSettings};
use polykey_quic::quic::{Config, SharedConnection, Verification};
use polykey_quic::x509::{CaParams, Extension, pem};

fn with(credentials: Vec<Credential>, ca: &[&Party], verification: Verification) -> Config {
    let settings = TlsSettings {
        credentials,
        ca: ca.iter().map(|party| party.pem()).collect(),
        ..Default::default()
    };
    config(&settings, verification)
}

fn dial(pair: &mut Pair, config: Config, name: Option<&str>) -> SharedConnection {
    let to = pair.server.address;
    let dialled = pair.client.endpoint.connect(&shared(config), name, to, Instant::now());
    let connection = dialled.expect("a connection");
    pair.run();
    connection
}

fn is_connected(pair: &Pair) -> bool {
    pair.client.count(|change| matches!(change, Change::Connected(_))) == 1
}

/// What a client that trusts `ca` finds in a server's chain, and what the server hears of it.
fn judged(credential: Credential, ca: &[&Party]) -> Result<(), (ChainFailure, u64)> {
    let mut pair = Pair::new();
    pair.server
        .endpoint
        .listen(shared(with(vec![credential], &[], Verification::None)));
    let client = dial(&mut pair, with(vec![], ca, Verification::Chain), Some("localhost"));
    let failure = client.borrow().chain_failure();
    let Some(failure) = failure else {
        assert!(is_connected(&pair));
        return Ok(());
    };
    assert!(!is_connected(&pair));
    let server = pair.server.endpoint.connection(0).expect("not yet let go");
    let told = server.borrow().peer_error().expect("known").expect("told");
    assert!(!told.is_app);
    assert!(told.reason.is_empty(), "the peer gets the alert, and no reason");
    let ours = client.borrow().local_error().expect("known").expect("said");
    assert_eq!(ours.error_code, told.error_code);
    Err((failure, told.error_code - 0x100))
}

fn refusal(credential: Credential, ca: &[&Party]) -> (&'static str, usize, u64) {
    let (failure, alert) = judged(credential, ca).expect_err("refused");
    assert!(!failure.message.is_empty());
    (failure.check, failure.index, alert)
}

#[test]
fn whoever_is_in_ca_is_an_anchor() {
    let root = Party::ca("root", None);
    let intermediate = Party::ca("intermediate", Some(&root));
    let leaf = Party::new("leaf", Some(&intermediate), |_| {});
    let chain = || leaf.credential(&[&intermediate]);
    assert_eq!(judged(chain(), &[&root]), Ok(()));
    assert_eq!(judged(chain(), &[&intermediate]), Ok(()), "an intermediate");
    assert_eq!(judged(leaf.credential(&[]), &[&intermediate]), Ok(()));
    assert_eq!(judged(chain(), &[&leaf]), Ok(()), "the peer's own, signed by another");
    let pinned = Party::new("self", None, |_| {});
    assert_eq!(
        judged(pinned.credential(&[]), &[&pinned]),
        Ok(()),
        "the peer's own, signed by itself"
    );
}

#[test]
fn an_anchor_answers_for_nobody_but_those_it_issued() {
    let root = Party::ca("root", None);
    let leaf = Party::new("leaf", Some(&root), |_| {});
    let sibling = Party::new("sibling", Some(&root), |_| {});
    assert_eq!(refusal(leaf.credential(&[]), &[&sibling]), ("Untrusted", 0, 48));
    // A trusted peer is no authority, whether its certificate has a key usage or not.
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("a name");
    params.distinguished_name.push(rcgen::DnType::CommonName, "plain");
    let plain = params.self_signed(&key).expect("a certificate");
    let issuer = rcgen::Issuer::new(params, key);
    let child = rcgen::KeyPair::generate().expect("a key");
    let below = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("a name");
    let below = below.signed_by(&child, &issuer).expect("a certificate");
    let credential = Credential {
        key: child.serialize_pem().into_bytes(),
        chain: below.pem().into_bytes(),
    };
    let mut plain_party = sibling.clone();
    plain_party.certificate.pem = plain.pem();
    let (check, index, _) = refusal(credential, &[&plain_party]);
    assert_eq!((check, index), ("NotCa", 1));
    let pinned = Party::new("pinned", None, |_| {});
    let below = Party::new("below", Some(&pinned), |_| {});
    assert_eq!(refusal(below.credential(&[&pinned]), &[&pinned]), ("Untrusted", 0, 48));
}

#[test]
fn an_anchor_is_checked_as_any_other() {
    let now = unix_now();
    let pinned = Party::new("expired", None, |params| params.not_after = now - 60);
    assert_eq!(
        refusal(pinned.credential(&[]), &[&pinned]),
        ("CertificateExpired", 0, 45)
    );
    let root = Party::new("expired root", None, |params| {
        params.ca = Some(CaParams::default());
        params.not_after = now - 60;
    });
    let leaf = Party::new("leaf", Some(&root), |_| {});
    let (check, index, alert) = refusal(leaf.credential(&[]), &[&root]);
    assert_eq!(
        (check, index, alert),
        ("CertificateExpired", 1, 45),
        "1 is beyond what the peer sent"
    );
}

#[test]
fn the_failed_check_and_its_certificate_are_named() {
    let now = unix_now();
    let root = Party::ca("root", None);
    let intermediate = Party::ca("intermediate", Some(&root));
    let of = |change: &dyn Fn(&mut polykey_quic::x509::CertificateParams<'_>)| {
        Party::new("leaf", Some(&intermediate), |params| change(params)).credential(&[&intermediate])
    };
    let expired = of(&|params| params.not_after = now - 60);
    assert_eq!(refusal(expired, &[&root]), ("CertificateExpired", 0, 45));
    let early = of(&|params| params.not_before = now + 600);
    assert_eq!(refusal(early, &[&root]).0, "CertificateNotYetValid");
    let elsewhere = of(&|params| params.dns_names = vec!["elsewhere".into()]);
    assert_eq!(refusal(elsewhere, &[&root]), ("NameMismatch", 0, 42));
    let critical = of(&|params| {
        params.extensions = vec![Extension {
            oid: "1.3.6.1.4.1.55555.1".into(),
            critical: true,
            value: vec![5, 0],
        }];
    });
    assert_eq!(refusal(critical, &[&root]).0, "UnknownCriticalExtension");
    // Extended key usage: a client's only (RFC 5280 §4.2.1.12).
    let for_clients = of(&|params| {
        params.extensions = vec![Extension {
            oid: "2.5.29.37".into(),
            critical: false,
            value: vec![0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
        }];
    });
    assert_eq!(refusal(for_clients, &[&root]), ("KeyUsage", 0, 43));
}

#[test]
fn the_fault_of_an_intermediate_is_its_own() {
    let now = unix_now();
    let root = Party::ca("root", None);
    let leaf_below = |intermediate: &Party| Party::new("leaf", Some(intermediate), |_| {}).credential(&[intermediate]);
    let expired = Party::new("expired", Some(&root), |params| {
        params.ca = Some(CaParams::default());
        params.not_after = now - 60;
    });
    assert_eq!(refusal(leaf_below(&expired), &[&root]), ("CertificateExpired", 1, 45));
    let (failure, _) = judged(leaf_below(&expired), &[&root]).expect_err("refused");
    assert_eq!(failure.subject, "CN=expired");
    let no_ca = Party::new("no ca", Some(&root), |_| {});
    // BoringSSL doesn't take it for an issuer at all.
    assert_eq!(refusal(leaf_below(&no_ca), &[&root]), ("Untrusted", 0, 48));
    let short = Party::new("short", None, |params| {
        params.ca = Some(CaParams { path_length: Some(0) })
    });
    let intermediate = Party::ca("one too many", Some(&short));
    let (check, index, _) = refusal(leaf_below(&intermediate), &[&short]);
    assert_eq!((check, index), ("PathLengthExceeded", 2), "the anchor's limit");
    let mut forged = Party::new("leaf", Some(&root), |_| {});
    *forged.certificate.der.last_mut().expect("a signature") ^= 1;
    forged.certificate.pem = pem::encode("CERTIFICATE", &forged.certificate.der).expect("PEM");
    assert_eq!(refusal(forged.credential(&[]), &[&root]), ("BadSignature", 0, 51));
}

#[test]
fn chains_that_lead_nowhere_are_untrusted() {
    let root = Party::ca("root", None);
    let intermediate = Party::ca("intermediate", Some(&root));
    let leaf = Party::new("leaf", Some(&intermediate), |_| {});
    assert_eq!(
        refusal(leaf.credential(&[]), &[&root]),
        ("Untrusted", 0, 48),
        "a missing link"
    );
    let own = Party::new("self-signed", None, |_| {});
    assert_eq!(refusal(own.credential(&[]), &[&root]), ("Untrusted", 0, 48));
    assert_eq!(
        refusal(own.credential(&[]), &[]),
        ("Untrusted", 0, 48),
        "nobody is trusted"
    );
    let other = Party::ca("other", None);
    let below = Party::new("leaf", Some(&other), |_| {});
    assert_eq!(
        refusal(below.credential(&[&other]), &[&root]),
        ("Untrusted", 1, 48),
        "another root in the chain"
    );
}

#[test]
fn the_way_up_is_found_among_what_the_peer_sent() {
    let root = Party::ca("root", None);
    let upper = Party::ca("upper", Some(&root));
    let lower = Party::ca("lower", Some(&upper));
    let leaf = Party::new("leaf", Some(&lower), |_| {});
    let stray = Party::new("stray", None, |_| {});
    assert_eq!(
        judged(leaf.credential(&[&upper, &lower]), &[&root]),
        Ok(()),
        "in any order"
    );
    assert_eq!(
        judged(leaf.credential(&[&stray, &lower, &lower, &upper, &root]), &[&root]),
        Ok(()),
        "among others"
    );
    // Two authorities that signed each other: no way out, and no endless way.
    let (a, b) = (Party::ca("a", None), Party::ca("b", None));
    let cross = |of: &Party, by: &Party| Party {
        key: of.key.clone(),
        certificate: {
            let name = if by.certificate.der == a.certificate.der {
                "b"
            } else {
                "a"
            };
            let mut params =
                polykey_quic::x509::CertificateParams::new(name, &of.key, unix_now() - 60, unix_now() + 60);
            params.ca = Some(CaParams::default());
            params.issuer = Some(polykey_quic::x509::IssuerParams {
                certificate: &by.certificate.der,
                key: &by.key,
            });
            polykey_quic::x509::create_certificate(&params).expect("a certificate")
        },
    };
    let (a_by_b, b_by_a) = (cross(&a, &b), cross(&b, &a));
    let looped = Party::new("leaf", Some(&a), |_| {}).credential(&[&a_by_b, &b_by_a, &a_by_b]);
    let (check, _, alert) = refusal(looped, &[&root]);
    assert_eq!((check, alert), ("Untrusted", 48));
}

#[test]
fn a_server_names_the_fault_of_its_client() {
    let root = Party::ca("root", None);
    let leaf = Party::new("leaf", Some(&root), |_| {});
    let stranger = Party::new("stranger", None, |_| {});
    let mut pair = Pair::new();
    let settings = with(vec![leaf.credential(&[])], &[&root], Verification::Chain);
    pair.server.endpoint.listen(shared(settings));
    let client = dial(
        &mut pair,
        with(vec![stranger.credential(&[])], &[&root], Verification::Chain),
        Some("localhost"),
    );
    let server = pair.server.endpoint.connection(0).expect("not yet let go");
    let failure = server.borrow().chain_failure().expect("refused");
    assert_eq!((failure.check, failure.index), ("Untrusted", 0));
    assert_eq!(failure.subject, "CN=stranger");
    let told = client.borrow().peer_error().expect("known").expect("told");
    assert_eq!((told.error_code, told.reason.as_slice()), (0x100 + 48, &b""[..]));
    assert_eq!(client.borrow().chain_failure(), None, "the client found nothing wrong");
}

#[test]
fn the_certificate_is_shown_that_is_for_the_name_asked_for() {
    let root = Party::ca("root", None);
    let named = |name: &str| {
        let names = vec![name.to_owned()];
        Party::new(name, Some(&root), |params| params.dns_names = names)
    };
    let parties = ["first.example", "second.example", "*.third.example"].map(named);
    for (asked, shown) in [
        (Some("first.example"), 0),
        (Some("second.example"), 1),
        (Some("SECOND.example"), 1),
        (Some("any.third.example"), 2),
        (Some("third.example"), 0),
        (Some("unknown.example"), 0),
        (Some("127.0.0.1"), 0),
        (None, 0),
    ] {
        let mut pair = Pair::new();
        let credentials = parties.iter().map(|party| party.credential(&[])).collect();
        pair.server
            .endpoint
            .listen(shared(with(credentials, &[], Verification::None)));
        let client = dial(&mut pair, with(vec![], &[], Verification::None), asked);
        assert!(is_connected(&pair));
        let leaf = client.borrow().live().expect("live").peer_cert().map(<[u8]>::to_vec);
        assert_eq!(leaf.as_ref(), Some(&parties[shown].certificate.der), "{asked:?}");
    }
}

#[test]
fn a_certificate_that_the_client_cannot_check_gives_way_to_another() {
    let for_name = Party::new("ed25519", None, |_| {});
    let other = common::Authority::new();
    let mut pair = Pair::new();
    let credentials = vec![for_name.credential(&[]), other.credential.clone()];
    pair.server
        .endpoint
        .listen(shared(with(credentials, &[], Verification::None)));
    let only_ecdsa = TlsSettings {
        signature_algorithms: Some("ECDSA+SHA256".into()),
        ..Default::default()
    };
    let client = dial(&mut pair, config(&only_ecdsa, Verification::None), Some("localhost"));
    assert!(is_connected(&pair));
    let leaf = client.borrow().live().expect("live").peer_cert().map(<[u8]>::to_vec);
    assert_ne!(leaf.as_ref(), Some(&for_name.certificate.der));
}

#[test]
fn both_ends_export_the_same_keying_material() {
    let (_pair, client, server) = Pair::connected();
    let export = |end: &SharedConnection, label: &str, context: &[u8], length| {
        end.borrow_mut().export_keying_material(label, context, length)
    };
    let ours = export(&client, "EXPORTER-test", b"context", 32).expect("exported");
    assert_eq!(export(&server, "EXPORTER-test", b"context", 32), Ok(ours.clone()));
    for (label, context) in [
        ("EXPORTER-other", &b"context"[..]),
        ("EXPORTER-test", b"other"),
        ("EXPORTER-test", b""),
    ] {
        assert_ne!(export(&client, label, context, 32), Ok(ours.clone()));
    }
    let (_other_pair, other, _) = Pair::connected();
    assert_ne!(export(&other, "EXPORTER-test", b"context", 32), Ok(ours));
    assert!(export(&client, &"x".repeat(250), b"", 32).is_err());
    assert!(export(&client, &"x".repeat(249), b"", 4096).is_ok());
}

#[test]
fn nothing_is_exported_before_the_handshake_is_complete() {
    let authority = common::Authority::new();
    let mut pair = Pair::new();
    let client = pair.dial(authority.config(Verification::Chain));
    let exported = client.borrow_mut().export_keying_material("EXPORTER-test", b"", 32);
    assert!(exported.is_err());
    assert_eq!(client.borrow_mut().cipher(), Ok(None));
}

#[test]
fn the_group_is_as_both_settings_permit() {
    for (ours, theirs, group) in [
        ("X25519MLKEM768:X25519", "X25519MLKEM768", "X25519MLKEM768"),
        ("X25519:P-256", "P-256", "P-256"),
        ("P-384", "P-384:X25519", "P-384"),
    ] {
        let root = Party::ca("root", None);
        let leaf = Party::new("leaf", Some(&root), |_| {});
        let settings = |groups: &str| TlsSettings {
            credentials: vec![leaf.credential(&[])],
            ca: vec![root.pem()],
            groups: Some(groups.into()),
            ..Default::default()
        };
        let mut pair = Pair::new();
        pair.server
            .endpoint
            .listen(shared(config(&settings(theirs), Verification::None)));
        let client = dial(
            &mut pair,
            config(&settings(ours), Verification::Chain),
            Some("localhost"),
        );
        assert!(is_connected(&pair), "{ours} {theirs}");
        assert_eq!(client.borrow_mut().group(), Ok(Some(group)));
        let cipher = client.borrow_mut().cipher().expect("live").expect("chosen");
        assert!(cipher.starts_with("TLS_"), "{cipher}");
    }
}

#[test]
fn a_client_sends_the_share_that_all_servers_took_and_after_one_that_did_not_both() {
    let root = Party::ca("root", None);
    let leaf = Party::new("leaf", Some(&root), |_| {});
    let settings = |groups: Option<&str>| TlsSettings {
        credentials: vec![leaf.credential(&[])],
        ca: vec![root.pem()],
        groups: groups.map(Into::into),
        ..Default::default()
    };
    let ours = shared(config(&settings(None), Verification::Chain));
    let mut pair = Pair::new();
    let mut group_of_next = |theirs: Option<&str>| {
        let theirs = shared(config(&settings(theirs), Verification::None));
        pair.server.endpoint.listen(theirs);
        let to = pair.server.address;
        let dialled = pair
            .client
            .endpoint
            .connect(&ours, Some("localhost"), to, Instant::now());
        pair.run();
        let connection = dialled.expect("a connection");
        let mut connection = connection.borrow_mut();
        let was_asked_again = unsafe {
            // SAFETY: the connection lives.
            boring_sys::SSL_used_hello_retry_request(connection.tls().expect("live").as_ptr()) == 1
        };
        (connection.group().expect("live").expect("chosen"), was_asked_again)
    };
    assert_eq!(group_of_next(None), ("X25519MLKEM768", false));
    assert_eq!(group_of_next(None), ("X25519MLKEM768", false));
    assert_eq!(
        group_of_next(Some("X25519")),
        ("X25519", true),
        "only one share was sent"
    );
    assert_eq!(group_of_next(Some("X25519")), ("X25519", false), "both were");
    assert_eq!(group_of_next(None), ("X25519MLKEM768", false));
    assert_eq!(group_of_next(Some("X25519")), ("X25519", false), "servers differ");
}

#[test]
fn what_failed_before_is_not_told_for_what_fails_now() {
    // SAFETY: numbers, and a text that lives for ever.
    unsafe { boring_sys::ERR_put_error(11, 0, 105, c"elsewhere".as_ptr(), 1) };
    let settings = TlsSettings {
        signature_algorithms: Some("rot13".into()),
        ..Default::default()
    };
    let refusal = tls::context(&settings).err().expect("refused").to_string();
    let (advice, reasons) = refusal.split_once(" (BoringSSL: ").expect("BoringSSL's word for it");
    assert!(advice.starts_with("sigalgs: is no list of signature algorithms that BoringSSL knows"));
    assert!(!reasons.contains(", "), "one reason: {reasons}");
}
