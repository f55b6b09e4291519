//! Punches and questions: bare datagrams of ours.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::Endpoint;
use crate::binding::address::{self, Address};
use crate::binding::clock::now;
use crate::binding::error::{Result, invalid_argument};
use crate::quic::endpoint::probes;
use crate::quic::probe::{NONCE_LENGTH, Nonce, Probe, Said};

/// What was heard outside of connections.
#[napi(string_enum)]
pub enum HeardKind {
    /// A punch, which has been answered.
    Punch,
    /// The answer to a punch of ours.
    PunchAnswer,
    /// The answer to a question of ours.
    ObserveAnswer,
    /// Any datagram from a watched address.
    Anything,
}

/// Something that was heard, and that somebody waits for.
#[napi(object, object_from_js = false)]
pub struct Heard {
    /// What it was.
    pub kind: HeardKind,
    /// Its nonce, unless it was just anything.
    pub nonce: Option<Buffer>,
    /// The sender's literal address.
    pub host: String,
    /// The sender's port.
    pub port: f64,
    /// In an answer: the address from which the sender sees us.
    pub observed: Option<Address>,
}

#[napi]
impl Endpoint {
    /// Whether to answer those who ask from which address they are seen. Default no.
    #[napi]
    pub fn set_answers_questions(&mut self, answers: bool) {
        self.inner.borrow_mut().answer_questions(answers);
    }

    /// Tells of answers with this nonce (16 bytes) from now on, of all punches while any nonce is expected, and of punches
    /// with this one that came in the last 30 seconds. Answers whether it is a new one.
    #[napi]
    pub fn expect_probe(&mut self, nonce: &[u8]) -> Result<bool> {
        Ok(self.inner.borrow_mut().expect_probe(parse(nonce)?, now()))
    }

    /// The opposite.
    #[napi]
    pub fn forget_probe(&mut self, nonce: &[u8]) -> Result<()> {
        self.inner.borrow_mut().forget_probe(&parse(nonce)?);
        Ok(())
    }

    /// Tells once of a datagram from this address, whatever it is.
    #[napi]
    pub fn watch(&mut self, host: String, port: f64) -> Result<()> {
        self.inner.borrow_mut().watch(address::parse(&host, port)?);
        Ok(())
    }

    /// The opposite.
    #[napi]
    pub fn unwatch(&mut self, host: String, port: f64) -> Result<()> {
        self.inner.borrow_mut().unwatch(address::parse(&host, port)?);
        Ok(())
    }

    /// Sends a punch with the next batch.
    #[napi]
    pub fn send_punch(&mut self, nonce: &[u8], host: String, port: f64) -> Result<()> {
        self.send_probe(Said::Punch, nonce, &host, port)
    }

    /// Asks from which address we are seen, with the next batch.
    #[napi]
    pub fn send_question(&mut self, nonce: &[u8], host: String, port: f64) -> Result<()> {
        self.send_probe(Said::Observe, nonce, &host, port)
    }

    /// The next thing that was heard, or null.
    #[napi]
    pub fn take_heard(&mut self) -> Option<Heard> {
        let (heard, from) = self.inner.borrow_mut().take_heard()?;
        let (kind, nonce, observed) = match heard {
            probes::Heard::Anything => (HeardKind::Anything, None, None),
            probes::Heard::Probe(Probe { said, nonce }) => {
                let (kind, observed) = match said {
                    Said::PunchAnswer(observed) => (HeardKind::PunchAnswer, Some(observed)),
                    Said::ObserveAnswer(observed) => (HeardKind::ObserveAnswer, Some(observed)),
                    Said::Punch | Said::Observe => (HeardKind::Punch, None),
                };
                (kind, Some(nonce.to_vec().into()), observed)
            }
        };
        let Address { host, port } = from.into();
        Some(Heard {
            kind,
            nonce,
            host,
            port,
            observed: observed.map(Address::from),
        })
    }
}

impl Endpoint {
    fn send_probe(&mut self, said: Said, nonce: &[u8], host: &str, port: f64) -> Result<()> {
        let nonce = parse(nonce)?;
        self.inner
            .borrow_mut()
            .send_probe(Probe { said, nonce }, address::parse(host, port)?);
        Ok(())
    }
}

fn parse(nonce: &[u8]) -> Result<Nonce> {
    nonce
        .try_into()
        .map_err(|_| invalid_argument("nonce", &format!("has {} bytes instead of {NONCE_LENGTH}", nonce.len())))
}
