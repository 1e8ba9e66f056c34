//! A result as a table for people. Widths come from the first rows; later, wider values stand out.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use pintail_types::{Error, Result};

use crate::output;

/// Rows that are held back to find the widths.
const LOOK_AHEAD_ROWS: usize = 1_000;
/// Bytes of cells that are held back at most.
const LOOK_AHEAD_BYTES: usize = 4 << 20;
/// The widest a column is padded to.
const MAX_WIDTH: usize = 60;

/// Writes batches as a table.
pub(crate) struct TableWriter<W: Write> {
    schema: SchemaRef,
    out: W,
    widths: Vec<usize>,
    held: Vec<Vec<String>>,
    held_bytes: usize,
    started: bool,
    rows: u64,
}

impl<W: Write> TableWriter<W> {
    pub(super) fn new(schema: SchemaRef, out: W) -> Self {
        let widths = schema.fields().iter().map(|field| width(field.name())).collect();
        Self { schema, out, widths, held: Vec::new(), held_bytes: 0, started: false, rows: 0 }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let options = FormatOptions::default().with_display_error(true).with_null("NULL");
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| Error::internal(format!("the result can't be written: {error}")))?;
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                formatters.iter().map(|column| one_line(column.value(row).to_string())).collect();
            self.rows += 1;
            if self.started {
                self.write_row(&cells)?;
                continue;
            }
            for (known, cell) in self.widths.iter_mut().zip(&cells) {
                *known = (*known).max(width(cell).min(MAX_WIDTH));
            }
            self.held_bytes += cells.iter().map(String::len).sum::<usize>();
            self.held.push(cells);
            if self.held.len() >= LOOK_AHEAD_ROWS || self.held_bytes >= LOOK_AHEAD_BYTES {
                self.start()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W> {
        self.start()?;
        let rows = self.rows;
        writeln!(self.out, "({rows} row{})", if rows == 1 { "" } else { "s" }).map_err(output::failed)?;
        Ok(self.out)
    }

    /// Writes the head and the rows that were held back.
    fn start(&mut self) -> Result<()> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let names: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        self.write_cells(&names, false)?;
        let rule: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        writeln!(self.out, "{}", rule.join("-+-")).map_err(output::failed)?;
        for cells in std::mem::take(&mut self.held) {
            self.write_row(&cells)?;
        }
        Ok(())
    }

    fn write_row(&mut self, cells: &[String]) -> Result<()> {
        self.write_cells(cells, true)
    }

    fn write_cells(&mut self, cells: &[String], align_numbers: bool) -> Result<()> {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let padding = " ".repeat(self.widths[index].saturating_sub(width(cell)));
            let right = align_numbers && is_number(self.schema.field(index).data_type());
            if index > 0 {
                line.push_str(" | ");
            }
            if right {
                line.push_str(&padding);
            }
            line.push_str(cell);
            if !right {
                line.push_str(&padding);
            }
        }
        writeln!(self.out, "{}", line.trim_end()).map_err(output::failed)
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Line ends and other control characters as escapes: a cell is one line.
fn one_line(cell: String) -> String {
    if !cell.chars().any(char::is_control) {
        return cell;
    }
    let escape = |character: char| -> String {
        if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
    };
    cell.chars().map(escape).collect()
}
