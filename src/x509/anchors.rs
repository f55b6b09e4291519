//! The certificates an application trusts from the start.

use super::certificate::{Certificate, CertificateError};
use super::name::Name;
use std::collections::HashMap;

/// An anchor that can't be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("trust anchor {index}: {source}")]
pub struct AnchorError {
    /// Its place in the list.
    pub index: usize,
    /// What is wrong with it.
    pub source: CertificateError,
}

impl AnchorError {
    /// A stable name of the error.
    pub fn code(&self) -> &'static str {
        self.source.code()
    }
}

/// A set of trusted certificates, parsed once: use it for many verdicts.
#[derive(Debug, Clone, Default)]
pub struct Anchors {
    certificates: Vec<Certificate>,
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
}

impl Anchors {
    /// Reads anchors from DER; each of them must be a proper certificate.
    pub fn parse<D: AsRef<[u8]>>(ders: &[D]) -> Result<Self, AnchorError> {
        let mut anchors = Self::default();
        for (index, der) in ders.iter().enumerate() {
            let certificate = Certificate::parse(der.as_ref()).map_err(|source| AnchorError { index, source })?;
            anchors.add(certificate);
        }
        Ok(anchors)
    }

    /// Reads anchors from DER and leaves out what can't be read: for a system's list of roots, where one odd old root
    /// must not cost the trust in all others. Answers with what was left out, too.
    pub fn parse_readable<D: AsRef<[u8]>>(ders: &[D]) -> (Self, Vec<AnchorError>) {
        let mut anchors = Self::default();
        let mut unreadable = Vec::new();
        for (index, der) in ders.iter().enumerate() {
            match Certificate::parse(der.as_ref()) {
                Ok(certificate) => anchors.add(certificate),
                Err(source) => unreadable.push(AnchorError { index, source }),
            }
        }
        (anchors, unreadable)
    }

    fn add(&mut self, certificate: Certificate) {
        let subject = certificate.subject().der().to_vec();
        self.by_subject
            .entry(subject)
            .or_default()
            .push(self.certificates.len());
        self.certificates.push(certificate);
    }

    /// The anchors in their order.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The place of the anchor that is this very certificate.
    pub fn position(&self, certificate: &Certificate) -> Option<usize> {
        let (index, _) = self
            .named(certificate.subject())
            .find(|(_, anchor)| anchor.der() == certificate.der())?;
        Some(index)
    }

    /// The anchors with this subject, with their places.
    pub(crate) fn named(&self, subject: &Name) -> impl Iterator<Item = (usize, &Certificate)> {
        let places = self
            .by_subject
            .get(subject.der())
            .map(Vec::as_slice)
            .unwrap_or_default();
        places.iter().map(|place| (*place, &self.certificates[*place]))
    }
}
