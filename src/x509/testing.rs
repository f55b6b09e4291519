//! Certificates for the tests of this module.

use super::create::{CaParams, CertificateParams, IssuerParams, create_certificate};
use super::key::{KeyAlgorithm, generate_key};
use super::{Chain, Extension, PrivateKey};

/// The time of all tests.
pub(crate) const NOW: i64 = 1_800_000_000;

/// Certificates are valid for a day before and after [`NOW`].
pub(crate) const DAY: i64 = 86_400;

/// A key and a certificate for it.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) key: PrivateKey,
    pub(crate) der: Vec<u8>,
}

impl Party {
    /// A leaf, or whatever `change` makes of it.
    pub(crate) fn new(name: &str, issuer: Option<&Party>, change: impl FnOnce(&mut CertificateParams<'_>)) -> Self {
        let key = generate_key(KeyAlgorithm::Ed25519).unwrap();
        Self::with_key(key, name, issuer, change)
    }

    pub(crate) fn with_key(
        key: PrivateKey,
        name: &str,
        issuer: Option<&Party>,
        change: impl FnOnce(&mut CertificateParams<'_>),
    ) -> Self {
        let mut params = CertificateParams::new(name, &key, NOW - DAY, NOW + DAY);
        params.issuer = issuer.map(|issuer| IssuerParams {
            certificate: &issuer.der,
            key: &issuer.key,
        });
        change(&mut params);
        let der = create_certificate(&params).unwrap().der;
        Self { key, der }
    }

    pub(crate) fn ca(name: &str, issuer: Option<&Party>) -> Self {
        Self::new(name, issuer, |params| params.ca = Some(CaParams::default()))
    }
}

/// Makes a change that adds an extension.
pub(crate) fn extension(oid: &str, critical: bool, value: &[u8]) -> Extension {
    Extension {
        oid: oid.to_owned(),
        critical,
        value: value.to_vec(),
    }
}

pub(crate) fn chain(parties: &[&Party]) -> Chain {
    let ders: Vec<_> = parties.iter().map(|party| &party.der).collect();
    Chain::parse(&ders).unwrap()
}
