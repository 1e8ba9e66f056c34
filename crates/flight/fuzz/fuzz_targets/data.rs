//! The schema and the batches of a DoPut: any bytes are data or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pintail_flight::foreign::decode_data(bytes));
