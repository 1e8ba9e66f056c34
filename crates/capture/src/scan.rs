//! Looking at short texts eight bytes at a time.
//!
//! Names and values in messages are mostly shorter than what a search made for long texts is called for, and
//! these searches are inlined where they are used.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;
const WORD: usize = 8;

/// Marks the bytes of a word that are below `limit`, which is at most 128, by their highest bits.
///
/// A borrow can mark bytes above one that is rightly marked, so only the lowest mark counts.
#[inline(always)]
pub(crate) const fn marks_below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// As [`marks_below`], the bytes that are `byte`.
#[inline(always)]
pub(crate) const fn marks_of(word: u64, byte: u8) -> u64 {
    marks_below(word ^ (ONES * byte as u64), 1)
}

/// The index of the first of the `wanted` bytes; the length where there is none.
#[inline(always)]
pub(crate) fn find<const WANTED: usize>(bytes: &[u8], wanted: [u8; WANTED]) -> usize {
    find_marked(bytes, |word| wanted.iter().fold(0, |marks, byte| marks | marks_of(word, *byte)))
}

/// As [`find`], the first byte that `marks` marks in a little-endian word.
#[inline(always)]
pub(crate) fn find_marked(bytes: &[u8], marks: impl Fn(u64) -> u64) -> usize {
    let index_of = |marks: u64| marks.trailing_zeros() as usize / 8;
    let mut start = 0;
    while let Some(word) = bytes.get(start..start + WORD) {
        let found = marks(word_of(word));
        if found != 0 {
            return start + index_of(found);
        }
        start += WORD;
    }
    // The last word overlaps the one before, in which nothing was found.
    start = bytes.len().saturating_sub(WORD);
    (start + index_of(marks(word_of(&bytes[start..])))).min(bytes.len())
}

/// Up to eight bytes as a little-endian word, filled up with zeros; of a longer slice the first eight.
#[inline(always)]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk::<WORD>() {
        return u64::from_le_bytes(*word);
    }
    // Two parts that may overlap are read instead of single bytes.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        return u64::from(u32::from_le_bytes(*first)) | last << (8 * (bytes.len() - 4));
    }
    match *bytes {
        [a, b, c] => u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]),
        [a, b] => u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a] => u64::from(a),
        _ => 0,
    }
}

/// The word with its ASCII letters in lower case.
#[inline(always)]
pub(crate) const fn lower_case(word: u64) -> u64 {
    // Without their highest bits, bytes can be added to without a carry into the next one.
    let low = word & !HIGHS;
    let from_a = low + ONES * (0x80 - b'A') as u64;
    let behind_z = low + ONES * (0x80 - (b'Z' + 1)) as u64;
    word | (from_a & !behind_z & !word & HIGHS) >> 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// The same cases in every run, and no files left behind.
    fn cases() -> ProptestConfig {
        ProptestConfig {
            cases: 4_000,
            rng_seed: RngSeed::Fixed(0x5343),
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    /// Bytes at the edges of what is searched for, and of letters.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            proptest::sample::select(b"\0\x1f ;:\";<=@AZ[`az{\x7f\x80\xba\xbb\xff".to_vec()),
            0..40,
        )
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn searches_find_what_a_loop_finds(bytes in texts()) {
            let first = |is_it: &dyn Fn(u8) -> bool| {
                bytes.iter().position(|byte| is_it(*byte)).unwrap_or(bytes.len())
            };
            prop_assert_eq!(find(&bytes, [b':']), first(&|byte| byte == b':'));
            prop_assert_eq!(find(&bytes, [b';', b'"', b'@']), first(&|byte| b";\"@".contains(&byte)));
            prop_assert_eq!(find_marked(&bytes, |word| marks_below(word, 0x20)), first(&|byte| byte < 0x20));
            prop_assert_eq!(find_marked(&bytes, |word| marks_below(word, 0x80)), first(&|byte| byte < 0x80));
        }

        #[test]
        fn words_hold_their_bytes_in_lower_case(bytes in texts()) {
            let mut expected = [0; 8];
            for (expected, byte) in expected.iter_mut().zip(&bytes) {
                *expected = byte.to_ascii_lowercase();
            }
            prop_assert_eq!(lower_case(word_of(&bytes)).to_le_bytes(), expected);
        }
    }
}
