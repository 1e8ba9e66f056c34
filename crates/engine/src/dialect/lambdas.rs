//! Functions on lists that take a lambda.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart,
};

use super::normalized;
use super::trees::{constant_text, take};
use crate::grammar::statements::lambda_of;

/// Functions whose argument may be a lambda, and the name that the planner knows.
const HIGHER_ORDER: [(&str, &str); 11] = [
    ("list_transform", "list_transform"),
    ("array_transform", "array_transform"),
    ("list_apply", "array_transform"),
    ("array_apply", "array_transform"),
    ("apply", "array_transform"),
    ("list_filter", "list_filter"),
    ("array_filter", "array_filter"),
    ("filter", "array_filter"),
    ("list_any_match", "list_any_match"),
    ("array_any_match", "array_any_match"),
    ("array_first", "array_first"),
];

/// `x -> x + 1` as the argument of a function on lists is a lambda, and no JSON.
pub(super) fn make_lambdas(function: &mut Function) {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_mut_slice() else { return };
    let written = normalized(name);
    let Some((_, known)) = HIGHER_ORDER.iter().find(|(function, _)| *function == written) else { return };
    name.value = (*known).to_owned();
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else { continue };
        if let Some(names) = lambda_names(argument) {
            *argument = lambda_of(names, Box::new(take(argument)));
        }
    }
}

/// Takes `x ->` or `(x, y) ->` off the start of an expression. Operators that bind less tightly stand above the arrow.
fn lambda_names(expression: &mut Expr) -> Option<Vec<Ident>> {
    let Expr::BinaryOp { left, op, right } = expression else { return None };
    if *op != BinaryOperator::Arrow {
        return lambda_names(left);
    }
    let name = |expression: &Expr| match expression {
        Expr::Identifier(name) => Some(name.clone()),
        _ => None,
    };
    let names = match left.as_ref() {
        Expr::Identifier(name) => vec![name.clone()],
        Expr::Nested(inner) => vec![name(inner)?],
        Expr::Tuple(names) => names.iter().map(name).collect::<Option<_>>()?,
        Expr::BinaryOp { .. } => return lambda_names(left),
        _ => return None,
    };
    if constant_text(right).is_some() {
        return None;
    }
    *expression = take(right);
    Some(names)
}
