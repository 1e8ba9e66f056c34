//! How capturing is set up; the defaults are Homer's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pintail_identity::tls::ServerTls;

use crate::auth::AuthKey;
use crate::time::TimeRules;

/// The port on which Homer listens for HEP over UDP and TCP.
const HEP_PORT: u16 = 9060;
/// The port on which Homer listens for HEP over HTTP.
const HTTP_PORT: u16 = 9080;

/// The most that [`HepOptions::max_decompressed_bytes`] may be: the payloads of one batch of packets, of which each
/// may be that long, must fit the 2 GiB of a text column also when they are written in base64.
pub const MAX_DECOMPRESSED_BYTES: usize = 16 << 20;

/// Which listeners there are, and what they do with what they receive.
#[derive(Debug, Clone, Default)]
pub struct CaptureOptions {
    /// HEP over UDP; `None` does not listen.
    pub udp: Option<UdpOptions>,
    /// HEP over TCP.
    pub tcp: Option<TcpOptions>,
    /// HEP over HTTP.
    pub http: Option<HttpOptions>,
    /// HEP over TCP and TLS, on a listener of its own.
    pub tls: Option<TcpOptions>,
    /// HEP over HTTPS, on a listener of its own.
    pub https: Option<HttpOptions>,
    /// Rules for the encapsulation.
    pub hep: HepOptions,
    /// Rules for SIP messages.
    pub sip: SipOptions,
    /// Rules for capture times.
    pub time: TimeRules,
    /// Sets of row builders that can be filled at the same time; 0 is one per core.
    pub shards: usize,
}

/// The UDP listener.
#[derive(Debug, Clone)]
pub struct UdpOptions {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Sockets on the same port, each with a thread of its own; 0 is one per core.
    pub sockets: usize,
    /// Bytes that the kernel is asked to hold for each socket; the machine's `rmem_max` caps it.
    pub receive_buffer: usize,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { address: everywhere(HEP_PORT), sockets: 0, receive_buffer: 8 << 20 }
    }
}

/// The TCP listener.
#[derive(Debug, Clone)]
pub struct TcpOptions {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// More connections at a time are refused.
    pub max_connections: usize,
    /// A connection that sends nothing for this long is closed.
    pub idle_timeout: Duration,
    /// Bytes of one connection that may be taken before the journal has synced them.
    pub read_ahead_bytes: usize,
    /// What it shows and asks for; without it, it speaks in clear.
    pub security: Option<Arc<ServerTls>>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            address: everywhere(HEP_PORT),
            max_connections: 1024,
            idle_timeout: Duration::from_secs(300),
            read_ahead_bytes: 4 << 20,
            security: None,
        }
    }
}

/// The HTTP listener.
#[derive(Clone)]
pub struct HttpOptions {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// The bearer token that posting asks for; `None` takes packets from everybody.
    pub auth_token: Option<String>,
    /// Longer bodies are answered with 413.
    pub max_body_bytes: usize,
    /// Bodies of all requests together; beyond it 503 is answered. At least `max_body_bytes` is allowed.
    pub max_buffered_bytes: usize,
    /// More connections at a time wait to be accepted.
    pub max_connections: usize,
    /// The longest time for the head of a request, for a whole body, and between two requests.
    pub read_timeout: Duration,
    /// The longest time for storing a body.
    pub write_timeout: Duration,
    /// What it shows and asks for; without it, it speaks in clear.
    pub security: Option<Arc<ServerTls>>,
}

/// Shows everything but the token.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("address", &self.address)
            .field("asks_for_token", &self.auth_token.is_some())
            .field("max_body_bytes", &self.max_body_bytes)
            .field("max_buffered_bytes", &self.max_buffered_bytes)
            .field("max_connections", &self.max_connections)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("security", &self.security)
            .finish()
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            address: everywhere(HTTP_PORT),
            auth_token: None,
            max_body_bytes: 64 << 20,
            max_buffered_bytes: 256 << 20,
            max_connections: 1024,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            security: None,
        }
    }
}

/// Rules for the encapsulation.
#[derive(Debug, Clone)]
pub struct HepOptions {
    /// Keys of which a packet must carry one; without any every packet is taken.
    pub auth_keys: Vec<AuthKey>,
    /// A packet with the payload and addresses of one received this long ago or less is refused; zero takes all.
    pub dedup_window: Duration,
    /// A compressed payload may grow to this; at most [`MAX_DECOMPRESSED_BYTES`].
    pub max_decompressed_bytes: usize,
    /// Whether chunks of foreign vendors are kept in `data_extra`.
    pub keep_vendor_chunks: bool,
    /// Whether versions 1 and 2 are taken.
    pub hepv2_enable: bool,
    /// Whether version 3 is taken.
    pub hepv3_enable: bool,
}

impl Default for HepOptions {
    fn default() -> Self {
        Self {
            auth_keys: Vec::new(),
            dedup_window: Duration::ZERO,
            max_decompressed_bytes: 1 << 20,
            keep_vendor_chunks: false,
            hepv2_enable: true,
            hepv3_enable: true,
        }
    }
}

/// Rules for SIP messages.
#[derive(Debug, Clone, Default)]
pub struct SipOptions {
    /// Messages of these CSeq methods are stored with a body of `x`.
    pub censored_methods: Vec<String>,
    /// Messages of these CSeq methods are not stored.
    pub discard_methods: Vec<String>,
    /// Headers that may carry the id of the other leg; the first one present becomes `cid`.
    pub aleg_ids: Vec<String>,
    /// Headers that are kept in `data_extra.custom_headers`.
    pub custom_headers: Vec<String>,
    /// Whether the header of `aleg_ids` wins over the correlation id that the agent sent.
    pub force_aleg_id: bool,
}

const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_printed() {
        let options = HttpOptions { auth_token: Some("hush".to_owned()), ..HttpOptions::default() };
        assert!(!format!("{options:?}").contains("hush"));
    }
}
