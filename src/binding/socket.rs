//! `UdpSocket`: a socket that an endpoint reads and writes by itself, in bursts.

use napi::Env;
use napi::bindgen_prelude::{Function, Unknown};
use napi_derive::napi;

use super::address::{self, Address};
use super::error::{Code, Error, Result, catch};
use super::number;
use super::poll::{self, Poll};
use crate::driver::{self, Driver};
use crate::udp::{BindOptions, Socket, interface_number};

/// How a flush ended.
#[napi]
pub enum Flushed {
    /// Nothing is left to be sent.
    Done = 0,
    /// As much was sent as one turn may: let others run, then go on.
    More = 1,
    /// The system takes no more: `awaitRoom(true)`, and go on then.
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
    /// Lets the kernel cut bursts into datagrams and merge those that come, where it can. Default true.
    pub offload: Option<bool>,
}

/// What a socket did so far.
#[napi(object)]
pub struct UdpSocketStats {
    /// Bytes of buffer the system granted, as it counts them.
    pub recv_buffer_size: f64,
    /// The same for sending.
    pub send_buffer_size: f64,
    /// Datagrams taken in.
    pub received: f64,
    /// Datagrams that the system took.
    pub sent: f64,
    /// Datagrams that the system refused: lost.
    pub failed: f64,
    /// How often the system took no more for now.
    pub blocked: f64,
    /// Whether the kernel cuts bursts into datagrams.
    pub segments: bool,
    /// Whether it merges those that come one after the other.
    pub merges: bool,
}

/// A bound UDP socket, Linux only. An endpoint receives from it and flushes to it. The event loop waits for it.
#[napi]
pub struct UdpSocket {
    /// First to be dropped: it waits for the descriptor.
    poll: Option<Poll>,
    driver: Option<Driver<Socket>>,
}

#[napi]
impl UdpSocket {
    /// Binds a socket. Throws `SocketFailed` where the system refuses, or has no such sockets, or the runtime's event loop
    /// isn't libuv's.
    #[napi(factory)]
    pub fn bind(options: UdpSocketOptions) -> Result<Self> {
        if !poll::is_supported() {
            return Err(failed(std::io::ErrorKind::Unsupported.into()));
        }
        let options = BindOptions {
            address: address::parse(&options.host, options.port)?,
            is_ipv6_only: options.ipv6_only,
            reuses_address: options.reuse_addr,
            receive_buffer: number::size("recvBufferSize", options.recv_buffer_size, number::ANY_U32)?,
            send_buffer: number::size("sendBufferSize", options.send_buffer_size, number::ANY_U32)?,
            offload: options.offload.unwrap_or(true),
        };
        let socket = catch(|| Socket::bind(&options).map_err(failed))?;
        Ok(Self {
            poll: None,
            driver: Some(Driver::new(socket)),
        })
    }

    /// Begins to wait for the socket: `ready` is called in each turn of the event loop in which something is there to be
    /// received, or the room that `awaitRoom` asked for. Keeps the process alive, unless `setReferenced` says otherwise.
    #[napi(ts_args_type = "ready: () => void")]
    pub fn watch(&mut self, env: Env, ready: Function<(), Unknown<'static>>) -> Result<()> {
        let descriptor = self.open()?.wire().descriptor();
        self.poll = Some(Poll::new(env, descriptor, &ready).map_err(failed)?);
        Ok(())
    }

    /// Whether `ready` is to be called as well when the socket takes datagrams again.
    #[napi]
    pub fn await_room(&self, for_room: bool) -> Result<()> {
        let poll = self.poll.as_ref();
        poll.map_or(Ok(()), |poll| poll.set_for_room(for_room)).map_err(failed)
    }

    /// Whether a watched socket keeps the process alive.
    #[napi]
    pub fn set_referenced(&self, is_referenced: bool) {
        if let Some(poll) = &self.poll {
            poll.set_referenced(is_referenced);
        }
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
        let (receive, send) = driver.wire().buffer_sizes();
        Ok(UdpSocketStats {
            recv_buffer_size: receive as f64,
            send_buffer_size: send as f64,
            received: driver.stats.received as f64,
            sent: driver.stats.sent as f64,
            failed: driver.stats.failed as f64,
            blocked: driver.stats.blocked as f64,
            segments: driver.wire().segments(),
            merges: driver.wire().merges(),
        })
    }

    /// Sends one datagram as it is. `host` may name its scope as the system does: `fe80::1%eth0`. Answers 0 if the system
    /// took it, its error number if it refused, and -1 if the datagram is kept until it takes it: `awaitRoom(true)`, and flush.
    #[napi]
    pub fn send(&mut self, data: &[u8], host: String, port: f64) -> Result<i32> {
        let to = address::parse(&with_numeric_scope(host), port)?;
        let driver = self.open()?;
        catch(|| match driver.send_raw(data, to) {
            Ok(true) => Ok(0),
            Ok(false) => Ok(-1),
            Err(error) => error.raw_os_error().ok_or_else(|| failed(error)),
        })
    }

    /// Closes it. What isn't sent is dropped, and `ready` is called no more.
    #[napi]
    pub fn close(&mut self) {
        self.poll = None;
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
