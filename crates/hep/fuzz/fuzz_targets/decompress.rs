//! No stream passes the limit, and a refused one leaves nothing behind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pintail_hep::decompress;

const LIMIT: usize = 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let mut out = b"kept".to_vec();
    match decompress(bytes, LIMIT, &mut out) {
        Ok(()) => assert!(out.len() <= LIMIT + 4),
        Err(_) => assert_eq!(out.len(), 4),
    }
    assert_eq!(out[..4], *b"kept");
});
