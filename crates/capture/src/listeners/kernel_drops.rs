//! How many datagrams the kernel dropped because a socket's buffer was full.
//!
//! `SO_MEMINFO` is asked instead of `SO_RXQ_OVFL`: the latter is told with the next datagram that gets
//! through, and so never tells of the last drops of a burst.

use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::GetSockOpt as _;
use nix::sys::socket::sockopt::GetStruct;

/// The option's number (linux/include/uapi/asm-generic/socket.h, the same on x86-64 and arm64).
const SO_MEMINFO: libc::c_int = 55;
/// How many numbers the option gives (`SK_MEMINFO_VARS` in linux/include/uapi/linux/sock_diag.h).
const VARIABLES: usize = 9;
/// The place of the drops among them (`SK_MEMINFO_DROPS`).
const DROPS: usize = 8;

#[derive(Clone, Copy)]
struct MemInfo;

nix::getsockopt_impl!(MemInfo, libc::SOL_SOCKET, SO_MEMINFO, [u32; VARIABLES], GetStruct<[u32; VARIABLES]>);

/// The drops of one socket.
#[derive(Debug, Default)]
pub(super) struct KernelDrops {
    seen: u32,
}

impl KernelDrops {
    /// The drops since the last call; none where the kernel can't tell.
    pub(super) fn since_last(&mut self, socket: &impl AsFd) -> u64 {
        let Ok(info) = MemInfo.get(socket) else { return 0 };
        // The kernel's counter wraps around.
        let new = info[DROPS].wrapping_sub(self.seen);
        self.seen = info[DROPS];
        u64::from(new)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn drops_at_the_tail_are_seen_once() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&receiver).set_recv_buffer_size(1).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut drops = KernelDrops::default();
        assert_eq!(drops.since_last(&receiver), 0);
        for _ in 0..100 {
            sender.send_to(&[0; 1000], receiver.local_addr().unwrap()).unwrap();
        }
        receiver.set_nonblocking(true).unwrap();
        let mut received = 0;
        while receiver.recv(&mut [0; 2000]).is_ok() {
            received += 1;
        }
        assert_eq!(received + drops.since_last(&receiver), 100);
        assert!(received < 100);
        assert_eq!(drops.since_last(&receiver), 0);
    }
}
