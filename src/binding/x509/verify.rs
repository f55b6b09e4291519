//! Verdicts on chains up to a trust anchor, for JavaScript.

use super::input::{self, PemOrDer, PemOrDerList, certificate_ders};
use super::support::seconds;
use crate::binding::error::{Error, Result, catch, invalid_argument};
use crate::binding::number;
use crate::x509::{
    self, Anchors, Chain, ChainError, MAX_CHAIN_LENGTH, Purpose, ServerName, VerifyError, VerifyOptions,
};
use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Either, Either3, Either4, PromiseRaw, Uint8Array, spawn_blocking};
use napi_derive::napi;
use std::sync::Arc;

/// Certificates that are trusted from the start, parsed once for many verdicts.
#[napi]
pub struct TrustAnchors {
    anchors: Arc<Anchors>,
    unreadable: u32,
}

#[napi]
impl TrustAnchors {
    /// Takes PEM text with any number of certificates, DER with one, or a list of such.
    ///
    /// Throws the codes of `parseCertificates` for the first that can't be read, unless `skipUnreadable` is set: a system's
    /// list may hold one odd old root, which should not cost the trust in all others.
    #[napi(constructor)]
    pub fn new(
        #[napi(ts_arg_type = "string | Uint8Array | Array<string | Uint8Array>")] certificates: PemOrDerList,
        skip_unreadable: Option<bool>,
    ) -> Result<Self> {
        catch(|| {
            let ders = certificate_ders(&certificates)?;
            let (anchors, unreadable) = if skip_unreadable == Some(true) {
                let (anchors, unreadable) = Anchors::parse_readable(&ders);
                (anchors, unreadable.len())
            } else {
                (Anchors::parse(&ders)?, 0)
            };
            Ok::<_, Error>(Self {
                anchors: Arc::new(anchors),
                unreadable: u32::try_from(unreadable).unwrap_or(u32::MAX),
            })
        })
    }

    /// How many anchors there are.
    #[napi(getter)]
    pub fn size(&self) -> u32 {
        u32::try_from(self.anchors.certificates().len()).unwrap_or(u32::MAX)
    }

    /// How many certificates were left out because they can't be read; 0 without `skipUnreadable`.
    #[napi(getter)]
    pub fn unreadable(&self) -> u32 {
        self.unreadable
    }
}

/// Anchors, or what [`TrustAnchors`] takes.
type AnchorsInput<'a> = Either4<ClassInstance<'a, TrustAnchors>, String, Uint8Array, Vec<PemOrDer>>;

/// What a chain is judged by.
#[napi(object, object_to_js = false)]
pub struct VerifyChainOptions<'a> {
    /// Whom the caller trusts: `TrustAnchors`, or what its constructor takes (which is then parsed each time). An anchor need
    /// not be a root: a peer's own certificate may be one, and is then enough.
    #[napi(ts_type = "TrustAnchors | string | Uint8Array | Array<string | Uint8Array>")]
    pub anchors: AnchorsInput<'a>,
    /// The time of verification, in seconds since the Unix epoch (`Date.now() / 1000`): 0 to 253402300799. A fraction is
    /// dropped.
    pub at: f64,
    /// Whom the leaf identifies: looks at the extended key usage. `any` by default.
    #[napi(ts_type = "'server' | 'client' | 'any'")]
    pub purpose: Option<String>,
    /// The host name or IP address that the leaf must be for; any by default. Only subject alternative names count.
    pub server_name: Option<String>,
    /// Most certificates the chain may have, 1 to 64; 64 by default.
    pub max_length: Option<f64>,
    /// Critical extensions, as object identifiers, that the caller looks at by itself; none by default.
    pub accepted_critical_extensions: Option<Vec<String>>,
}

/// A chain that passed all checks.
#[napi(object, object_from_js = false)]
pub struct VerifiedChain {
    /// Always true: tells it from a `RefusedChain`.
    #[napi(ts_type = "true")]
    pub ok: bool,
    /// How many certificates, from the leaf, lead to the anchor. The peer may have sent more; those were not looked at.
    pub length: u32,
    /// The place of the anchor that was reached, in the list of anchors.
    pub anchor: u32,
    /// The fingerprint of the leaf's public key, as of `publicKeyFingerprint`.
    pub public_key_fingerprint: String,
}

/// A chain that did not pass, with the first check that failed.
#[napi(object, object_from_js = false)]
pub struct RefusedChain {
    /// Always false: tells it from a chain that passed.
    #[napi(ts_type = "false")]
    pub ok: bool,
    /// The check that failed: `EmptyChain`, `ChainTooLong`, `ChainTooLarge` (256 KiB are allowed), `ChainLoop`,
    /// `IssuerMismatch` (wrong order, or one is missing), `BadSignature`, `UnsupportedAlgorithm`, `CertificateNotYetValid`,
    /// `CertificateExpired`, `AnchorNotValid`, `NotCa`, `PathLengthExceeded`, `KeyUsage`, `UnknownCriticalExtension`,
    /// `NameNotPermitted` (by name constraints), `TooManyConstraints` (250,000 comparisons with names are allowed),
    /// `Untrusted`, `NameMismatch`, `IdentityNotFound`, or a code of `parseCertificates`.
    pub code: String,
    /// The certificate to blame, the leaf being 0; the length of the chain stands for the anchor behind it. Left out if it is
    /// the chain as a whole.
    pub index: Option<u32>,
    /// What is wrong, for people to read.
    pub message: String,
    /// The `CryptoError` that tells the peer: 256 + TLS alert (RFC 9001 §4.8). An answer for a `verifyCallback`.
    pub crypto_error: u32,
}

/// The answer: one of two shapes, told apart by `ok`.
pub type Verdict = Either<VerifiedChain, RefusedChain>;

impl RefusedChain {
    fn new(code: &str, index: Option<usize>, message: String, alert: u8) -> Self {
        let index = index.map(|index| u32::try_from(index).expect("a chain has at most 64 certificates"));
        Self {
            ok: false,
            code: code.to_owned(),
            index,
            message,
            crypto_error: 256 + u32::from(alert),
        }
    }
}

impl From<ChainError> for RefusedChain {
    fn from(error: ChainError) -> Self {
        Self::new(error.code(), error.index(), error.to_string(), error.tls_alert())
    }
}

impl From<VerifyError> for RefusedChain {
    fn from(error: VerifyError) -> Self {
        Self::new(error.code(), error.index(), error.to_string(), error.tls_alert())
    }
}

/// Judges a chain of DER certificates, leaf first, by the rules of the web (RFC 5280): order, signatures, dates, CA flags,
/// path lengths, key usages, critical extensions, name constraints, and whether it leads to a trust anchor; then the leaf's
/// purpose and names. Revocation is not looked at.
///
/// A chain that fails is an answer, not an exception. Throws for the options: `OutOfRange`, `InvalidArgument`,
/// `InvalidServerName`, and the codes of `parseCertificates` for anchors.
#[napi(ts_return_type = "VerifiedChain | RefusedChain")]
pub fn verify_chain(chain: Vec<Uint8Array>, options: VerifyChainOptions<'_>) -> Result<Verdict> {
    catch(|| Ok::<_, Error>(Judge::new(&options)?.judge(&chain)))
}

/// Does what `verifyChain` does on a thread of its own, so that JavaScript goes on meanwhile: for chains with many RSA or P-384
/// signatures. What `verifyChain` throws, it rejects with.
#[napi(ts_return_type = "Promise<VerifiedChain | RefusedChain>")]
pub fn verify_chain_async<'env>(
    env: &'env Env,
    chain: Vec<Uint8Array>,
    options: VerifyChainOptions<'_>,
) -> napi::Result<PromiseRaw<'env, Verdict>> {
    let judge = match catch(|| Judge::new(&options)) {
        Ok(judge) => judge,
        Err(error) => return PromiseRaw::reject(env, error),
    };
    // JavaScript may change its bytes while the other thread reads: those get their own.
    let chain: Vec<Vec<u8>> = chain.iter().map(|der| der.to_vec()).collect();
    env.spawn_future(async move {
        let verdict = spawn_blocking(move || judge.judge(&chain)).await;
        verdict.map_err(|_| napi::Error::from_reason("the verdict was lost"))
    })
}

/// The options, checked and owned, so that they can go to another thread.
struct Judge {
    anchors: Arc<Anchors>,
    at: i64,
    purpose: Purpose,
    server_name: Option<ServerName>,
    max_length: usize,
    accepted_critical: Vec<String>,
}

impl Judge {
    fn new(options: &VerifyChainOptions<'_>) -> Result<Self> {
        Ok(Self {
            anchors: anchors(&options.anchors)?,
            at: seconds("at", options.at)?,
            purpose: purpose(options.purpose.as_deref())?,
            server_name: options.server_name.as_deref().map(ServerName::parse).transpose()?,
            max_length: max_length(options.max_length)?,
            accepted_critical: options.accepted_critical_extensions.clone().unwrap_or_default(),
        })
    }

    fn judge<D: AsRef<[u8]>>(self, chain: &[D]) -> Verdict {
        let chain = match Chain::parse(chain) {
            Ok(chain) => chain,
            Err(error) => return Either::B(error.into()),
        };
        let options = VerifyOptions {
            anchors: &self.anchors,
            at: self.at,
            purpose: self.purpose,
            server_name: self.server_name,
            max_length: self.max_length,
            accepted_critical: &self.accepted_critical,
        };
        match x509::verify_chain(&chain, &options) {
            Ok(verified) => Either::A(VerifiedChain {
                ok: true,
                length: u32::try_from(verified.path().len()).expect("a chain has at most 64 certificates"),
                anchor: u32::try_from(verified.anchor()).unwrap_or(u32::MAX),
                public_key_fingerprint: x509::hex(&verified.leaf().spki_fingerprint()),
            }),
            Err(error) => Either::B(error.into()),
        }
    }
}

fn anchors(input: &AnchorsInput<'_>) -> Result<Arc<Anchors>> {
    let ders = match input {
        Either4::A(anchors) => return Ok(Arc::clone(&anchors.anchors)),
        Either4::B(text) => certificate_ders(&Either3::A(text.clone()))?,
        Either4::C(bytes) => input::ders_in(bytes)?,
        Either4::D(items) => input::ders_of_all(items)?,
    };
    Ok(Arc::new(Anchors::parse(&ders)?))
}

fn purpose(name: Option<&str>) -> Result<Purpose> {
    match name {
        None | Some("any") => Ok(Purpose::Any),
        Some("server") => Ok(Purpose::Server),
        Some("client") => Ok(Purpose::Client),
        Some(other) => Err(invalid_argument(
            "purpose",
            &format!("{other:?} is not server, client or any"),
        )),
    }
}

/// The longest chain that is wanted; as long as chains may be, by default.
pub(super) fn max_length(value: Option<f64>) -> Result<usize> {
    value.map_or(Ok(MAX_CHAIN_LENGTH), |value| {
        number::size("maxLength", value, 1..=MAX_CHAIN_LENGTH as u64)
    })
}
