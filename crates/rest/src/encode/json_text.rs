//! Columns of JSON text, written as the JSON that they hold.

use arrow::array::{Array, StringArray};
use arrow::datatypes::Field;
use arrow::json::writer::{Encoder, NullableEncoder};
use serde::de::IgnoredAny;

/// Arrow's canonical extension type for JSON, and where a field says that it has one.
const EXTENSION_KEY: &str = "ARROW:extension:name";
const JSON_EXTENSION: &str = "arrow.json";

/// Whether a column says that its text is JSON.
pub(super) fn is_json(field: &Field) -> bool {
    field.metadata().get(EXTENSION_KEY).is_some_and(|name| name == JSON_EXTENSION)
}

pub(super) fn encoder(array: &dyn Array) -> Option<NullableEncoder<'_>> {
    let texts = array.as_any().downcast_ref::<StringArray>()?;
    Some(NullableEncoder::new(Box::new(JsonText(texts)), array.nulls().cloned()))
}

struct JsonText<'a>(&'a StringArray);

impl Encoder for JsonText<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let text = self.0.value(index).trim_ascii();
        if serde_json::from_str::<IgnoredAny>(text).is_ok() {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        let start = out.len();
        // Writing text into memory does not fail; if it did, null is still JSON.
        if serde_json::to_writer(&mut *out, self.0.value(index)).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"null");
        }
    }
}
