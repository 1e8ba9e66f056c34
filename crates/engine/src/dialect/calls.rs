//! Calls of functions in the spellings that the planner knows.

use datafusion::sql::sqlparser::ast::{
    Array, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Ident, ObjectNamePart,
};

use super::normalized;
use super::trees::{arguments, call, constant_text, take, text};

/// Spells a call out.
pub(super) fn spell_call(expression: &mut Expr) {
    let Expr::Function(function) = expression else { return };
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return };
    let spelled = match normalized(name).as_str() {
        "string_agg" | "listagg" | "group_concat" => return complete_joined_texts(function),
        "struct_pack" => return name_struct_fields(function),
        "approx_quantile" | "quantile" | "quantile_cont" | "quantile_disc" => of_each_quantile(function),
        "date_part" | "datepart" => parts_as_fields(function),
        _ => return,
    };
    if let Some(spelled) = spelled {
        *expression = spelled;
    }
}

/// `string_agg(x, ',') WITHIN GROUP (ORDER BY y)` and `group_concat(x SEPARATOR ',')` with all in the brackets, and a comma
/// where no separator is.
fn complete_joined_texts(function: &mut Function) {
    let FunctionArguments::List(FunctionArgumentList { args, clauses, .. }) = &mut function.args else {
        return;
    };
    if !function.within_group.is_empty() {
        clauses.push(FunctionArgumentClause::OrderBy(std::mem::take(&mut function.within_group)));
    }
    clauses.retain(|clause| {
        let FunctionArgumentClause::Separator(separator) = clause else { return true };
        args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(separator.clone()))));
        false
    });
    if args.len() == 1 {
        args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(text(","))));
    }
}

/// `struct_pack(a := 1)` is `named_struct('a', 1)`.
fn name_struct_fields(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut args = Vec::with_capacity(2 * list.args.len());
    for argument in list.args.drain(..) {
        match argument {
            FunctionArg::Named { name, arg, .. } => {
                args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(text(normalized(&name)))));
                args.push(FunctionArg::Unnamed(arg));
            }
            other => args.push(other),
        }
    }
    list.args = args;
    function.name = vec![Ident::new("named_struct")].into();
}

/// `quantile_cont(x, [0.5, 0.9])` is the list of `quantile_cont(x, 0.5)` and `quantile_cont(x, 0.9)`.
fn of_each_quantile(function: &mut Function) -> Option<Expr> {
    let quantiles = match arguments(function)?.as_mut_slice() {
        [_, quantiles] => elements(quantiles)?,
        _ => return None,
    };
    let of_one = |quantile: Expr| {
        let mut one = function.clone();
        if let [_, argument] = arguments(&mut one)?.as_mut_slice() {
            **argument = quantile;
        }
        Some(Expr::Function(one))
    };
    let elem = quantiles.into_iter().map(of_one).collect::<Option<_>>()?;
    Some(Expr::Array(Array { elem, named: false }))
}

/// `date_part(['year', 'month'], x)` is a structure of both.
fn parts_as_fields(function: &mut Function) -> Option<Expr> {
    let mut arguments = arguments(function)?;
    let [parts, time] = arguments.as_mut_slice() else { return None };
    let parts = elements(parts)?;
    if !parts.iter().all(|part| constant_text(part).is_some()) {
        return None;
    }
    let time = take(time);
    let fields = parts.into_iter().flat_map(|part| {
        let value = call("date_part", vec![part.clone(), time.clone()]);
        [part, value]
    });
    Some(call("named_struct", fields.collect()))
}

/// The elements of a list that is spelled out as `[a, b]` or `list_value(a, b)`, if it has any.
fn elements(list: &mut Expr) -> Option<Vec<Expr>> {
    let elements: Vec<Expr> = match list {
        Expr::Array(array) => array.elem.clone(),
        Expr::Function(function) if function.name.to_string() == "list_value" => {
            arguments(function)?.into_iter().map(|element| element.clone()).collect()
        }
        _ => return None,
    };
    (!elements.is_empty()).then_some(elements)
}
