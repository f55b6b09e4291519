//! `UdpSocket`: a socket that an endpoint reads and writes by itself, in bursts.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::address::{self, Address};
use super::error::{Code, Error, Result, catch};
use super::number;
use crate::driver::{self, Driver};
use crate::udp::{BindOptions, Socket, interface_number};

/// How a flush ended.
#[napi]
pub enum Flushed {
    /// Nothing is left to be sent.
    Done = 0,
    /// As much was sent as one turn may: let others run, then go on.
    More = 1,
    /// The system takes no more: `takeLeftover`, and go on when that is sent.
    Blocked = 2,
    /// The socket is dead.
    Dead = 3,
}

impl From<driver::Flushed> for Flushed {
    fn from(flushed: driver::Flushed) -> Self {
        match flushed {
            driver::Flushed::Done => Flushed::Done,
            driver::Flushed::More => Flushed::More,
            driver::Flushed::Blocked => Flushed::Blocked,
            driver::Flushed::Dead => Flushed::Dead,
        }
    }
}

/// What a socket is bound to, and how.
#[napi(object)]
pub struct UdpSocketOptions {
    /// A literal address.
    pub host: String,
    /// 0 lets the system choose.
    pub port: f64,
    /// Lets others bind the same port.
    pub reuse_addr: bool,
    /// An IPv6 socket doesn't speak IPv4.
    pub ipv6_only: bool,
    /// Bytes of buffer to ask the system for; it may grant fewer.
    pub recv_buffer_size: f64,
    /// The same for sending.
    pub send_buffer_size: f64,
    /// Lets the kernel cut bursts into datagrams, where it can. Default true.
    pub segments: Option<bool>,
}

/// What a socket did so far.
#[napi(object)]
pub struct UdpSocketStats {
    /// Bytes of buffer the system granted, as it counts them.
    pub recv_buffer_size: f64,
    /// The same for sending.
    pub send_buffer_size: f64,
    /// Datagrams taken in, those included that were handed over.
    pub received: f64,
    /// Datagrams that the system took.
    pub sent: f64,
    /// Datagrams that the system refused: lost.
    pub failed: f64,
    /// How often the system took no more for now.
    pub blocked: f64,
    /// Whether the kernel cuts bursts into datagrams.
    pub segments: bool,
}

/// A datagram that waits until the socket takes it.
#[napi(object)]
pub struct LeftoverDatagram {
    /// Its bytes.
    pub data: Buffer,
    /// Where it goes to.
    pub host: String,
    /// Where it goes to.
    pub port: f64,
}

/// A bound UDP socket, Linux only. An endpoint receives from it and flushes to it; somebody else waits for it, by a second
/// descriptor, and closes that one. The port is free when both are closed.
#[napi]
pub struct UdpSocket {
    pub(super) driver: Option<Driver<Socket>>,
}

#[napi]
impl UdpSocket {
    /// Binds a socket. Throws `SocketFailed` where the system refuses, or has no such sockets.
    #[napi(factory)]
    pub fn bind(options: UdpSocketOptions) -> Result<Self> {
        let options = BindOptions {
            address: address::parse(&options.host, options.port)?,
            is_ipv6_only: options.ipv6_only,
            reuses_address: options.reuse_addr,
            receive_buffer: number::size("recvBufferSize", options.recv_buffer_size, number::ANY_U32)?,
            send_buffer: number::size("sendBufferSize", options.send_buffer_size, number::ANY_U32)?,
            segments: options.segments.unwrap_or(true),
        };
        let socket = catch(|| Socket::bind(&options).map_err(failed))?;
        Ok(Self {
            driver: Some(Driver::new(socket)),
        })
    }

    /// A second descriptor, for whoever waits for datagrams. Closed by `close`, until `handOver`.
    #[napi]
    pub fn share(&mut self) -> Result<i32> {
        self.open()?.wire_mut().share().map_err(failed)
    }

    /// Says that the second descriptor has an owner, who will close it.
    #[napi]
    pub fn hand_over(&mut self) -> Result<()> {
        self.open()?.wire_mut().hand_over();
        Ok(())
    }

    /// Sets whether others may bind the same port.
    #[napi]
    pub fn set_reuse_addr(&mut self, reuse_addr: bool) -> Result<()> {
        self.open()?.wire().set_reuses_address(reuse_addr).map_err(failed)
    }

    /// Where it is bound.
    #[napi]
    pub fn address(&mut self) -> Result<Address> {
        self.open()?.wire().local_address().map(Address::from).map_err(failed)
    }

    /// What it did so far.
    #[napi]
    pub fn stats(&mut self) -> Result<UdpSocketStats> {
        let driver = self.open()?;
        let (receive, send) = driver.wire().buffer_sizes().map_err(failed)?;
        Ok(UdpSocketStats {
            recv_buffer_size: receive as f64,
            send_buffer_size: send as f64,
            received: driver.stats.received as f64,
            sent: driver.stats.sent as f64,
            failed: driver.stats.failed as f64,
            blocked: driver.stats.blocked as f64,
            segments: driver.wire().segments(),
        })
    }

    /// Keeps a datagram that somebody else has read from the socket, for the next `receiveFrom`. With the first one of a
    /// turn, takes what stands behind it in the socket. `host` may name its scope as the system does: `fe80::1%eth0`.
    #[napi]
    pub fn hand(&mut self, data: &[u8], host: String, port: f64) -> Result<()> {
        let from = address::parse(&with_numeric_scope(host), port)?;
        let driver = self.open()?;
        catch(|| -> Result<()> {
            driver.hand(data, from);
            Ok(())
        })
    }

    /// After a blocked flush, takes the first datagram out, or null, for somebody who can wait until the socket takes it.
    #[napi]
    pub fn take_leftover(&mut self) -> Result<Option<LeftoverDatagram>> {
        let Some((data, to)) = self.open()?.take_leftover() else {
            return Ok(None);
        };
        let Address { host, port } = to.into();
        Ok(Some(LeftoverDatagram {
            data: data.into(),
            host,
            port,
        }))
    }

    /// Closes our descriptor, and the second one if nobody has it. What isn't sent is dropped.
    #[napi]
    pub fn close(&mut self) {
        self.driver = None;
    }

    pub(super) fn open(&mut self) -> Result<&mut Driver<Socket>> {
        let closed = || Error::new(SOCKET_FAILED, "the socket is closed".to_owned());
        self.driver.as_mut().ok_or_else(closed)
    }
}

const SOCKET_FAILED: Code = Code::new("SocketFailed");

fn with_numeric_scope(host: String) -> String {
    let number = host
        .split_once('%')
        .and_then(|(ip, name)| Some((ip, interface_number(name)?)));
    match number {
        Some((ip, number)) => format!("{ip}%{number}"),
        None => host,
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(SOCKET_FAILED, format!("the system refuses: {error}"))
}
