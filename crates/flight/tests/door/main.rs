//! The Flight door over real sockets, with a real engine over a lake in a temporary directory.

mod browse;
mod connect;
mod query;
mod server;
