//! The schema and the batches of a DoPut: any bytes are data or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: {
        // The reader of Arrow IPC panics at some data, and that is caught: only a panic that gets out counts.
        let _ = std::panic::take_hook();
    },
    |bytes: &[u8]| pintail_flight::foreign::decode_data(bytes)
);
