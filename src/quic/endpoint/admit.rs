//! Newcomers: version, token, limits, and then a connection.

use std::net::SocketAddr;
use std::time::Instant;

use super::limits::RetryPolicy;
use super::{Endpoint, guarded};
use crate::quic::connection::{Connection, RetryIds};
use crate::quic::error::{Error, Result};
use crate::quic::packet::ID_LENGTH;
use crate::quic::token::TokenKey;

/// CONNECTION_REFUSED and INVALID_TOKEN (RFC 9000 §20.1).
const CONNECTION_REFUSED: u8 = 0x2;
const INVALID_TOKEN: u8 = 0xb;
/// A client's first destination id has at least so many bytes (RFC 9000 §7.2).
const MIN_FIRST_ID: usize = 8;
/// Answers without a connection that wait to be sent; more are dropped: clients ask again.
const MAX_REPLIES: usize = 1024;

/// What the token of an Initial says.
enum Token {
    /// There is none.
    Absent,
    /// The client has proved its address; this was its first destination id.
    Proved(Vec<u8>),
    Refused,
}

impl Endpoint {
    /// A datagram of QUIC v1 for no connection of ours, long enough for an Initial.
    pub(super) fn newcomer(&mut self, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        let header = quiche::Header::from_slice(datagram, ID_LENGTH);
        let Ok(header) = header else {
            return self.stray(datagram, from);
        };
        if header.ty != quiche::Type::Initial || self.server.is_none() {
            return self.stray(datagram, from);
        }
        let token = check_token(&self.tokens, &header, from, self.epoch.unix_at(now));
        match token {
            Token::Absent if header.dcid.len() < MIN_FIRST_ID => self.stats.invalid += 1,
            Token::Absent if self.wants_proof() => self.send_retry(&header, from, now),
            Token::Refused => {
                self.stats.invalid_tokens += 1;
                self.refuse(&header, from, INVALID_TOKEN);
            }
            _ if self.is_full(from, now) => self.refuse(&header, from, CONNECTION_REFUSED),
            Token::Absent => self.accept(header, None, datagram, from, now),
            Token::Proved(original) => self.accept(header, Some(original), datagram, from, now),
        }
    }

    /// RFC 9000 §6: tells a client of another version which one we speak.
    pub(super) fn negotiate_version(&mut self, datagram: &mut [u8], from: SocketAddr) {
        let header = quiche::Header::from_slice(datagram, ID_LENGTH);
        let Ok(header) = header else {
            return self.stray(datagram, from);
        };
        if self.server.is_none() {
            return self.stray(datagram, from);
        }
        let mut reply = vec![0; 7 + header.scid.len() + header.dcid.len() + 64];
        if let Ok(length) = quiche::negotiate_version(&header.scid, &header.dcid, &mut reply) {
            reply.truncate(length);
            self.reply(reply, from);
            self.stats.version_negotiations += 1;
        }
    }

    /// Queues an answer that quiche has no part in; answers whether it goes out. None is larger than what it answers, but for
    /// a close that is said again.
    pub(super) fn reply(&mut self, packet: Vec<u8>, to: SocketAddr) -> bool {
        let has_room = self.replies.len() < MAX_REPLIES;
        if has_room {
            self.replies.push_back((packet, to));
        }
        has_room
    }

    fn wants_proof(&self) -> bool {
        match self.retry {
            RetryPolicy::Always => true,
            RetryPolicy::Never => false,
            RetryPolicy::Adaptive(threshold) => self.half_open >= threshold,
        }
    }

    fn send_retry(&mut self, header: &quiche::Header, from: SocketAddr, now: Instant) {
        let mut packet = vec![0; 256];
        let written = self.ids.mint_retry_id().and_then(|id| {
            let token = self.tokens.mint(from, &header.dcid, self.epoch.unix_at(now))?;
            Ok(quiche::retry(
                &header.scid,
                &header.dcid,
                &id,
                &token,
                header.version,
                &mut packet,
            )?)
        });
        if let Ok(length) = written {
            packet.truncate(length);
            self.reply(packet, from);
            self.stats.retries += 1;
        }
    }

    /// Whether a limit keeps a newcomer out; counts which.
    fn is_full(&mut self, from: SocketAddr, now: Instant) -> bool {
        let connections = self.len();
        let stats = &mut self.stats;
        let counter = if connections >= self.limits.connections {
            &mut stats.refused_connections
        } else if self.per_address.count(from.ip()) >= self.limits.connections_per_address {
            &mut stats.refused_address
        } else if self.half_open >= self.limits.half_open {
            &mut stats.refused_half_open
        } else if !self.accepts.take(now) {
            &mut stats.refused_rate
        } else {
            return false;
        };
        *counter += 1;
        stats.refused += 1;
        true
    }

    fn refuse(&mut self, header: &quiche::Header, from: SocketAddr, code: u8) {
        if let Some(packet) = super::refusal::refusal(&header.dcid, &header.scid, code) {
            self.reply(packet, from);
        }
    }

    fn accept(
        &mut self,
        header: quiche::Header,
        original: Option<Vec<u8>>,
        datagram: &mut [u8],
        from: SocketAddr,
        now: Instant,
    ) {
        match self.try_accept(&header, original, from, now) {
            Ok(key) => {
                self.owes_answer = true;
                self.deliver_first(key, datagram, from, now);
            }
            Err(_) => self.stats.invalid += 1,
        }
    }

    fn try_accept(
        &mut self,
        header: &quiche::Header,
        original: Option<Vec<u8>>,
        from: SocketAddr,
        now: Instant,
    ) -> Result<usize> {
        let (Some(local), Some(config)) = (self.local, self.server.clone()) else {
            return Err(Error::NotBound);
        };
        let config = &mut *config.borrow_mut();
        let scid = self.ids.mint()?;
        config
            .quiche
            .set_stateless_reset_token(Some(self.ids.reset_token(&scid)));
        let retry = original.map(|original| RetryIds {
            original_destination: quiche::ConnectionId::from_vec(original),
            retry_source: header.dcid.clone(),
        });
        let mut accepted = Connection::accept(config, &scid, retry.as_ref(), local, from);
        if retry.is_some() && matches!(accepted, Err(Error::Quiche(quiche::Error::BufferTooShort))) {
            // quiche has 128 bytes for the transport parameters: after a Retry, with windows over 1 GiB, the reset
            // token is what can be done without.
            config.quiche.set_stateless_reset_token(None);
            accepted = Connection::accept(config, &scid, retry.as_ref(), local, from);
        }
        let connection = accepted?;
        let key = self.adopt(connection, config, Some(from.ip()), now);
        self.add_route(key, scid);
        // Until the client has our answer it uses the id that it chose, or that our Retry gave it.
        self.add_route(key, header.dcid.clone().into_owned());
        Ok(key)
    }

    /// The first datagram of a newcomer; a connection that it doesn't bring to life is not kept.
    fn deliver_first(&mut self, key: usize, datagram: &mut [u8], from: SocketAddr, now: Instant) {
        self.deliver(key, datagram, from, now);
        let connection = &self.slots[key].connection;
        let came_alive = guarded(connection, |connection| Ok(connection.live()?.stats().recv > 0));
        if came_alive == Ok(true) {
            self.stats.accepted += 1;
        } else {
            self.let_go(key);
            self.slots.remove(key);
            self.stats.invalid += 1;
        }
    }
}

fn check_token(tokens: &TokenKey, header: &quiche::Header, from: SocketAddr, unix: std::time::Duration) -> Token {
    match header.token.as_deref() {
        None | Some([]) => Token::Absent,
        Some(token) => tokens.check(token, from, unix).map_or(Token::Refused, Token::Proved),
    }
}
