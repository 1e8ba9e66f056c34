//! The doors that packets come in through.

pub(crate) mod http;
#[cfg(target_os = "linux")]
mod kernel_drops;
pub(crate) mod tcp;
pub(crate) mod udp;

use std::net::SocketAddr;

use pintail_types::{Error, ErrorKind, Result};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A TCP socket that listens on `address`.
fn listen(address: SocketAddr) -> Result<tokio::net::TcpListener> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(socket.into())
    };
    open().map_err(|error| bind_error("tcp", address, &error))
}

/// Why a socket can't be bound, with the address that was asked for.
fn bind_error(protocol: &str, address: SocketAddr, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::AddrInUse => ErrorKind::Conflict,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, format!("can't listen on {protocol} {address}: {error}"))
}
