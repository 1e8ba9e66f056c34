//! A stream is framed the same in whatever pieces it arrives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pintail_hep::framing::{Frame, next_frame};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    loop {
        let whole = next_frame(rest);
        for cut in 0..rest.len().min(8) {
            match next_frame(&rest[..cut]) {
                Frame::Complete(length) => assert_eq!(whole, Frame::Complete(length)),
                Frame::Incomplete { need } => assert!(need > cut),
                Frame::NotHep => assert_eq!(whole, Frame::NotHep),
            }
        }
        match whole {
            Frame::Complete(length) => rest = &rest[length..],
            Frame::Incomplete { need } => return assert!(need > rest.len()),
            Frame::NotHep => return,
        }
    }
});
