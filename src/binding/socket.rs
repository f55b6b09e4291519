//! `UdpSocket`: a socket that an endpoint reads and writes by itself, in bursts.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{Float64Array, Function, Unknown};
use napi_derive::napi;

use super::address::{self, Address};
use super::callback::Callback;
use super::endpoint::Endpoint;
use super::error::{Code, Error, Result, catch};
use super::event_loop::{self, Watch, interface_number};
use super::number;
use super::turns::{SharedDriver, Turns};
use super::wire::Wire;
use crate::driver::Driver;
use crate::udp::BindOptions;

/// Who moves the datagrams of a socket.
#[napi(string_enum)]
#[derive(Debug, PartialEq, Eq)]
pub enum UdpSocketKind {
    /// We do, by its descriptor, in bursts: Linux only.
    Descriptor,
    /// libuv does: all systems.
    Libuv,
}

/// What a socket is bound to, and how.
#[napi(object)]
pub struct UdpSocketOptions {
    /// Who moves its datagrams.
    pub kind: UdpSocketKind,
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
    /// Lets the kernel cut bursts into datagrams and merge those that come, where it can: of a `Descriptor`. Default true.
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
    /// How often what came was let gather for a millisecond, as so much came: by `Libuv`, but not on Windows.
    pub paused: f64,
    /// Whether the kernel cuts bursts into datagrams.
    pub segments: bool,
    /// Whether it merges those that come one after the other.
    pub merges: bool,
}

/// A bound UDP socket. It runs the turns of an endpoint, on the event loop.
#[napi]
pub struct UdpSocket {
    /// First to be dropped: it waits for the socket.
    turns: Option<Watch<Turns>>,
    driver: SharedDriver,
}

#[napi]
impl UdpSocket {
    /// Binds a socket. Throws `SocketFailed` where the system refuses, or has no such sockets, or the runtime's event loop
    /// isn't libuv's. Not to be called where libuv's functions are there to end the process (Bun).
    #[napi(factory)]
    pub fn bind(env: Env, options: UdpSocketOptions) -> Result<Self> {
        if !event_loop::is_supported() {
            return Err(failed(io::ErrorKind::Unsupported.into()));
        }
        let kind = options.kind;
        let options = BindOptions {
            address: address::parse(&options.host, options.port)?,
            is_ipv6_only: options.ipv6_only,
            reuses_address: options.reuse_addr,
            receive_buffer: number::size("recvBufferSize", options.recv_buffer_size, number::ANY_U32)?,
            send_buffer: number::size("sendBufferSize", options.send_buffer_size, number::ANY_U32)?,
            offload: options.offload.unwrap_or(true),
        };
        let wire = catch(|| Wire::bind(env, kind, &options).map_err(failed))?;
        Ok(Self {
            turns: None,
            driver: Rc::new(RefCell::new(Some(Driver::new(wire)))),
        })
    }

    /// Runs the turns of an endpoint from now on: takes in what comes and wakes connections whose time has come, tells what
    /// changed, sends what wants to be sent when all that reacts has run, again and again until nothing more has changed.
    ///
    /// `tell` is called with the number of records (see `ChangeKind`) in `changes`, an array of your own; if it is full,
    /// more are told of in the same turn. A text beside it is the end of the socket: close it. Keeps the process alive,
    /// unless `setReferenced` says otherwise; where nothing else does, what is written last wants a `flush`.
    #[napi(
        ts_args_type = "endpoint: Endpoint, changes: Float64Array, tell: (count: number, death: string | null) => void"
    )]
    pub fn drive(
        &mut self,
        env: Env,
        endpoint: &Endpoint,
        changes: Float64Array,
        tell: Function<(), Unknown<'static>>,
    ) -> Result<()> {
        let callback = Callback::new(env, &tell).ok_or_else(|| failed(io::ErrorKind::Unsupported.into()))?;
        let turns = Turns::new(endpoint.inner.clone(), self.driver.clone(), changes, callback);
        self.turns = Some(self.with(|driver| Watch::new(env, &driver.wire().source(), turns).map_err(failed))?);
        Ok(())
    }

    /// Sends what the endpoint wants to send now, as much as one turn may.
    #[napi]
    pub fn flush(&self) -> Result<()> {
        self.turns
            .as_ref()
            .map_or(Ok(()), |turns| turns.listener().flush(turns.hooks()))
    }

    /// Whether `tell` is to be called with 0, too, at the end of each turn, and of one that comes soon.
    #[napi]
    pub fn set_watched(&self, is_watched: bool) {
        if let Some(turns) = &self.turns {
            turns.listener().set_watched(is_watched);
        }
    }

    /// Whether a driven socket keeps the process alive.
    #[napi]
    pub fn set_referenced(&self, is_referenced: bool) {
        if let Some(turns) = &self.turns {
            turns.hooks().set_referenced(is_referenced);
        }
    }

    /// Where it is bound.
    #[napi]
    pub fn address(&self) -> Result<Address> {
        self.with(|driver| driver.wire().local_address().map(Address::from).map_err(failed))
    }

    /// What it did so far.
    #[napi]
    pub fn stats(&self) -> Result<UdpSocketStats> {
        self.with(|driver| {
            let (receive, send) = driver.wire().buffer_sizes();
            Ok(UdpSocketStats {
                recv_buffer_size: receive as f64,
                send_buffer_size: send as f64,
                received: driver.stats.received as f64,
                sent: driver.stats.sent as f64,
                failed: driver.stats.failed as f64,
                blocked: driver.stats.blocked as f64,
                paused: driver.wire().pauses() as f64,
                segments: driver.wire().segments(),
                merges: driver.wire().merges(),
            })
        })
    }

    /// Sends one datagram as it is, as soon as the system takes it. `host` may name its scope as the system does:
    /// `fe80::1%eth0`. Answers 0, or the system's error number if it refused.
    #[napi]
    pub fn send(&self, data: &[u8], host: String, port: f64) -> Result<i32> {
        let to = address::parse(&with_numeric_scope(host), port)?;
        let outcome = self.with(|driver| match driver.send_raw(data, to) {
            Ok(()) => Ok(0),
            Err(error) => error.raw_os_error().ok_or_else(|| failed(error)),
        });
        if let Some(turns) = &self.turns {
            turns.listener().await_room(turns.hooks());
        }
        outcome
    }

    /// Closes it. What isn't sent is dropped, and nothing is told any more.
    #[napi]
    pub fn close(&mut self) {
        self.turns = None;
        self.driver.borrow_mut().take();
    }

    fn with<T>(&self, run: impl FnOnce(&mut Driver<Wire>) -> Result<T>) -> Result<T> {
        let closed = || Error::new(SOCKET_FAILED, "the socket is closed".to_owned());
        let mut driver = self.driver.borrow_mut();
        let driver = driver.as_mut().ok_or_else(closed)?;
        catch(|| run(driver))
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

fn failed(error: io::Error) -> Error {
    Error::new(SOCKET_FAILED, format!("the system refuses: {error}"))
}
