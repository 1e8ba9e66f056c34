//! The HTTP doors over real sockets, with a real engine over a lake in a temporary directory.

mod metrics;
mod node_api;
mod server;
