//! BoringSSL's check of the peer's chain against the trust anchors, and what it found wrong.

use std::cmp::Ordering;
use std::os::raw::c_long;
use std::sync::{Arc, Mutex, PoisonError};

use boring::ssl::{SslRef, SslVerifyError};
use boring::stack::StackRef;
use boring::x509::{X509, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyError};
use boring_sys as sys;
use foreign_types_shared::ForeignTypeRef;

use super::verification::Alert;

/// Which check failed on which certificate. It is for us: the peer gets the alert only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFailure {
    /// The check, by the names of `x509::VerifyError`, as far as there is one.
    pub check: &'static str,
    /// The certificate's place in the chain as the peer sent it, the leaf being 0; the length of the chain stands for an
    /// anchor of ours.
    pub index: usize,
    /// The certificate's subject, as text.
    pub subject: String,
    /// BoringSSL's words.
    pub message: String,
}

/// Checks one connection's peer, and remembers what was wrong. Shared with the TLS callback.
#[derive(Debug, Clone, Default)]
pub(super) struct ChainCheck(Arc<Mutex<Option<ChainFailure>>>);

impl ChainCheck {
    /// What was wrong, if the peer was refused.
    pub(super) fn failure(&self) -> Option<ChainFailure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the chain passes; nothing is remembered.
    pub(super) fn passes(&self, ssl: &mut SslRef) -> bool {
        verify(ssl).is_some_and(|verdict| verdict.is_ok())
    }

    /// Answers BoringSSL: what its own check would, but on resumption too, and with a memory.
    pub(super) fn check(&self, ssl: &mut SslRef) -> Result<(), SslVerifyError> {
        let refused = |alert: Alert| Err(SslVerifyError::Invalid(alert.to_boring()));
        match verify(ssl) {
            Some(Ok(())) => Ok(()),
            Some(Err((failure, alert))) => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                refused(alert)
            }
            None => refused(Alert::INTERNAL_ERROR),
        }
    }
}

/// The verdict; `None` if BoringSSL couldn't get as far as to have one.
fn verify(ssl: &mut SslRef) -> Option<Result<(), (ChainFailure, Alert)>> {
    // RFC 5280 §4.2.1.12: a server looks for clients' certificates, a client for servers'.
    let purpose = if ssl.is_server() { c"ssl_client" } else { c"ssl_server" };
    // SAFETY: BoringSSL owns the chain and keeps it as long as the session, which outlives this callback.
    let chain = unsafe {
        let chain = sys::SSL_get_peer_full_cert_chain(ssl.as_ptr());
        (!chain.is_null()).then(|| StackRef::<X509>::from_ptr(chain))?
    };
    let mut context = X509StoreContext::new().ok()?;
    let verdict = context.init(ssl.ssl_context().cert_store(), chain.get(0)?, chain, |context| {
        // SAFETY: both live; the parameters are copied. Those of the connection hold the name that we expect.
        let is_ready = unsafe {
            sys::X509_STORE_CTX_set_default(context.as_ptr(), purpose.as_ptr()) == 1
                && sys::X509_VERIFY_PARAM_set1(
                    sys::X509_STORE_CTX_get0_param(context.as_ptr()),
                    sys::SSL_get0_param(ssl.as_ptr()),
                ) == 1
        };
        if !is_ready {
            return Ok(None);
        }
        if context.verify_cert()? {
            return Ok(Some(check_anchor(context, chain)));
        }
        let code = context
            .verify_result()
            .map_or_else(|error| error.as_raw(), |()| sys::X509_V_ERR_UNSPECIFIED);
        Ok(Some(Err(found(code, context.current_cert(), chain))))
    });
    verdict.ok()?
}

/// What BoringSSL doesn't look at: the anchor's own right to issue. It matters since an anchor may be anyone's certificate,
/// and being trusted makes nobody an authority. RFC 5280 §6.1.4 (k) to (m).
fn check_anchor(context: &X509StoreContextRef, chain: &StackRef<X509>) -> Result<(), (ChainFailure, Alert)> {
    let way: Vec<&X509Ref> = context.chain().into_iter().flatten().collect();
    let [_, intermediates @ .., anchor] = way.as_slice() else {
        return Ok(());
    };
    let is_self_issued = |it: &X509Ref| matches!(it.issuer_name().try_cmp(it.subject_name()), Ok(Ordering::Equal));
    let length = intermediates.iter().filter(|it| !is_self_issued(it)).count();
    // SAFETY: the anchor lives; both only look.
    let (is_ca, limit) = unsafe {
        (
            sys::X509_check_ca(anchor.as_ptr()),
            sys::X509_get_pathlen(anchor.as_ptr()),
        )
    };
    let code = if is_ca == 0 {
        sys::X509_V_ERR_INVALID_CA
    } else if usize::try_from(limit).is_ok_and(|limit| length > limit) {
        sys::X509_V_ERR_PATH_LENGTH_EXCEEDED
    } else {
        return Ok(());
    };
    Err(found(code, Some(anchor), chain))
}

fn found(code: i32, blamed: Option<&X509Ref>, chain: &StackRef<X509>) -> (ChainFailure, Alert) {
    // SAFETY: a table of texts.
    let message = unsafe { X509VerifyError::from_raw(code) }.map_or_else(|error| error.to_string(), |()| String::new());
    let failure = ChainFailure {
        check: check_name(code),
        index: blamed.map_or(0, |blamed| place(blamed, chain)),
        subject: blamed.map_or_else(String::new, subject),
        message,
    };
    // SAFETY: a pure function of a number.
    let alert = unsafe { sys::SSL_alert_from_verify_result(c_long::from(code)) };
    let alert = u8::try_from(alert).ok().and_then(Alert::new);
    (failure, alert.unwrap_or(Alert::BAD_CERTIFICATE))
}

/// BoringSSL may go another way up than the peer's: what counts is where the peer put the certificate.
fn place(blamed: &X509Ref, chain: &StackRef<X509>) -> usize {
    let wanted = blamed.to_der().ok();
    chain
        .iter()
        .position(|certificate| certificate.to_der().ok() == wanted)
        .unwrap_or(chain.len())
}

fn subject(certificate: &X509Ref) -> String {
    let part = |entry: &boring::x509::X509NameEntryRef| {
        let key = entry.object().nid().short_name().unwrap_or("?").to_owned();
        let value = entry.data().as_utf8().map(|text| text.to_string()).unwrap_or_default();
        format!("{key}={value}")
    };
    let parts: Vec<_> = certificate.subject_name().entries().map(part).collect();
    parts.join(", ")
}

fn check_name(code: i32) -> &'static str {
    match code {
        sys::X509_V_ERR_CERT_SIGNATURE_FAILURE
        | sys::X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE
        | sys::X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY => "BadSignature",
        sys::X509_V_ERR_CERT_NOT_YET_VALID => "CertificateNotYetValid",
        sys::X509_V_ERR_CERT_HAS_EXPIRED => "CertificateExpired",
        sys::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        | sys::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | sys::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | sys::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        | sys::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        | sys::X509_V_ERR_CERT_UNTRUSTED => "Untrusted",
        sys::X509_V_ERR_CERT_CHAIN_TOO_LONG => "ChainTooLong",
        sys::X509_V_ERR_INVALID_CA | sys::X509_V_ERR_INVALID_NON_CA => "NotCa",
        sys::X509_V_ERR_PATH_LENGTH_EXCEEDED => "PathLengthExceeded",
        sys::X509_V_ERR_INVALID_PURPOSE
        | sys::X509_V_ERR_KEYUSAGE_NO_CERTSIGN
        | sys::X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE => "KeyUsage",
        sys::X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION => "UnknownCriticalExtension",
        sys::X509_V_ERR_PERMITTED_VIOLATION
        | sys::X509_V_ERR_EXCLUDED_VIOLATION
        | sys::X509_V_ERR_NAME_CONSTRAINTS_WITHOUT_SANS => "NameNotPermitted",
        sys::X509_V_ERR_HOSTNAME_MISMATCH | sys::X509_V_ERR_IP_ADDRESS_MISMATCH => "NameMismatch",
        _ => "ChainInvalid",
    }
}
