//! The allocator, and how long it keeps memory that is free.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3: after how many milliseconds free memory goes back to the system. The
/// binding has no name for it.
const PURGE_DELAY: mi_option_t = 15;

/// Rows fill some hundred megabytes and leave them again with every flush. Memory that goes back to the system in
/// between comes again zeroed, page by page, which was a tenth of all the work for a packet. What is kept is never
/// more than what was in use within this time.
const PURGE_DELAY_MILLISECONDS: std::ffi::c_long = 10_000;

/// Makes the allocator keep free memory until the next flush may need it. `MIMALLOC_PURGE_DELAY` in the environment
/// goes before.
pub(crate) fn keep_free_memory_for_a_while() {
    #[allow(
        unsafe_code,
        reason = "it stores a number in a table of the allocator, which may be done at any time"
    )]
    // SAFETY: the option exists, any number is a delay, and mimalloc lets options be set from any thread.
    unsafe {
        mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MILLISECONDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        #[allow(unsafe_code, reason = "it reads the same number")]
        // SAFETY: as above.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "mimalloc's own delay");
        keep_free_memory_for_a_while();
        assert_eq!(delay(), PURGE_DELAY_MILLISECONDS);
    }
}
