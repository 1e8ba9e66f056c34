//! Patterns of `LIKE … ESCAPE` and `SIMILAR TO` in the form that the planner takes.

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator, Value};

use super::trees::{call, constant_text, take, text};

/// `SIMILAR TO` is a regular expression for all of the text, with the wildcards of LIKE, too. The planner's own takes
/// what is found anywhere in the text.
pub(super) fn spell_similar_to(expression: &mut Expr) {
    let Expr::SimilarTo { negated, expr, pattern, escape_char: None } = expression else { return };
    let mut pattern = take(pattern);
    if let Some(constant) = constant_text(&pattern) {
        pattern = text(constant.replace('%', ".*").replace('_', "."));
    }
    let matches = call("regexp_full_match", vec![take(expr), pattern]);
    *expression = match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(matches) },
        false => matches,
    };
}

/// `x LIKE 'a!_b' ESCAPE '!'` with the backslash, which is the only escape that the planner knows.
pub(super) fn spell_like(expression: &mut Expr) {
    let (Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. }) = expression
    else {
        return;
    };
    let Some(Value::SingleQuotedString(written)) = escape_char.as_ref().map(|written| &written.value) else {
        return;
    };
    let mut characters = written.chars();
    let escape = characters.next();
    if escape == Some('\\') || characters.next().is_some() {
        return;
    }
    **pattern = match (constant_text(pattern), escape) {
        (Some(constant), _) => text(with_backslash(constant, escape)),
        (None, Some(escape)) => computed_with_backslash(take(pattern), escape),
        (None, None) => call("replace", vec![take(pattern), text("\\"), text("\\\\")]),
    };
    *escape_char = None;
}

/// A pattern with the backslash as its escape. No escape at all makes every backslash one of the text. One at the end
/// stands for itself.
fn with_backslash(pattern: &str, escape: Option<char>) -> String {
    let mut spelled = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let escaped = if Some(character) == escape { characters.next() } else { None };
        if escaped.is_some() || character == '\\' {
            spelled.push('\\');
        }
        spelled.push(escaped.unwrap_or(character));
    }
    spelled
}

/// The same for a pattern that is only known with the rows.
fn computed_with_backslash(pattern: Expr, escape: char) -> Expr {
    let escaped = format!(r"(?s)\x{{{:x}}}(.)|(\\)", u32::from(escape));
    call("regexp_replace", vec![pattern, text(escaped), text(r"\${1}${2}"), text("g")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (pattern, escape, expected) in [
            ("a!_b", Some('!'), r"a\_b"),
            ("a!!%", Some('!'), r"a\!%"),
            ("!a", Some('!'), r"\a"),
            ("a!", Some('!'), "a!"),
            (r"a\_", Some('!'), r"a\\_"),
            (r"!\", Some('!'), r"\\"),
            (r"a\_", None, r"a\\_"),
            ("ü%_", Some('ü'), r"\%_"),
        ] {
            assert_eq!(with_backslash(pattern, escape), expected, "{pattern}");
        }
    }
}
