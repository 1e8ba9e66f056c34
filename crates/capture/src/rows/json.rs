//! Writing the JSON of `data_extra` straight into the column's buffer.

use std::fmt::Write as _;

use arrow::array::StringBuilder;

use crate::scan::{find_marked, marks_below, marks_of};

/// The key of a member that is not the first of its object, with its punctuation.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(crate) use key;

/// An object whose first member has been written, at the end of a column.
#[derive(Debug)]
pub(crate) struct Members<'b> {
    out: &'b mut StringBuilder,
}

impl<'b> Members<'b> {
    /// Begins a value with `first`: the opening brace and one whole member.
    pub(crate) fn begin(out: &'b mut StringBuilder, first: &str) -> Self {
        let mut members = Self { out };
        members.raw(first);
        members
    }

    /// Ends object and value.
    pub(crate) fn end(mut self) {
        self.raw("}");
        self.out.append_value("");
    }

    /// A member with a text.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.raw(key);
        self.quoted(value);
    }

    /// A member with a text, if there is one.
    pub(crate) fn optional_text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A member with a text that may not be UTF-8; what is not is replaced.
    pub(crate) fn optional_bytes(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.text(key, &String::from_utf8_lossy(value));
        }
    }

    /// A member with a number.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.raw(key);
        self.raw(Decimal::of(value).as_str());
    }

    /// A member with a number, if there is one.
    pub(crate) fn optional_number(&mut self, key: &str, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.number(key, value.into());
        }
    }

    /// A member with a number if the text is one as JSON writes it, else with the text.
    pub(crate) fn optional_integer(&mut self, key: &str, value: Option<&str>) {
        let Some(text) = value else { return };
        match text.parse::<u32>() {
            Ok(number) => self.number(key, u64::from(number)),
            Err(_) => self.text(key, text),
        }
    }

    /// A quoted and escaped text.
    pub(crate) fn quoted(&mut self, text: &str) {
        self.raw("\"");
        let mut rest = text;
        loop {
            let (plain, after) = rest.split_at(plain_bytes(rest));
            self.raw(plain);
            let Some(&byte) = after.as_bytes().first() else { break };
            self.escape(byte);
            rest = &after[1..];
        }
        self.raw("\"");
    }

    fn escape(&mut self, byte: u8) {
        const HEX: [&str; 16] =
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
        match byte {
            b'"' => self.raw("\\\""),
            b'\\' => self.raw("\\\\"),
            b'\n' => self.raw("\\n"),
            b'\r' => self.raw("\\r"),
            b'\t' => self.raw("\\t"),
            _ => {
                self.raw("\\u00");
                self.raw(HEX[usize::from(byte >> 4)]);
                self.raw(HEX[usize::from(byte & 15)]);
            }
        }
    }

    /// Text that is JSON already.
    pub(crate) fn raw(&mut self, text: &str) {
        // Writing into a column's buffer does not fail.
        let _ = self.out.write_str(text);
    }
}

/// How many bytes stand before the first quote, backslash or control character. All these are ASCII, so text
/// may be cut there.
fn plain_bytes(text: &str) -> usize {
    find_marked(text.as_bytes(), |word| {
        marks_below(word, 0x20) | marks_of(word, b'"') | marks_of(word, b'\\')
    })
}

/// Numbers as decimal text, without allocating.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    const EMPTY: Self = Self { digits: [b'0'; 20], start: 20 };

    pub(crate) fn of(number: u64) -> Self {
        let mut decimal = Self::EMPTY;
        decimal.prepend(number);
        decimal
    }

    /// Four numbers with dots between them, as IPv4 addresses are written.
    pub(crate) fn dotted(octets: [u8; 4]) -> Self {
        let mut decimal = Self::EMPTY;
        let [first, rest @ ..] = octets;
        for octet in rest.into_iter().rev() {
            decimal.prepend(u64::from(octet));
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'.';
        }
        decimal.prepend(u64::from(first));
        decimal
    }

    #[allow(clippy::cast_possible_truncation, reason = "a digit")]
    fn prepend(&mut self, number: u64) {
        let mut rest = number;
        loop {
            self.start -= 1;
            self.digits[self.start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return;
            }
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[self.start..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Members<'_>)) -> String {
        let mut column = StringBuilder::new();
        let mut members = Members::begin(&mut column, "{\"first\":1");
        write(&mut members);
        members.end();
        column.finish().value(0).to_owned()
    }

    #[test]
    fn members_follow_each_other() {
        let json = written(|members| {
            members.text(key!("a"), "x");
            members.optional_text(key!("absent"), None);
            members.optional_number(key!("b"), Some(7_u16));
            members.optional_bytes(key!("c"), Some(b"\xff\"ok"));
            members.optional_integer(key!("d"), Some("3600"));
            members.optional_integer(key!("e"), Some("-1"));
        });
        assert_eq!(
            json,
            "{\"first\":1,\"a\":\"x\",\"b\":7,\"c\":\"\u{fffd}\\\"ok\",\"d\":3600,\"e\":\"-1\"}"
        );
    }

    #[test]
    fn what_json_forbids_is_escaped() {
        let cases = [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("\"", r#""\"""#),
            ("a\\b", r#""a\\b""#),
            ("line\r\nnext\t", r#""line\r\nnext\t""#),
            ("\u{0}\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("long enough for words \" and more", r#""long enough for words \" and more""#),
            ("żółw 🐢 \"", "\"żółw 🐢 \\\"\""),
        ];
        for (text, expected) in cases {
            assert_eq!(
                written(|members| members.text(key!("k"), text)),
                format!("{{\"first\":1,\"k\":{expected}}}")
            );
        }
    }

    #[test]
    fn every_ascii_character_at_every_place_is_read_back() {
        for place in 0..20 {
            for character in 0..128_u8 {
                let mut text = "x".repeat(20).into_bytes();
                text[place] = character;
                let text = String::from_utf8(text).unwrap();
                let json = written(|members| members.text(key!("k"), &text));
                let value: serde_json::Value = serde_json::from_str(&json).unwrap();
                assert_eq!(value["k"], text.as_str());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>(), number in any::<u64>()) {
            let json = written(|members| {
                members.text(key!("k"), &text);
                members.number(key!("n"), number);
            });
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(value["k"].as_str(), Some(text.as_str()));
            prop_assert_eq!(value["n"].as_u64(), Some(number));
        }
    }
}
