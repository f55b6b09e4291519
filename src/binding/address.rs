//! Addresses as JavaScript has them: a literal host and a port.

use std::net::{IpAddr, SocketAddr};

use napi_derive::napi;

use super::error::{Result, invalid_argument};
use super::number;

/// An IP address with a UDP port.
#[napi(object)]
#[derive(Debug, Clone)]
pub struct Address {
    /// A literal IPv4 or IPv6 address, IPv6 without brackets, link-local ones with a numeric scope: `fe80::1%2`. IPv4 in
    /// its IPv6-mapped form is taken, and shown as IPv4.
    pub host: String,
    /// 0 to 65535.
    pub port: f64,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            other => other.ip().to_canonical().to_string(),
        };
        Self {
            host,
            port: address.port().into(),
        }
    }
}

impl TryFrom<&Address> for SocketAddr {
    type Error = super::error::Error;

    fn try_from(address: &Address) -> Result<Self> {
        parse(&address.host, address.port)
    }
}

/// The address for a literal host and a port.
pub fn parse(host: &str, port: f64) -> Result<SocketAddr> {
    let port = number::port("port", port)?;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip.to_canonical(), port));
    }
    // The standard library knows scope ids only in this form.
    if host.contains('%')
        && let Ok(address) = format!("[{host}]:{port}").parse()
    {
        return Ok(address);
    }
    Err(invalid_argument(
        "host",
        &format!("{host:?} is no literal IP address: resolve names first"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::error::Code;

    #[test]
    fn literal_addresses_come_back_as_they_went() {
        for host in ["127.0.0.1", "::1", "2001:db8::2", "fe80::1%3"] {
            let address = parse(host, 4433.0).expect("a literal address");
            let back = Address::from(address);
            assert_eq!((back.host.as_str(), back.port), (host, 4433.0));
        }
        assert_eq!(
            Address::from(parse("::ffff:10.0.0.1", 1.0).expect("literal")).host,
            "10.0.0.1"
        );
    }

    #[test]
    fn names_and_rubbish_are_refused() {
        for host in ["localhost", "", "1.2.3", "[::1]", "::1%", "fe80::1%eth0", "1.2.3.4%1"] {
            assert_eq!(parse(host, 1.0).expect_err(host).status, Code::INVALID_ARGUMENT);
        }
        assert_eq!(parse("::1", -1.0).expect_err("negative").status, Code::OUT_OF_RANGE);
    }
}
