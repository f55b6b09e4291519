//! The x509 module from outside: BoringSSL's opinion of what it makes and judges, and what strangers may send it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use boring::asn1::{Asn1Integer, Asn1Time};
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::rsa::Rsa;
use boring::x509::extension::BasicConstraints;
use boring::x509::{X509, X509Builder, X509Extension, X509NameBuilder};
use polykey_quic::x509::{
    Anchors, CaParams, Certificate, CertificateParams, Chain, ChainError, Extension, Identity, IssuerParams,
    KeyAlgorithm, KeyType, MAX_CHAIN_BYTES, MAX_CHAIN_LENGTH, PrivateKey, ServerName, SuccessorOptions, Target,
    VerifyOptions, create_certificate, generate_key, pem, verify_chain, verify_signed_by_successor,
};
use proptest::prelude::*;
use std::sync::LazyLock;

const NOW: i64 = 1_800_000_000;

/// Keys of all kinds that can sign here.
fn signing_keys() -> Vec<(KeyType, PrivateKey)> {
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    vec![
        (KeyType::Ed25519, generate_key(KeyAlgorithm::Ed25519).unwrap()),
        (KeyType::EcdsaP256, generate_key(KeyAlgorithm::EcdsaP256).unwrap()),
        (KeyType::EcdsaP384, generate_key(KeyAlgorithm::EcdsaP384).unwrap()),
        (KeyType::Rsa { bits: 2048 }, private_key(&rsa)),
    ]
}

fn private_key(key: &PKey<Private>) -> PrivateKey {
    pem::private_key(&key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}

fn make(name: &str, key: &PrivateKey, issuer: Option<(&[u8], &PrivateKey)>) -> Vec<u8> {
    let mut params = CertificateParams::new(name, key, NOW - 10, NOW + 10);
    params.ca = Some(CaParams::default());
    params.dns_names = vec!["peer.example".into()];
    params.ip_addresses = vec!["127.0.0.1".parse().unwrap()];
    params.issuer = issuer.map(|(certificate, key)| IssuerParams { certificate, key });
    create_certificate(&params).unwrap().der
}

/// A chain of `length` certificates by different Ed25519 keys, the leaf first.
fn ed25519_chain(length: usize) -> Vec<Vec<u8>> {
    let mut chain: Vec<(Vec<u8>, PrivateKey)> = Vec::new();
    for number in 0..length {
        let key = generate_key(KeyAlgorithm::Ed25519).unwrap();
        let issuer = chain.last().map(|(der, key)| (der.as_slice(), key));
        chain.push((make(&format!("peer {number}"), &key, issuer), key));
    }
    chain.into_iter().rev().map(|(der, _)| der).collect()
}

fn code_of_verdict(ders: &[Vec<u8>], anchor: &[u8]) -> &'static str {
    let anchors = Anchors::parse(&[anchor]).unwrap();
    let chain = Chain::parse(ders).unwrap();
    match verify_chain(&chain, &VerifyOptions::new(&anchors, NOW)) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[test]
fn every_kind_of_key_signs_for_every_other() {
    for (issuer_type, issuer_key) in signing_keys() {
        let issuer = make("issuer", &issuer_key, None);
        assert_eq!(Certificate::parse(&issuer).unwrap().key_type(), &issuer_type);
        for (leaf_type, leaf_key) in signing_keys() {
            let leaf = make("leaf", &leaf_key, Some((&issuer, &issuer_key)));
            let verdict = code_of_verdict(std::slice::from_ref(&leaf), &issuer);
            assert_eq!(verdict, "ok", "{leaf_type} by {issuer_type}");
        }
    }
}

#[test]
fn boringssl_reads_what_is_made() {
    for (key_type, key) in signing_keys() {
        PKey::private_key_from_pem(key.to_pem().as_bytes()).expect("BoringSSL reads our keys");
        let issuer = make("issuer", &key, None);
        let leaf = make("leaf", &key, Some((&issuer, &key)));
        let (ours, theirs) = (Certificate::parse(&leaf).unwrap(), X509::from_der(&leaf).unwrap());
        let public_key = theirs.public_key().unwrap();
        assert!(
            theirs
                .verify(&X509::from_der(&issuer).unwrap().public_key().unwrap())
                .unwrap(),
            "{key_type}"
        );
        assert_eq!(public_key.public_key_to_der().unwrap(), ours.spki());
        assert_eq!(
            theirs.digest(MessageDigest::sha256()).unwrap().as_ref(),
            ours.fingerprint()
        );
        assert_eq!(
            theirs
                .serial_number()
                .to_bn()
                .unwrap()
                .to_hex_str()
                .unwrap()
                .to_uppercase(),
            ours.serial_hex()
        );
        assert!(theirs.check_host("peer.example").unwrap() && theirs.check_ip_asc("127.0.0.1").unwrap());
    }
}

/// A self-signed CA certificate as BoringSSL makes it.
fn boring_ca(key: &PKey<Private>, digest: MessageDigest, extensions: &[X509Extension]) -> Vec<u8> {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("O", "Example").unwrap();
    name.append_entry_by_text("CN", "issuer").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&Asn1Integer::from_bn(&BigNum::from_u32(1).unwrap()).unwrap())
        .unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(NOW - 10).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(NOW + 10).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    for extension in extensions {
        builder.append_extension(extension).unwrap();
    }
    builder.sign(key, digest).unwrap();
    builder.build().to_der().unwrap()
}

fn ca_extension() -> X509Extension {
    BasicConstraints::new().critical().ca().build().unwrap()
}

/// Judges a self-signed certificate as a link of a chain, so that its signature is looked at.
fn verdict_on_self_signature(der: &[u8]) -> String {
    let chain = Chain::parse(&[der]).unwrap();
    // The same name and key in another certificate is the anchor.
    let mut anchor = der.to_vec();
    *anchor.last_mut().unwrap() ^= 1;
    let anchors = Anchors::parse(&[anchor]).unwrap();
    match verify_chain(&chain, &VerifyOptions::new(&anchors, NOW)) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn signatures_that_cannot_be_trusted_or_checked_are_refused_by_name() {
    let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let ec = |curve| PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(curve).unwrap()).unwrap()).unwrap();
    let (sha1, sha256, sha512) = (MessageDigest::sha1(), MessageDigest::sha256(), MessageDigest::sha512());
    let strong = rsa(2048);
    for (key, digest, verdict) in [
        (strong.clone(), sha256, "ok"),
        (strong.clone(), sha512, "ok"),
        (strong, sha1, "the signature of certificate 0 is not accepted: SHA-1"),
        (
            rsa(1024),
            sha256,
            "the signature of certificate 0 is not accepted: RSA with 1024 bits",
        ),
        (ec(Nid::X9_62_PRIME256V1), sha256, "ok"),
        (ec(Nid::SECP384R1), sha256, "ok"),
        (
            ec(Nid::X9_62_PRIME256V1),
            sha512,
            "the signature of certificate 0 is not accepted: ECDSA with SHA-512",
        ),
        (
            ec(Nid::SECP521R1),
            sha512,
            "the signature of certificate 0 is not accepted: ECDSA P-521",
        ),
    ] {
        let der = boring_ca(&key, digest, &[ca_extension()]);
        assert_eq!(verdict_on_self_signature(&der), verdict);
    }
}

#[test]
fn p521_is_read_if_not_checked() {
    let group = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let der = boring_ca(&key, MessageDigest::sha512(), &[ca_extension()]);
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.key_type(), &KeyType::EcdsaP521);
    assert_eq!(certificate.subject().text(), "O=Example, CN=issuer");
    assert_eq!(
        code_of_verdict(std::slice::from_ref(&der), &der),
        "ok",
        "as an anchor nobody asks for its signature"
    );
}

#[test]
fn an_extension_that_occurs_twice_is_refused() {
    let key = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap());
    let der = boring_ca(
        &key.unwrap(),
        MessageDigest::sha256(),
        &[ca_extension(), ca_extension()],
    );
    assert_eq!(Certificate::parse(&der).unwrap_err().code(), "DuplicateExtension");
}

#[test]
fn an_issuer_with_several_names_is_copied_faithfully() {
    let key = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::SECP384R1).unwrap()).unwrap()).unwrap();
    let issuer = boring_ca(&key, MessageDigest::sha384(), &[ca_extension()]);
    let leaf_key = generate_key(KeyAlgorithm::Ed25519).unwrap();
    let leaf = make("leaf", &leaf_key, Some((&issuer, &private_key(&key))));
    assert_eq!(code_of_verdict(&[leaf], &issuer), "ok");
}

#[test]
fn chains_are_bounded_before_they_are_read() {
    let der = ed25519_chain(1).remove(0);
    assert_eq!(Chain::parse::<Vec<u8>>(&[]), Err(ChainError::Empty));
    let long = vec![der.clone(); MAX_CHAIN_LENGTH + 1];
    assert_eq!(
        Chain::parse(&long),
        Err(ChainError::TooLong {
            length: MAX_CHAIN_LENGTH + 1
        })
    );
    let large = vec![vec![0; MAX_CHAIN_BYTES / 2], vec![0; MAX_CHAIN_BYTES / 2 + 1]];
    assert_eq!(
        Chain::parse(&large),
        Err(ChainError::TooLarge {
            bytes: MAX_CHAIN_BYTES + 1
        })
    );
    let error = Chain::parse(&[der, b"garbage".to_vec()]).unwrap_err();
    assert_eq!((error.code(), error.index()), ("MalformedCertificate", Some(1)));
}

#[test]
fn an_enormous_object_identifier_costs_nothing() {
    // Its decimal digits would take quadratic time; the parser must not even try.
    let key = generate_key(KeyAlgorithm::Ed25519).unwrap();
    let mut params = CertificateParams::new("odd", &key, NOW - 10, NOW + 10);
    let mut arc = vec![0x2a];
    arc.extend(std::iter::repeat_n(0xff, 60_000));
    arc.push(0x7f);
    let length = u16::try_from(arc.len()).unwrap().to_be_bytes();
    let oid = [&[6, 0x82, length[0], length[1]][..], &arc].concat();
    let length = u16::try_from(oid.len()).unwrap().to_be_bytes();
    let value = [&[0x30, 0x82, length[0], length[1]][..], &oid].concat();
    params.extensions = vec![Extension {
        oid: "2.5.29.37".into(),
        critical: false,
        value,
    }];
    let der = create_certificate(&params).unwrap().der;
    assert_eq!(Certificate::parse(&der).unwrap_err().code(), "MalformedExtension");
}

/// A chain of three and its PEM text, to be bent out of shape.
static SAMPLE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| ed25519_chain(3));

static SAMPLE_PEM: LazyLock<String> = LazyLock::new(|| {
    SAMPLE
        .iter()
        .map(|der| pem::encode("CERTIFICATE", der).unwrap())
        .collect()
});

/// A change to some bytes: replaced, inserted, cut out, or cut off.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Truncate(prop::sample::Index),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        let index = || any::<prop::sample::Index>();
        prop_oneof![
            6 => (index(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            1 => (index(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            1 => (index(), 1_usize..20).prop_map(|(at, count)| Self::Remove(at, count)),
            1 => index().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Replace(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..bytes.len().min(at + count));
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// Does all that can be done with a chain from a stranger; answers with whether it was trusted.
fn use_chain(ders: &[Vec<u8>]) -> bool {
    let anchors = Anchors::parse(&SAMPLE[2..]).unwrap();
    let chain = match Chain::parse(ders) {
        Ok(chain) => chain,
        Err(error) => {
            assert!(!error.code().is_empty() && !error.to_string().is_empty() && error.tls_alert() > 0);
            return false;
        }
    };
    for certificate in chain.certificates() {
        let _ = (
            certificate.serial_hex(),
            certificate.spki_fingerprint(),
            certificate.subject().text(),
        );
        let _ = certificate.key_usage().map(|usage| usage.names().count());
    }
    let options = VerifyOptions {
        server_name: Some(ServerName::parse("peer.example").unwrap()),
        ..VerifyOptions::new(&anchors, NOW)
    };
    let verdict = verify_chain(&chain, &options);
    if let Err(error) = &verdict {
        assert!(!error.code().is_empty() && !error.to_string().is_empty());
    }
    let _ = verify_signed_by_successor(&chain, &SuccessorOptions::new(Target::WholeChain, NOW));
    verdict.is_ok()
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_chain(ders in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4)) {
        prop_assert!(!use_chain(&ders));
    }

    #[test]
    fn arbitrary_der_does_not_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        // The outer shape right, so that the parser gets further.
        let length = u8::try_from(body.len()).unwrap();
        use_chain(&[[&[0x30, 0x81, length][..], &body].concat()]);
    }

    #[test]
    fn a_mutated_chain_is_the_same_or_refused(
        which in 0_usize..2,
        mutations in prop::collection::vec(Mutation::any(), 1..4),
    ) {
        let mut ders = SAMPLE.clone();
        for mutation in &mutations {
            mutation.apply(&mut ders[which]);
        }
        let unchanged = ders[which] == SAMPLE[which];
        // Below the anchor every byte is signed or part of a signature.
        prop_assert_eq!(use_chain(&ders), unchanged);
    }

    #[test]
    fn a_shuffled_chain_is_refused(order in prop::collection::vec(0_usize..3, 1..6)) {
        let ders: Vec<_> = order.iter().map(|place| SAMPLE[*place].clone()).collect();
        let leads_to_anchor = order.first() == Some(&2) || order.starts_with(&[1]) || order.starts_with(&[0, 1]);
        prop_assert_eq!(use_chain(&ders), leads_to_anchor);
    }

    #[test]
    fn extensions_of_any_content_do_not_panic(
        number in prop::sample::select(vec![14, 15, 17, 19, 30, 31, 32, 35, 37]),
        value in prop::collection::vec(any::<u8>(), 0..60),
        wrapped in any::<bool>(),
    ) {
        let value = if wrapped { [&[0x30, value.len() as u8][..], &value].concat() } else { value };
        let key = generate_key(KeyAlgorithm::Ed25519).unwrap();
        let mut params = CertificateParams::new("odd", &key, NOW - 10, NOW + 10);
        params.extensions = vec![Extension { oid: format!("2.5.29.{number}"), critical: false, value }];
        use_chain(&[create_certificate(&params).unwrap().der]);
    }

    #[test]
    fn arbitrary_text_does_not_panic_the_pem_parser(text in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = (pem::certificates(&text).is_ok(), pem::private_key(&text).is_ok(), pem::is_pem(&text));
    }

    #[test]
    fn pieces_of_pem_do_not_panic_the_pem_parser(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("-----BEGIN "), Just("-----END "), Just("-----"), Just("CERTIFICATE"), Just("PRIVATE KEY"),
                Just("\n"), Just("\r\n"), Just("\n\n"), Just("MAMCAQU="), Just("A"), Just("Proc-Type: 4,ENCRYPTED"),
            ],
            0..30,
        )
    ) {
        let text = pieces.concat();
        let _ = (pem::certificates(text.as_bytes()).is_ok(), pem::private_key(text.as_bytes()).is_ok());
    }

    #[test]
    fn mutated_pem_never_gives_a_different_trusted_chain(mutations in prop::collection::vec(Mutation::any(), 1..6)) {
        let mut text = SAMPLE_PEM.as_bytes().to_vec();
        for mutation in &mutations {
            mutation.apply(&mut text);
        }
        if let Ok(ders) = pem::certificates(&text)
            && use_chain(&ders)
        {
            prop_assert!(SAMPLE.iter().any(|known| ders.first() == Some(known)));
        }
    }

    #[test]
    fn der_survives_pem(der in prop::collection::vec(any::<u8>(), 1..500)) {
        let text = pem::encode("CERTIFICATE", &der).unwrap();
        prop_assert_eq!(pem::certificates(text.as_bytes()).unwrap(), vec![der]);
    }

    #[test]
    fn any_bytes_as_identity_are_not_found(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let chain = Chain::parse(&SAMPLE).unwrap();
        let wanted = [Identity::PublicKey(bytes)];
        let options = SuccessorOptions::new(Target::Identities(&wanted), NOW);
        prop_assert!(verify_signed_by_successor(&chain, &options).is_err());
    }

    #[test]
    fn server_names_of_any_text_do_not_panic(name in "\\PC{0,80}") {
        if let Ok(name) = ServerName::parse(&name) {
            prop_assert!(!name.to_string().is_empty());
        }
    }
}
