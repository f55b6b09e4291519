//! What a handshake told, noted when it was over: it can be asked for at any time, also when the connection is gone.

use super::connection::Connection;
use super::error::Result;

/// What a handshake told, complete or so far that early data can flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Our connection id, as it was then.
    pub source_id: Vec<u8>,
    /// The peer's connection id, as it was then.
    pub destination_id: Vec<u8>,
    /// The peer's certificates, DER, leaf first; `None` if it showed none.
    pub peer_cert_chain: Option<Vec<Vec<u8>>>,
    /// The cipher suite, by its name in the standard.
    pub cipher: Option<&'static str>,
    /// The group of the key exchange, by BoringSSL's name.
    pub group: Option<&'static str>,
    /// The application protocol.
    pub application_proto: Vec<u8>,
    /// The server's name that the client asked for.
    pub server_name: Option<String>,
    /// Whether the session of an earlier connection was resumed.
    pub is_resumed: bool,
}

impl Connection {
    /// What the handshake told; `None` before it is over. Driven by hand, only what was asked for in time can be asked for
    /// when the connection is gone.
    pub fn handshake(&mut self) -> Result<Option<&Handshake>> {
        if self.handshake.is_none() && self.live().is_ok_and(quiche::Connection::is_established) {
            self.note_handshake()?;
        }
        Ok(self.handshake.as_deref())
    }

    /// Notes what the handshake told.
    pub(super) fn note_handshake(&mut self) -> Result<()> {
        let (cipher, group) = (self.cipher()?, self.group()?);
        let quiche = self.live()?;
        let chain = quiche.peer_cert_chain();
        self.handshake = Some(Box::new(Handshake {
            source_id: quiche.source_id().to_vec(),
            destination_id: quiche.destination_id().to_vec(),
            peer_cert_chain: chain.map(|chain| chain.into_iter().map(<[u8]>::to_vec).collect()),
            cipher,
            group,
            application_proto: quiche.application_proto().to_vec(),
            server_name: quiche.server_name().map(str::to_owned),
            is_resumed: quiche.is_resumed(),
        }));
        Ok(())
    }
}
