//! `format('{} is {:.2f}', …)` and `printf('%s is %.2f', …)`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The widest field.
const MAX_WIDTH: usize = 1000;

/// The most text that one call makes for one batch of rows: no memory pool sees it.
const MAX_TEXT_BYTES: usize = 64 << 20;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let function = |name, style| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::from(Format { name, style, signature })
    };
    vec![function("format", Style::Braces), function("printf", Style::Percent)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Style {
    Braces,
    Percent,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    name: &'static str,
    style: Style,
    signature: Signature,
}

/// A part of a format.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// Where a value goes.
#[derive(Debug, Default, PartialEq)]
struct Field {
    /// Which argument after the format, from 0; the next one if absent.
    argument: Option<usize>,
    zeros: bool,
    left: bool,
    right: bool,
    width: usize,
    precision: Option<usize>,
    /// `d`, `f`, `x`, `s` and so on; of the value's type if absent.
    kind: Option<char>,
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let formats = cast(&columns[0], &DataType::Utf8)?;
        let formats = formats.as_string::<i32>();
        let values: Vec<Values> = columns[1..].iter().map(Values::new).collect::<Result<_>>()?;
        let mut texts = StringBuilder::new();
        let mut parsed: Option<(&str, Vec<Piece>)> = None;
        for (row, format) in formats.iter().enumerate() {
            let Some(format) = format.filter(|_| values.iter().all(|value| value.column.is_valid(row)))
            else {
                texts.append_null();
                continue;
            };
            // Mostly the format is a constant.
            let pieces = match parsed {
                Some((known, pieces)) if known == format => pieces,
                _ => self.pieces(format)?,
            };
            texts.append_value(self.fill(&pieces, &values, row)?);
            if texts.values_slice().len() > MAX_TEXT_BYTES {
                return exec_err!("{}: it would make more than {MAX_TEXT_BYTES} bytes at once", self.name);
            }
            parsed = Some((format, pieces));
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

impl Format {
    fn fill(&self, pieces: &[Piece], values: &[Values], row: usize) -> Result<String> {
        let mut text = String::new();
        let mut next = 0;
        for piece in pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Field(field) => {
                    let argument = field.argument.unwrap_or(next);
                    next = argument + 1;
                    let Some(value) = values.get(argument) else {
                        return exec_err!(
                            "{}: there is no argument {} for the format",
                            self.name,
                            argument + 1
                        );
                    };
                    text.push_str(&value.formatted(field, row, self.name)?);
                }
            }
        }
        Ok(text)
    }

    fn pieces(&self, format: &str) -> Result<Vec<Piece>> {
        let pieces = match self.style {
            Style::Braces => brace_pieces(format),
            Style::Percent => percent_pieces(format),
        };
        match pieces {
            Some(pieces) => Ok(pieces),
            None => exec_err!("{}: '{format}' is no format that is known here", self.name),
        }
    }
}

/// `{}`, `{0}`, `{:>8.2f}`; `{{` and `}}` stand for themselves.
fn brace_pieces(format: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before.to_owned()));
        if let Some(tail) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            pieces.push(Piece::Text(from[..1].to_owned()));
            rest = tail;
            continue;
        }
        let (inside, tail) = from.strip_prefix('{')?.split_once('}')?;
        let (argument, layout) = inside.split_once(':').unwrap_or((inside, ""));
        let argument = if argument.is_empty() { None } else { Some(argument.parse().ok()?) };
        let field = layout_of(layout)?;
        pieces.push(Piece::Field(Field { argument, ..field }));
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Some(pieces)
}

/// `%s`, `%05d`, `%.2f`; `%%` stands for itself.
fn percent_pieces(format: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((before, from)) = rest.split_once('%') {
        pieces.push(Piece::Text(before.to_owned()));
        if let Some(tail) = from.strip_prefix('%') {
            pieces.push(Piece::Text("%".to_owned()));
            rest = tail;
            continue;
        }
        let end = from.find(|character: char| character.is_ascii_alphabetic())?;
        let (layout, tail) = from.split_at(end + 1);
        pieces.push(Piece::Field(layout_of(layout)?));
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Some(pieces)
}

/// `[<>-][0][width][.precision][kind]`
fn layout_of(layout: &str) -> Option<Field> {
    let mut field = Field::default();
    let mut rest = layout.trim_start_matches(|sign| {
        field.left |= matches!(sign, '<' | '-');
        field.right |= sign == '>';
        field.zeros |= sign == '0';
        matches!(sign, '<' | '>' | '-' | '0')
    });
    (field.width, rest) = number(rest)?;
    if let Some(precision) = rest.strip_prefix('.') {
        let (precision, tail) = number(precision)?;
        (field.precision, rest) = (Some(precision), tail);
    }
    field.kind = rest.chars().next();
    let is_known = field.kind.is_none_or(|kind| "sdiufFeEgGxXob".contains(kind));
    let is_small = field.width <= MAX_WIDTH && field.precision.is_none_or(|precision| precision <= MAX_WIDTH);
    (rest.len() <= 1 && is_known && is_small).then_some(field)
}

fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits {
        "" => Some((0, rest)),
        digits => Some((digits.parse().ok()?, rest)),
    }
}

/// One argument's values.
struct Values {
    column: ArrayRef,
}

impl Values {
    fn new(column: &ArrayRef) -> Result<Self> {
        // One plain form instead of views and dictionaries.
        let column = match column.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => {
                cast(column, &DataType::Utf8)?
            }
            _ => Arc::clone(column),
        };
        Ok(Self { column })
    }

    fn formatted(&self, field: &Field, row: usize, function: &str) -> Result<String> {
        let data_type = self.column.data_type();
        let kind = field.kind.unwrap_or(match data_type {
            DataType::Float32 | DataType::Float64 if field.precision.is_some() => 'f',
            _ => 's',
        });
        let text = match kind {
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'b' if data_type.is_integer() => self.whole(kind, row)?,
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' if data_type.is_numeric() => {
                self.real(kind, field.precision, row)?
            }
            's' => {
                let text =
                    ArrayFormatter::try_new(&self.column, &FormatOptions::default())?.value(row).to_string();
                match field.precision {
                    Some(characters) => text.chars().take(characters).collect(),
                    None => text,
                }
            }
            _ => return exec_err!("{function}: '{kind}' does not take a value of type {data_type}"),
        };
        Ok(padded(text, field, data_type.is_numeric()))
    }

    fn whole(&self, kind: char, row: usize) -> Result<String> {
        // A value beyond its range is an error, never another number.
        let strict = CastOptions { safe: false, format_options: FormatOptions::default() };
        let value = cast_with_options(&self.column.slice(row, 1), &DataType::Int64, &strict)?;
        let value = value.as_primitive::<Int64Type>().value(0);
        Ok(match kind {
            'x' => format!("{value:x}"),
            'X' => format!("{value:X}"),
            'o' => format!("{value:o}"),
            'b' => format!("{value:b}"),
            _ => value.to_string(),
        })
    }

    fn real(&self, kind: char, precision: Option<usize>, row: usize) -> Result<String> {
        let value = cast(&self.column.slice(row, 1), &DataType::Float64)?;
        let value = value.as_primitive::<Float64Type>().value(0);
        let precision = precision.unwrap_or(6);
        Ok(match kind {
            'e' | 'E' => format!("{value:.precision$e}"),
            'g' | 'G' => value.to_string(),
            _ => format!("{value:.precision$}"),
        })
    }
}

fn padded(text: String, field: &Field, is_number: bool) -> String {
    let missing = field.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if field.zeros && is_number {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    let space = " ".repeat(missing);
    match field.left || !(field.right || is_number) {
        true => text + &space,
        false => space + &text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_format_is_refused() {
        for format in ["{", "}", "{:q}", "{x}", "{:99999}", "{:.99999f}", "{:ü}"] {
            assert_eq!(brace_pieces(format), None, "{format}");
        }
        for format in ["%", "%5", "%q", "%99999d", "%ü"] {
            assert_eq!(percent_pieces(format), None, "{format}");
        }
    }
}
