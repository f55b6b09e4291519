use super::*;
use crate::x509::create::{CaParams, CertificateParams};
use crate::x509::testing::{DAY, NOW, Party, chain, extension};

/// An anchor, a CA below it, and a leaf below that.
struct World {
    root: Party,
    middle: Party,
    leaf: Party,
}

impl World {
    fn new() -> Self {
        let root = Party::ca("root", None);
        let middle = Party::ca("middle", Some(&root));
        let leaf = Party::new("leaf", Some(&middle), |params| {
            params.dns_names = vec!["leaf.example".into()];
            params.ip_addresses = vec!["::1".parse().unwrap()];
        });
        Self { root, middle, leaf }
    }
}

fn anchors(parties: &[&Party]) -> Anchors {
    let ders: Vec<_> = parties.iter().map(|party| &party.der).collect();
    Anchors::parse(&ders).unwrap()
}

/// Judges and answers with `ok:<length of the path>`, or the code and index of the refusal.
fn judge(parties: &[&Party], anchors: &Anchors, change: impl FnOnce(&mut VerifyOptions<'_>)) -> String {
    let chain = chain(parties);
    let mut options = VerifyOptions::new(anchors, NOW);
    change(&mut options);
    match verify_chain(&chain, &options) {
        Ok(verified) => format!("ok:{}", verified.path().len()),
        Err(error) => format!("{}:{}", error.code(), error.index().map_or(-1, |index| index as i32)),
    }
}

fn judge_simply(parties: &[&Party], anchor: &Party) -> String {
    judge(parties, &anchors(&[anchor]), |_| {})
}

#[test]
fn a_proper_chain_passes_with_and_without_its_anchor() {
    let World { root, middle, leaf } = World::new();
    assert_eq!(judge_simply(&[&leaf, &middle], &root), "ok:2");
    assert_eq!(judge_simply(&[&leaf, &middle, &root], &root), "ok:2");
    let stranger = Party::ca("stranger", None);
    assert_eq!(
        judge_simply(&[&leaf, &middle, &root, &stranger], &root),
        "ok:2",
        "what is behind an anchor is idle"
    );
}

#[test]
fn any_certificate_may_be_an_anchor() {
    let World { root, middle, leaf } = World::new();
    assert_eq!(judge_simply(&[&leaf, &middle, &root], &middle), "ok:1");
    assert_eq!(judge_simply(&[&leaf], &leaf), "ok:1");
    let own = Party::new("self-signed", None, |_| {});
    assert_eq!(judge_simply(&[&own], &own), "ok:1");
}

#[test]
fn what_leads_nowhere_is_untrusted() {
    let World { root, middle, leaf } = World::new();
    let own = Party::new("self-signed", None, |_| {});
    assert_eq!(judge_simply(&[&own], &root), "Untrusted:0");
    assert_eq!(judge_simply(&[&leaf, &middle, &root], &own), "Untrusted:2");
    assert_eq!(
        judge_simply(&[&leaf], &root),
        "Untrusted:0",
        "the certificate between is missing"
    );
    assert_eq!(judge(&[&leaf], &Anchors::default(), |_| {}), "Untrusted:0");
}

#[test]
fn the_order_matters() {
    let World { root, middle, leaf } = World::new();
    assert_eq!(
        judge_simply(&[&middle, &leaf, &root], &Party::ca("other", None)),
        "IssuerMismatch:0"
    );
    assert_eq!(judge_simply(&[&leaf, &root, &middle], &root), "IssuerMismatch:0");
}

#[test]
fn circles_are_refused() {
    let World { root, middle, leaf } = World::new();
    let other = anchors(&[&Party::ca("other", None)]);
    assert_eq!(judge(&[&root, &root], &other, |_| {}), "ChainLoop:1");
    // Two CAs that signed each other, again and again.
    let back = Party::with_key(root.key.clone(), "root", Some(&middle), |params| {
        params.ca = Some(CaParams::default())
    });
    assert_eq!(
        judge(&[&leaf, &middle, &back, &middle, &back], &other, |_| {}),
        "ChainLoop:3"
    );
}

#[test]
fn a_name_is_no_signature() {
    let World { root, middle, leaf } = World::new();
    let impostor = Party::ca("middle", Some(&root));
    assert_eq!(judge_simply(&[&leaf, &impostor], &root), "BadSignature:0");
    assert_eq!(
        judge_simply(&[&leaf, &middle], &Party::ca("root", None)),
        "BadSignature:1"
    );
    assert_eq!(
        judge(&[&leaf, &middle], &anchors(&[&Party::ca("root", None), &root]), |_| {}),
        "ok:2",
        "of two anchors with one name, the one that fits counts"
    );
}

#[test]
fn dates_are_inclusive() {
    let World { root, middle, leaf } = World::new();
    let anchors = anchors(&[&root]);
    for (at, verdict) in [
        (NOW - DAY, "ok:2"),
        (NOW + DAY, "ok:2"),
        (NOW - DAY - 1, "CertificateNotYetValid:0"),
        (NOW + DAY + 1, "CertificateExpired:0"),
    ] {
        assert_eq!(
            judge(&[&leaf, &middle], &anchors, |options| options.at = at),
            verdict,
            "{at}"
        );
    }
}

#[test]
fn dates_hold_for_every_certificate_and_the_anchor() {
    let root = Party::new("root", None, |params| {
        params.ca = Some(CaParams::default());
        params.not_after = NOW - 1;
    });
    let middle = Party::new("middle", Some(&root), |params| {
        params.ca = Some(CaParams::default());
        params.not_before = NOW + 1;
    });
    let leaf = Party::new("leaf", Some(&middle), |_| {});
    assert_eq!(judge_simply(&[&leaf, &middle], &root), "CertificateNotYetValid:1");
    let leaf = Party::new("leaf", Some(&root), |_| {});
    assert_eq!(judge_simply(&[&leaf], &root), "AnchorNotValid:0");
}

#[test]
fn only_a_ca_issues() {
    let root = Party::ca("root", None);
    let plain = Party::new("plain", Some(&root), |_| {});
    let leaf = Party::new("leaf", Some(&plain), |_| {});
    assert_eq!(judge_simply(&[&leaf, &plain], &root), "NotCa:1");
    assert_eq!(
        judge_simply(&[&leaf], &plain),
        "NotCa:1",
        "an anchor that issues is a CA, too"
    );
}

#[test]
fn path_lengths_count_what_stands_between() {
    let limited = |length| {
        move |params: &mut crate::x509::CertificateParams<'_>| {
            params.ca = Some(CaParams {
                path_length: Some(length),
            });
        }
    };
    let root = Party::new("root", None, limited(1));
    let first = Party::new("first", Some(&root), limited(0));
    let leaf = Party::new("leaf", Some(&first), |_| {});
    assert_eq!(judge_simply(&[&leaf, &first], &root), "ok:2");

    let second = Party::ca("second", Some(&first));
    let deep = Party::new("deep", Some(&second), |_| {});
    assert_eq!(judge_simply(&[&deep, &second, &first], &root), "PathLengthExceeded:2");

    let wide = Party::ca("wide", Some(&root));
    let below = Party::ca("below", Some(&wide));
    let deep = Party::new("deep", Some(&below), |_| {});
    assert_eq!(
        judge_simply(&[&deep, &below, &wide], &root),
        "PathLengthExceeded:3",
        "the anchor's limit"
    );

    // A CA that renewed its own certificate adds no step.
    let renewed = Party::with_key(first.key.clone(), "first", Some(&first), limited(0));
    let leaf = Party::new("leaf", Some(&renewed), |_| {});
    assert_eq!(judge_simply(&[&leaf, &renewed, &first], &root), "ok:3");
}

/// BIT STRINGs of the key usage extension.
const SIGNS_HANDSHAKES: [u8; 4] = [3, 2, 7, 0x80];
const SIGNS_CERTIFICATES: [u8; 4] = [3, 2, 2, 0x04];

#[test]
fn keys_are_used_for_what_they_are_meant() {
    let root = Party::ca("root", None);
    let usage = |value| extension(oid::KEY_USAGE, true, value);
    let weak = Party::new("weak", Some(&root), |params| {
        params.ca = Some(CaParams::default());
        params.extensions = vec![usage(&SIGNS_HANDSHAKES)];
    });
    let leaf = Party::new("leaf", Some(&weak), |_| {});
    assert_eq!(judge_simply(&[&leaf, &weak], &root), "KeyUsage:1");
    let leaf = Party::new("leaf", Some(&root), |params| {
        params.extensions = vec![usage(&SIGNS_CERTIFICATES)]
    });
    assert_eq!(judge_simply(&[&leaf], &root), "KeyUsage:0");
}

#[test]
fn purposes_are_kept() {
    let root = Party::ca("root", None);
    // SEQUENCE { clientAuth }
    let client_only = [0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
    let purpose = || vec![extension(oid::EXTENDED_KEY_USAGE, false, &client_only)];
    let client = Party::new("client", Some(&root), |params| params.extensions = purpose());
    let anchors = anchors(&[&root]);
    let as_purpose = |parties: &[&Party], purpose| judge(parties, &anchors, |options| options.purpose = purpose);
    assert_eq!(as_purpose(&[&client], Purpose::Client), "ok:1");
    assert_eq!(as_purpose(&[&client], Purpose::Any), "ok:1");
    assert_eq!(as_purpose(&[&client], Purpose::Server), "KeyUsage:0");

    let middle = Party::new("middle", Some(&root), |params| {
        params.ca = Some(CaParams::default());
        params.extensions = purpose();
    });
    let leaf = Party::new("leaf", Some(&middle), |_| {});
    assert_eq!(as_purpose(&[&leaf, &middle], Purpose::Client), "ok:2");
    assert_eq!(as_purpose(&[&leaf, &middle], Purpose::Server), "KeyUsage:1");
}

#[test]
fn critical_extensions_are_understood_or_refused() {
    let root = Party::ca("root", None);
    let make = |critical| {
        Party::new("leaf", Some(&root), |params| {
            params.extensions = vec![extension("1.2.3.4", critical, &[5, 0])]
        })
    };
    assert_eq!(judge_simply(&[&make(false)], &root), "ok:1");
    assert_eq!(judge_simply(&[&make(true)], &root), "UnknownCriticalExtension:0");
    let accepted = ["1.2.3.4".to_owned()];
    let chain = chain(&[&make(true)]);
    let anchors = anchors(&[&root]);
    let options = VerifyOptions {
        accepted_critical: &accepted,
        ..VerifyOptions::new(&anchors, NOW)
    };
    assert!(verify_chain(&chain, &options).is_ok());
}

#[test]
fn server_names_are_looked_for_last() {
    let World { root, middle, leaf } = World::new();
    let named = |anchor: &Party, name: &str| {
        judge(&[&leaf, &middle], &anchors(&[anchor]), |options| {
            options.server_name = Some(ServerName::parse(name).unwrap());
        })
    };
    assert_eq!(named(&root, "LEAF.example"), "ok:2");
    assert_eq!(named(&root, "::1"), "ok:2");
    assert_eq!(named(&root, "leaf"), "NameMismatch:0", "the common name doesn't count");
    assert_eq!(named(&leaf, "leaf"), "NameMismatch:0", "not even for a pinned leaf");
    assert_eq!(named(&Party::ca("root", None), "other"), "BadSignature:1");
}

#[test]
fn name_constraints_bind_what_is_below() {
    // NameConstraints { permitted [0] { { dNSName "good.example" } }, excluded [1] { { dNSName "bad.good.example" } } }
    let subtree = |tag: u8, name: &str| {
        let name = name.as_bytes();
        let length = name.len() as u8;
        [&[tag, length + 4, 0x30, length + 2, 0x82, length][..], name].concat()
    };
    let body = [subtree(0xa0, "good.example"), subtree(0xa1, "bad.good.example")].concat();
    let value = [&[0x30, body.len() as u8][..], &body].concat();
    let root = Party::new("root", None, |params| {
        params.ca = Some(CaParams::default());
        params.extensions = vec![extension(oid::NAME_CONSTRAINTS, true, &value)];
    });
    let verdict = |names: &[&str]| {
        let leaf = Party::new("leaf", Some(&root), |params| {
            params.dns_names = names.iter().map(|name| (*name).to_owned()).collect();
        });
        judge_simply(&[&leaf], &root)
    };
    assert_eq!(verdict(&["good.example", "a.good.example"]), "ok:1");
    assert_eq!(verdict(&[]), "ok:1");
    for name in [
        "other.example",
        "xgood.example",
        "bad.good.example",
        "x.bad.good.example",
        "*.good.example",
    ] {
        assert_eq!(verdict(&["good.example", name]), "NameNotPermitted:0", "{name}");
    }
}

#[test]
fn names_are_compared_with_constraints_so_many_times_and_no_more() {
    let names = |count: usize| move |params: &mut CertificateParams<'_>| params.dns_names = vec!["a".to_owned(); count];
    // NameConstraints { excluded [1] { { dNSName "b" }, … } }
    let constrained = |name: &str, issuer: Option<&Party>, count: u16| {
        let subtrees = [0x30, 3, 0x82, 1, b'b'].repeat(count.into());
        let long = |tag: u8, content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &length[..], content].concat()
        };
        let value = long(0x30, &long(0xa1, &subtrees));
        Party::new(name, issuer, |params| {
            params.ca = Some(CaParams::default());
            params.extensions = vec![extension(oid::NAME_CONSTRAINTS, true, &value)];
        })
    };
    // The leaf's subject is a name, too.
    let root = constrained("root", None, 1_000);
    let leaf = |count: usize, issuer: &Party| Party::new("leaf", Some(issuer), names(count));
    assert_eq!(judge_simply(&[&leaf(249, &root)], &root), "ok:1");
    assert_eq!(judge_simply(&[&leaf(250, &root)], &root), "TooManyConstraints:0");
    // All of a chain counts: at most 125,000 for the CA in the middle, as many for the root, and 1,000 for that CA's name.
    let middle = constrained("middle", Some(&root), 1_000);
    let verdict = |count: usize| judge_simply(&[&leaf(count, &middle), &middle], &root);
    assert_eq!(verdict(123), "ok:2");
    assert_eq!(verdict(124), "TooManyConstraints:1");
    assert_eq!(verdict(125), "TooManyConstraints:0");
}

#[test]
fn constraints_of_kinds_that_are_not_understood_fail_closed() {
    // permitted: uniformResourceIdentifier "example"
    let value = [
        0x30, 0x0d, 0xa0, 0x0b, 0x30, 0x09, 0x86, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e',
    ];
    let root = Party::new("root", None, |params| {
        params.ca = Some(CaParams::default());
        params.extensions = vec![extension(oid::NAME_CONSTRAINTS, true, &value)];
    });
    let leaf = |uris: &[&str]| {
        Party::new("leaf", Some(&root), |params| {
            params.uris = uris.iter().map(|uri| (*uri).to_owned()).collect()
        })
    };
    assert_eq!(judge_simply(&[&leaf(&[])], &root), "ok:1");
    assert_eq!(judge_simply(&[&leaf(&["pk://example"])], &root), "NameNotPermitted:0");
}

#[test]
fn the_caller_bounds_the_length() {
    let World { root, middle, leaf } = World::new();
    let anchors = anchors(&[&root]);
    assert_eq!(
        judge(&[&leaf, &middle], &anchors, |options| options.max_length = 1),
        "ChainTooLong:-1"
    );
    assert_eq!(
        judge(&[&leaf, &middle], &anchors, |options| options.max_length = 2),
        "ok:2"
    );
}

#[test]
fn a_changed_certificate_is_noticed() {
    let World { root, leaf, middle } = World::new();
    let anchors = anchors(&[&root]);
    let name = leaf
        .der
        .windows(12)
        .position(|window| window == b"leaf.example")
        .unwrap();
    let mut changed = leaf.clone();
    changed.der[name] = b'L';
    assert_eq!(judge(&[&changed, &middle], &anchors, |_| {}), "BadSignature:0");
}

#[test]
fn every_refusal_has_an_alert() {
    let error = VerifyError::Expired {
        index: 0,
        not_after: 0,
        at: 1,
    };
    assert_eq!(error.tls_alert(), 45);
    let error = VerifyError::Untrusted {
        index: 0,
        issuer: String::new(),
    };
    assert_eq!(error.tls_alert(), 48);
    assert_eq!(VerifyError::NameMismatch { name: String::new() }.tls_alert(), 42);
}
