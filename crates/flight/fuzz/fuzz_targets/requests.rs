//! Tickets, handles, commands and the bodies of actions: any bytes are a value or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pintail_flight::foreign::decode(bytes));
