//! Any bytes are SIP messages that can be read in part at least, and none is lost.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The modules use nothing else of their crate; alone they are built in seconds.
#[allow(dead_code)]
#[path = "../../../capture/src/scan.rs"]
mod scan;
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../../../capture/src/sip/mod.rs"]
mod sip;

fuzz_target!(|bytes: &[u8]| {
    let wanted = sip::HeaderNames::new(["x-cid", "from"]);
    let mut taken = 0;
    for result in sip::messages(bytes, &wanted) {
        let message = result.unwrap_or_else(|error| *error.partial);
        assert!(message.body.len() <= message.len && message.len <= message.bytes.len());
        taken += message.bytes.len();
    }
    let line_ends = bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert!(taken <= bytes.len() && taken + line_ends >= bytes.len());
});
