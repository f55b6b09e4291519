//! Verdicts on chains of peers whose keys change, for JavaScript.

use super::support::seconds;
use super::verify::{RefusedChain, max_length};
use crate::binding::error::{Error, Result, catch, invalid_argument};
use crate::x509::{self, Chain, Dates, Identity, SuccessorChain, SuccessorOptions, Target, verify_signed_by_successor};
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

/// What a chain of changing keys is judged by. Either some of `publicKeys` and `publicKeyFingerprints`, or `wholeChain`.
#[napi(object, object_to_js = false)]
pub struct VerifySuccessorChainOptions {
    /// Public keys by which the wanted peer is known, as `CertificateInfo.publicKey`: 32 bytes for Ed25519. One is enough.
    pub public_keys: Option<Vec<Uint8Array>>,
    /// The same as fingerprints, as of `publicKeyFingerprint`.
    pub public_key_fingerprints: Option<Vec<String>>,
    /// Take any peer, and follow the chain to its end.
    pub whole_chain: Option<bool>,
    /// The time of verification, in seconds since the Unix epoch (`Date.now() / 1000`): 0 to 253402300799. A fraction is
    /// dropped.
    pub at: f64,
    /// Whose dates must hold: the leaf's, which is the default (old keys vouch for new ones after their certificates have
    /// expired), or those of every certificate that is followed.
    #[napi(ts_type = "'leaf' | 'every'")]
    pub dates: Option<String>,
    /// Most certificates the chain may have, 1 to 64; 64 by default.
    pub max_length: Option<f64>,
    /// Critical extensions, as object identifiers, that the caller looks at by itself; none by default.
    pub accepted_critical_extensions: Option<Vec<String>>,
}

/// A chain that keeps to the rule.
#[napi(object, object_from_js = false)]
pub struct VerifiedSuccessorChain {
    /// Always true: tells it from a `RefusedChain`.
    #[napi(ts_type = "true")]
    pub ok: bool,
    /// The place of the certificate with the wanted key, the leaf being 0; with `wholeChain`, of the last one.
    pub index: u32,
    /// The public key of that certificate, as `CertificateInfo.publicKey`.
    pub public_key: Uint8Array,
    /// The fingerprint of that key, as of `publicKeyFingerprint`.
    pub public_key_fingerprint: String,
}

/// Judges a chain of DER certificates, leaf first, by the rule of peers whose keys change: each certificate names its
/// successor as its issuer and was signed by its successor's key, up to the first certificate with a wanted public key.
///
/// A peer that takes a new key signs the new certificate with the old key and puts it in front; one that only renews its
/// certificate signs it with the same key. Who knows the peer by an old key can so believe its new one. CA flags, path lengths
/// and key usages say nothing here, and certificates behind the wanted key aren't looked at. Polykey's nodes prove themselves
/// by this rule.
///
/// A chain that fails is an answer, not an exception. Throws for the options: `OutOfRange` and `InvalidArgument`, the latter
/// also if neither keys nor `wholeChain` are given: wanting nobody in particular has to be said.
#[napi(ts_return_type = "VerifiedSuccessorChain | RefusedChain")]
pub fn verify_successor_chain(
    chain: Vec<Uint8Array>,
    options: VerifySuccessorChainOptions,
) -> Result<Either<VerifiedSuccessorChain, RefusedChain>> {
    catch(|| {
        let wanted = identities(&options)?;
        let target = target(&wanted, options.whole_chain == Some(true))?;
        let rules = SuccessorOptions {
            target,
            at: seconds("at", options.at)?,
            dates: dates(options.dates.as_deref())?,
            max_length: max_length(options.max_length)?,
            accepted_critical: options.accepted_critical_extensions.as_deref().unwrap_or_default(),
        };
        let chain = match Chain::parse(&chain) {
            Ok(chain) => chain,
            Err(error) => return Ok(Either::B(error.into())),
        };
        Ok::<_, Error>(match verify_signed_by_successor(&chain, &rules) {
            Ok(found) => Either::A(answer(&chain, &found)),
            Err(error) => Either::B(error.into()),
        })
    })
}

fn answer(chain: &Chain, found: &SuccessorChain<'_>) -> VerifiedSuccessorChain {
    let certificate = &chain.certificates()[found.index()];
    VerifiedSuccessorChain {
        ok: true,
        index: u32::try_from(found.index()).expect("a chain has at most 64 certificates"),
        public_key: certificate.public_key().into(),
        public_key_fingerprint: x509::hex(&certificate.spki_fingerprint()),
    }
}

fn identities(options: &VerifySuccessorChainOptions) -> Result<Vec<Identity>> {
    let keys = options
        .public_keys
        .iter()
        .flatten()
        .map(|key| Ok(Identity::PublicKey(key.to_vec())));
    let fingerprints = options
        .public_key_fingerprints
        .iter()
        .flatten()
        .map(|hex| fingerprint(hex).map(Identity::SpkiSha256));
    keys.chain(fingerprints).collect()
}

fn target(wanted: &[Identity], whole_chain: bool) -> Result<Target<'_>> {
    match (wanted, whole_chain) {
        ([], true) => Ok(Target::WholeChain),
        ([_, ..], false) => Ok(Target::Identities(wanted)),
        ([], false) => Err(invalid_argument(
            "publicKeys",
            "give keys or fingerprints of whom you want, or set wholeChain",
        )),
        ([_, ..], true) => Err(invalid_argument(
            "wholeChain",
            "it takes any peer: leave out the keys and fingerprints",
        )),
    }
}

fn fingerprint(hex: &str) -> Result<[u8; 32]> {
    let invalid = || invalid_argument("publicKeyFingerprints", "a fingerprint is 64 hexadecimal digits");
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(invalid());
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).map_err(|_| invalid())?;
    }
    Ok(bytes)
}

fn dates(name: Option<&str>) -> Result<Dates> {
    match name {
        None | Some("leaf") => Ok(Dates::Leaf),
        Some("every") => Ok(Dates::Every),
        Some(other) => Err(invalid_argument("dates", &format!("{other:?} is not leaf or every"))),
    }
}
