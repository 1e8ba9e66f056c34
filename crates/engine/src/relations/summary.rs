//! `SUMMARIZE`: a row of statistics for every column, in one pass over the rows.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::functions::math::expr_fn::round;
use datafusion::functions_aggregate::approx_distinct::approx_distinct_udaf;
use datafusion::functions_aggregate::approx_percentile_cont::approx_percentile_cont_udaf;
use datafusion::functions_aggregate::expr_fn::{avg, count, max, min, stddev};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit, when};

use crate::functions::types::sql_name;

/// The column that holds one structure for each column of the input.
const ROWS: &str = "rows";
/// The number of rows.
const COUNT: &str = "count";

/// The columns of the result as DuckDB has them, and their types.
const COLUMNS: [(&str, DataType); 12] = [
    ("column_name", DataType::Utf8),
    ("column_type", DataType::Utf8),
    ("min", DataType::Utf8),
    ("max", DataType::Utf8),
    ("approx_unique", DataType::Int64),
    ("avg", DataType::Utf8),
    ("std", DataType::Utf8),
    ("q25", DataType::Utf8),
    ("q50", DataType::Utf8),
    ("q75", DataType::Utf8),
    (COUNT, DataType::Int64),
    ("null_percentage", DataType::Float64),
];

pub(super) fn summarized(input: LogicalPlan) -> Result<LogicalPlan> {
    let columns = input.schema().columns();
    let types: Vec<DataType> =
        input.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let mut aggregates = vec![count(lit(1_i64)).alias(COUNT)];
    let mut rows = Vec::new();
    for (index, (column, data_type)) in columns.into_iter().zip(types).enumerate() {
        let statistics = Statistics { index, column, data_type };
        aggregates.extend(statistics.aggregates());
        rows.push(statistics.row());
    }
    if rows.is_empty() {
        return datafusion::common::plan_err!("SUMMARIZE needs a query with columns");
    }
    let result = COLUMNS.map(|(name, data_type)| cast(get_field(col(ROWS), name), data_type).alias(name));
    LogicalPlanBuilder::from(input)
        .aggregate(Vec::<Expr>::new(), aggregates)?
        .project(vec![make_array(rows).alias(ROWS)])?
        .unnest_column(ROWS)?
        .project(result)?
        .build()
}

/// The statistics of one column.
struct Statistics {
    index: usize,
    column: Column,
    data_type: DataType,
}

impl Statistics {
    fn aggregates(&self) -> Vec<Expr> {
        let value = Expr::Column(self.column.clone());
        let number = cast(value.clone(), DataType::Float64);
        let mut aggregates = vec![count(value.clone()).alias(self.name("known"))];
        if self.has_order() {
            aggregates.push(min(value.clone()).alias(self.name("min")));
            aggregates.push(max(value.clone()).alias(self.name("max")));
            aggregates.push(approx_distinct_udaf().call(vec![value]).alias(self.name("approx_unique")));
        }
        if self.data_type.is_numeric() {
            aggregates.push(avg(number.clone()).alias(self.name("avg")));
            aggregates.push(stddev(number.clone()).alias(self.name("std")));
            for (name, part) in [("q25", 0.25), ("q50", 0.5), ("q75", 0.75)] {
                aggregates.push(quantile(number.clone(), part).alias(self.name(name)));
            }
        }
        aggregates
    }

    /// The structure of the column's row.
    fn row(&self) -> Expr {
        let mut fields = Vec::with_capacity(2 * COLUMNS.len());
        for (name, data_type) in COLUMNS {
            fields.push(lit(name));
            fields.push(cast(self.field(name), data_type));
        }
        named_struct(fields)
    }

    fn field(&self, name: &str) -> Expr {
        match name {
            "column_name" => lit(self.column.name.clone()),
            "column_type" => lit(sql_name(&self.data_type)),
            COUNT => col(COUNT),
            "null_percentage" => self.null_percentage(),
            "min" | "max" | "approx_unique" if self.has_order() => self.result(name),
            "avg" | "std" | "q25" | "q50" | "q75" if self.data_type.is_numeric() => self.result(name),
            _ => lit(ScalarValue::Null),
        }
    }

    fn null_percentage(&self) -> Expr {
        let double = |expression| cast(expression, DataType::Float64);
        let nulls = double(col(COUNT) - self.result("known"));
        let percentage = round(vec![nulls * lit(100.0) / double(col(COUNT)), lit(2_i64)]);
        let known = when(col(COUNT).gt(lit(0_i64)), percentage).end();
        known.unwrap_or_else(|_| lit(ScalarValue::Null))
    }

    fn has_order(&self) -> bool {
        !self.data_type.is_nested() && !matches!(self.data_type, DataType::Null | DataType::Interval(_))
    }

    /// The name of one of its aggregates: the column's own name may be any.
    fn name(&self, aggregate: &str) -> String {
        format!("{aggregate} {}", self.index)
    }

    fn result(&self, aggregate: &str) -> Expr {
        Expr::Column(Column::new_unqualified(self.name(aggregate)))
    }
}

fn quantile(number: Expr, part: f64) -> Expr {
    let order = vec![Sort::new(number.clone(), true, false)];
    let call = datafusion::logical_expr::expr::AggregateFunction::new_udf(
        approx_percentile_cont_udaf(),
        vec![number, lit(part)],
        false,
        None,
        order,
        None,
    );
    Expr::AggregateFunction(call)
}
