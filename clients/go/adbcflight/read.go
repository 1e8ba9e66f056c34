package adbcflight

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-adbc/go/adbc"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/uuid"

	"pintail/clients/check"
)

func (c *client) rows() (string, error) {
	table := c.target["table"]
	number, err := c.number(c.connection, "SELECT count(*) AS n FROM "+table)
	if err != nil {
		return "", err
	}
	all, _, err := c.batches(c.connection, "SELECT * FROM "+table)
	return "", check.First(err,
		check.Equal(number, c.target.Number("rows"), "count"), check.Equal(count(all), c.target.Number("rows"), "rows"))
}

func count(all []arrow.RecordBatch) int64 {
	var rows int64
	for _, batch := range all {
		rows += batch.NumRows()
	}
	return rows
}

func (c *client) empty() (string, error) {
	made, err := statement(c.connection, c.target["query_empty"])
	if err != nil {
		return "", err
	}
	defer made.Close()
	announced, err := made.(adbc.StatementExecuteSchema).ExecuteSchema(c.ctx)
	if err != nil {
		return "", err
	}
	all, streamed, err := c.execute(made)
	return "", check.First(err, check.Equal(count(all), int64(0), "rows"),
		check.Equal(schemasEqual(announced, streamed), true, "equality of the schemas"))
}

func (c *client) types() (string, error) {
	all, schema, err := c.batches(c.connection, c.target["query_types"])
	if err != nil {
		return "", err
	}
	expected := map[string]string{
		"int8": "-8", "int16": "-16000", "int32": "-2000000000", "int64": "-9000000000000000000", "uint8": "200",
		"uint16": "60000", "uint32": "4000000000", "uint64": "18000000000000000000", "float32": "1.5",
		"float64": "2.25", "decimal": "12345.678", "boolean": "true", "text": "Grüße", "view": "view",
		"dictionary": "word", "binary": "AP8=", "date": "2026-01-02", "list": "[1,2,null]",
	}
	for i, field := range schema.Fields() {
		value := all[0].Column(i).ValueStr(0)
		if want, known := expected[field.Name]; known && value != want {
			return "", fmt.Errorf("%s is %s and should be %s", field.Name, value, want)
		}
		if value == array.NullValueStr {
			return "", fmt.Errorf("%s is null", field.Name)
		}
	}
	return fmt.Sprintf("%d types", schema.NumFields()), nil
}

func (c *client) nulls() (string, error) {
	all, schema, err := c.batches(c.connection, c.target["query_nulls"])
	if err != nil {
		return "", err
	}
	for i, field := range schema.Fields() {
		if !all[0].Column(i).IsNull(0) {
			return "", fmt.Errorf("%s has a value", field.Name)
		}
	}
	return "", nil
}

func (c *client) big() (string, error) {
	all, _, err := c.batches(c.connection, c.target["query_big"])
	if err != nil {
		return "", err
	}
	var sum int64
	for _, batch := range all {
		for _, value := range batch.Column(0).(*array.Int64).Int64Values() {
			sum += value
		}
	}
	return "", check.First(
		check.Equal(count(all), int64(1_000_000), "rows"), check.Equal(sum, int64(499_999_500_000), "sum"))
}

func (c *client) wide() (string, error) {
	all, _, err := c.batches(c.connection, c.target["query_wide"])
	if err != nil {
		return "", err
	}
	length := len(all[0].Column(0).(*array.String).Value(0))
	return "", check.Equal(int64(length), c.target.Number("wide_length"), "length")
}

func (c *client) errors() (string, error) {
	_, _, table := c.batches(c.connection, "SELECT * FROM no_such_table")
	_, _, empty := c.batches(c.connection, " ")
	_, _, late := c.batches(c.connection, "SELECT 1 / (value - 5) FROM generate_series(1, 10)")
	_, _, column := c.batches(c.connection, "SELECT 1,\n  no_such_column")
	err := check.First(
		check.Fails(table, "NotFound", "no_such_table"), check.Fails(empty, "InvalidArgument", "empty query"),
		check.Fails(late, "zero"), check.Fails(column, "no_such_column", "line 2", "column 3"))
	if err != nil {
		return "", err
	}
	return column.Error(), nil
}

// slow starts a query that would run for hours and reads its first batch.
func (c *client) slow(ctx context.Context, marker string) (adbc.Statement, array.RecordReader, error) {
	made, err := statement(c.connection, strings.ReplaceAll(c.target["query_slow"], "MARKER", marker))
	if err != nil {
		return nil, nil, err
	}
	reader, _, err := made.ExecuteQuery(ctx)
	if err == nil && !reader.Next() {
		err = fmt.Errorf("no first batch: %w", reader.Err())
	}
	return made, reader, err
}

func (c *client) live(marker string) (int64, error) {
	return c.number(c.connection, strings.ReplaceAll(c.target["query_live"], "MARKER", marker))
}

func (c *client) cancel() (string, error) {
	marker := "marker-" + uuid.NewString()
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	made, reader, err := c.slow(ctx, marker)
	if err != nil {
		return "", err
	}
	defer made.Close()
	before, err := c.live(marker)
	if err := check.First(err, check.Equal(before, int64(1), "live queries before")); err != nil {
		return "", err
	}
	stop()
	for reader.Next() {
		// What was on its way still arrives.
	}
	cancelled := check.Fails(reader.Err(), "cancel")
	reader.Release()
	return "", check.First(cancelled, check.WaitUntilIdle(func() (int64, error) { return c.live(marker) }))
}
