//! For which group a client sends its key share (RFC 8446 §4.2.8).

use std::cell::Cell;
use std::rc::Rc;

use boring::ssl::SslRef;
use foreign_types_shared::ForeignTypeRef;

/// What the servers of one configuration were seen to take. BoringSSL offers two key shares, one that is secure against
/// quantum computers and one for servers that don't know it, and a server takes one: the other, X25519's, is 0.03 ms of CPU
/// for nothing. Where all servers so far took the same group, only its share is sent. All groups are still offered: a server
/// that wants another one asks for it (HelloRetryRequest), which takes a round trip more, once: nothing is predicted from
/// then on.
#[derive(Clone, Default)]
pub struct KeySharePrediction(Rc<Cell<Servers>>);

#[derive(Clone, Copy, Default)]
enum Servers {
    #[default]
    Unknown,
    Take(u16),
    Differ,
}

impl KeySharePrediction {
    /// To be called before a client's handshake begins.
    pub(super) fn apply(&self, ssl: &mut SslRef) {
        if let Servers::Take(group) = self.0.get() {
            // SAFETY: the pointers are valid for the call, which copies. It fails only without memory: both shares are sent then.
            unsafe { boring_sys::SSL_set1_server_supported_groups_hint(ssl.as_ptr(), &group, 1) };
        }
    }

    /// To be called when a client's handshake is complete.
    pub(super) fn learn(&self, ssl: &SslRef) {
        // SAFETY: the pointer is valid for the call.
        let group = unsafe { boring_sys::SSL_get_group_id(ssl.as_ptr()) };
        self.0.set(match self.0.get() {
            Servers::Unknown => Servers::Take(group),
            Servers::Take(before) if before == group => return,
            Servers::Take(_) | Servers::Differ => Servers::Differ,
        });
    }
}
