package adbcflight

import (
	"fmt"

	"github.com/apache/arrow-adbc/go/adbc"
	driver "github.com/apache/arrow-adbc/go/adbc/driver/flightsql"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pintail/clients/check"
)

const scratch = "clients_adbc_go"

// numbers is a batch of one column of whole numbers.
func numbers(name string, values ...int64) arrow.RecordBatch {
	builder := array.NewInt64Builder(memory.DefaultAllocator)
	builder.AppendValues(values, nil)
	column := builder.NewArray()
	schema := arrow.NewSchema([]arrow.Field{{Name: name, Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{column}, int64(len(values)))
}

func (c *client) prepared() (string, error) {
	made, err := statement(c.connection, "SELECT CAST(? AS BIGINT) AS i")
	if err != nil {
		return "", err
	}
	defer made.Close()
	if err := made.Prepare(c.ctx); err != nil {
		return "", err
	}
	schema, err := made.GetParameterSchema()
	if err != nil {
		return "", err
	}
	if schema.NumFields() != 1 || schema.Field(0).Type.ID() != arrow.INT64 {
		return "", fmt.Errorf("parameters are %v", schema)
	}
	for number := range int64(20) {
		if err := made.Bind(c.ctx, numbers("1", number)); err != nil {
			return "", err
		}
		all, _, err := c.execute(made)
		if err != nil {
			return "", err
		}
		found, err := one(all)
		if err := check.First(err, check.Equal(found, number, "number")); err != nil {
			return "", err
		}
	}
	return "", nil
}

// bound runs a query with parameters.
func (c *client) bound(sql string, values arrow.RecordBatch) ([]arrow.RecordBatch, error) {
	made, err := statement(c.connection, sql)
	if err != nil {
		return nil, err
	}
	defer made.Close()
	if err := check.First(made.Prepare(c.ctx), made.Bind(c.ctx, values)); err != nil {
		return nil, err
	}
	all, _, err := c.execute(made)
	return all, err
}

func (c *client) parameters() (string, error) {
	all, err := c.bound("SELECT count(*) AS n FROM "+c.target["table"]+" WHERE src_port > ?", numbers("1", 0))
	if err != nil {
		return "", err
	}
	found, err := one(all)
	return "", check.First(err, check.Equal(found, c.target.Number("rows"), "rows"))
}

func (c *client) parameterRows() (string, error) {
	all, err := c.bound("SELECT CAST(? AS BIGINT) AS i", numbers("1", 1, 2, 3))
	return "", check.First(err, check.Equal(count(all), int64(3), "rows"))
}

// anyCount stands for a count that a statement need not tell.
const anyCount = -1

// step is a statement that changes something, and how many rows it must report.
type step struct {
	sql  string
	rows int64
}

func (c *client) updates(steps ...step) error {
	for _, step := range steps {
		rows, err := c.update(c.connection, step.sql)
		if err != nil {
			return fmt.Errorf("%s: %w", step.sql, err)
		}
		if step.rows != anyCount && rows != step.rows {
			return fmt.Errorf("%s: %d rows instead of %d", step.sql, rows, step.rows)
		}
	}
	return nil
}

func (c *client) ddl() (string, error) {
	return "", c.updates(
		step{"CREATE TABLE " + scratch + " (id BIGINT, name VARCHAR)", anyCount},
		step{"ALTER TABLE " + scratch + " RENAME COLUMN name TO label", anyCount},
		step{"CREATE VIEW " + scratch + "_view AS SELECT label FROM " + scratch, anyCount},
		step{"DROP VIEW " + scratch + "_view", anyCount},
		step{"CREATE TABLE " + scratch + "_copy AS SELECT 1 AS one", anyCount},
		step{"DROP TABLE " + scratch + "_copy", anyCount})
}

func (c *client) updateCounts() (string, error) {
	return "", c.updates(
		step{"INSERT INTO " + scratch + " VALUES (1, 'a'), (2, 'b'), (3, NULL)", 3},
		step{"UPDATE " + scratch + " SET label = 'c' WHERE id > 1", 2},
		step{"DELETE FROM " + scratch + " WHERE id = 1", 1},
		step{"DELETE FROM " + scratch + " WHERE id = 1", 0})
}

func (c *client) batch() (string, error) {
	made, err := statement(c.connection, "INSERT INTO "+scratch+" VALUES (?, 'bound')")
	if err != nil {
		return "", err
	}
	defer made.Close()
	if err := check.First(made.Prepare(c.ctx), made.Bind(c.ctx, numbers("1", 10, 11, 12))); err != nil {
		return "", err
	}
	rows, err := made.ExecuteUpdate(c.ctx)
	if err := check.First(err, check.Equal(rows, int64(3), "rows")); err != nil {
		return "", err
	}
	found, err := c.number(c.connection, "SELECT count(*) AS n FROM "+scratch+" WHERE label = 'bound'")
	return "", check.First(err, check.Equal(found, int64(3), "rows found"),
		c.updates(step{"DROP TABLE " + scratch, anyCount}))
}

func (c *client) write(table, mode string, rows arrow.RecordBatch) (int64, error) {
	made, err := c.connection.NewStatement()
	if err != nil {
		return 0, err
	}
	defer made.Close()
	err = check.First(
		made.SetOption(adbc.OptionKeyIngestTargetTable, table),
		made.SetOption(adbc.OptionKeyIngestMode, mode),
		made.Bind(c.ctx, rows))
	if err != nil {
		return 0, err
	}
	return made.ExecuteUpdate(c.ctx)
}

func (c *client) ingest() (string, error) {
	table := scratch + "_ingest"
	rows := numbers("a", 1, 2, 3)
	if _, err := c.write(table, adbc.OptionValueIngestModeAppend, rows); err == nil {
		return "", fmt.Errorf("append to a table that is not there")
	}
	steps := []struct {
		mode string
		rows int64
	}{
		{adbc.OptionValueIngestModeCreate, 3}, {adbc.OptionValueIngestModeAppend, 6},
		{adbc.OptionValueIngestModeCreateAppend, 9}, {adbc.OptionValueIngestModeReplace, 3},
	}
	for _, step := range steps {
		written, err := c.write(table, step.mode, rows)
		if err := check.First(err, check.Equal(written, int64(3), "rows written by "+step.mode)); err != nil {
			return "", fmt.Errorf("%s: %w", step.mode, err)
		}
		found, err := c.number(c.connection, "SELECT count(*) AS n FROM "+table)
		if err := check.First(err, check.Equal(found, step.rows, "rows after "+step.mode)); err != nil {
			return "", err
		}
	}
	_, err := c.write(table, adbc.OptionValueIngestModeCreate, rows)
	return "", check.First(check.Fails(err, "AlreadyExists"), c.updates(step{"DROP TABLE " + table, anyCount}))
}

func (c *client) telemetry() (string, error) {
	table := c.target["table"]
	_, deleted := c.update(c.connection, "DELETE FROM "+table)
	_, written := c.write(table, adbc.OptionValueIngestModeAppend, numbers("src_port", 1))
	return "", check.First(check.Fails(deleted, table), check.Fails(written, table))
}

func (c *client) readOnly() (string, error) {
	bearer := options{driver.OptionAuthorizationHeader: "Bearer " + c.target["token"]}
	connection, closeAll, err := c.connect("read_only", bearer)
	if err != nil {
		return "", err
	}
	defer closeAll()
	_, refused := c.update(connection, "CREATE TABLE clients_refused (a BIGINT)")
	return "", check.Fails(refused, "read-only")
}

func (c *client) sessionOptions() (string, error) {
	connection, closeAll, err := c.connect("plain", c.basic())
	if err != nil {
		return "", err
	}
	defer closeAll()
	session := connection.(adbc.GetSetOptions)
	get := func(key, wanted string) error {
		value, err := session.GetOption(key)
		return check.First(err, check.Equal(value, wanted, key))
	}
	prefix := driver.OptionSessionOptionPrefix
	return "", check.First(
		get(adbc.OptionKeyCurrentCatalog, c.target["catalog"]),
		get(adbc.OptionKeyCurrentDbSchema, "main"),
		session.SetOption(adbc.OptionKeyCurrentDbSchema, "system"),
		get(adbc.OptionKeyCurrentDbSchema, "system"),
		session.SetOption(adbc.OptionKeyCurrentDbSchema, "main"),
		session.SetOption(adbc.OptionKeyCurrentCatalog, c.target["catalog"]),
		session.SetOption(prefix+"time_zone", "Europe/Berlin"),
		get(prefix+"time_zone", "Europe/Berlin"),
		session.SetOption(driver.OptionEraseSessionOptionPrefix+"time_zone", ""),
		check.Fails(session.SetOption(prefix+"no_such_option", "1"), "no_such_option"))
}

// transactions are not there, and the driver is told so.
func (c *client) transactions() (string, error) {
	err := c.connection.(adbc.PostInitOptions).SetOption(adbc.OptionKeyAutoCommit, adbc.OptionValueDisabled)
	return "", check.Fails(err)
}

func (c *client) restart() (string, error) {
	connection, closeAll, err := c.connect("tls", c.trusting(c.basic()))
	if err != nil {
		return "", err
	}
	defer closeAll()
	_, before := c.number(connection, "SELECT 1 AS one")
	if err := check.First(before, check.RestartServer()); err != nil {
		return "", err
	}
	_, after := c.number(connection, "SELECT 2 AS two")
	return "", after
}
