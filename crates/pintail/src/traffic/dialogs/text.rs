//! Short texts without allocation, and numbers written as text.

/// A text of at most `N` bytes, held in place. What does not fit is cut off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        const { assert!(N <= 255) };
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Text<N> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        let taken = bytes.len().min(N - start);
        self.bytes[start..start + taken].copy_from_slice(&bytes[..taken]);
        #[expect(clippy::cast_possible_truncation, reason = "N is at most 255")]
        let end = (start + taken) as u8;
        self.len = end;
    }

    pub(super) fn push_decimal(&mut self, number: u64) {
        let mut digits = [0; 20];
        self.push(decimal(number, &mut digits));
    }

    pub(super) fn push_hex(&mut self, number: u64) {
        self.push(&hex(number));
    }
}

/// `number` in decimal digits, in the end of `digits`.
pub(super) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

/// `number` as 16 hexadecimal digits.
pub(super) fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (index, digit) in text.iter_mut().enumerate() {
        *digit = DIGITS[(number >> (60 - 4 * index)) as usize & 15];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [0, 7, 10, 999, 1_000_000, u64::MAX] {
            let mut digits = [0; 20];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
            assert_eq!(hex(number), format!("{number:016x}").as_bytes());
        }
    }

    #[test]
    fn a_text_keeps_what_fits() {
        let mut text = Text::<4>::default();
        text.push(b"abc");
        text.push_decimal(1234);
        assert_eq!(text.as_bytes(), b"abc1");
    }
}
