//! Packets in through real sockets, rows out of a real lake.

mod accounting;
mod http;
mod limits;
mod replay;
mod rows;
mod site;
mod tcp;
mod transports;
