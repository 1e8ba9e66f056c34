// Package adbcflight tries ADBC's Go driver for Flight SQL: the core behind Python, R, Power BI and DuckDB.
package adbcflight

import (
	"context"
	"fmt"
	"os"

	"github.com/apache/arrow-adbc/go/adbc"
	driver "github.com/apache/arrow-adbc/go/adbc/driver/flightsql"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pintail/clients/check"
)

type options map[string]string

// client tries features against the servers of target.
type client struct {
	target check.Target
	ctx    context.Context
	// What most features are tried on: the listener in clear, opened by Handshake.
	connection adbc.Connection
}

// Run tries every feature and prints its line.
func Run(target check.Target) error {
	lines := check.New("adbc-go", "arrow-adbc/go "+check.ModuleVersion("github.com/apache/arrow-adbc/go/adbc"))
	c := &client{target: target, ctx: context.Background()}
	c.connecting(lines)
	connection, closeAll, err := c.connect("plain", c.basic())
	if err != nil {
		return err
	}
	defer closeAll()
	c.connection = connection
	lines.Feature("server-info", c.serverInfo)
	lines.Feature("catalogs", c.catalogs)
	lines.Feature("schemas", c.schemas)
	lines.Feature("tables", c.tables)
	lines.Feature("columns", c.columns)
	lines.Feature("table-types", c.tableTypes)
	lines.Feature("query", c.rows)
	lines.Feature("empty", c.empty)
	lines.Feature("types", c.types)
	lines.Feature("nulls", c.nulls)
	lines.Feature("big", c.big)
	lines.Feature("wide", c.wide)
	lines.Feature("errors", c.errors)
	lines.Feature("cancel", c.cancel)
	lines.Feature("prepared", c.prepared)
	lines.Feature("parameters", c.parameters)
	lines.Feature("parameter-rows", c.parameterRows)
	lines.Feature("ddl", c.ddl)
	lines.Feature("update-counts", c.updateCounts)
	lines.Feature("batch", c.batch)
	lines.Feature("ingest", c.ingest)
	lines.Feature("telemetry", c.telemetry)
	lines.Feature("read-only", c.readOnly)
	lines.Feature("session-options", c.sessionOptions)
	lines.Feature("transactions", c.transactions)
	lines.Feature("restart", c.restart)
	return nil
}

func (c *client) connecting(lines check.Client) {
	bearer := func(token string) options {
		return options{driver.OptionAuthorizationHeader: "Bearer " + c.target[token]}
	}
	user := func(user, password string) options {
		return options{adbc.OptionKeyUsername: user, adbc.OptionKeyPassword: password}
	}
	try := func(listener string, given options) func() (string, error) {
		return func() (string, error) { return "", c.works(listener, given) }
	}
	lines.Feature("anonymous", try("open", options{}))
	lines.Feature("token", try("plain", bearer("token")))
	lines.Feature("basic", func() (string, error) {
		// Tools that know only user and password give the token as the password.
		return "", check.First(c.works("plain", c.basic()), c.works("plain", user("anybody", c.target["token"])))
	})
	lines.Feature("oidc", try("plain", user(c.target["oidc_user"], c.target["oidc_password"])))
	lines.Feature("oidc-token", try("plain", bearer("oidc_token")))
	lines.Feature("refused", func() (string, error) {
		wrong := options{driver.OptionAuthorizationHeader: "Bearer wrong"}
		return "", check.First(
			check.Fails(c.works("plain", options{}), "unauthenticated"),
			check.Fails(c.works("plain", wrong), "unauthenticated"),
			check.Fails(c.works("plain", user(c.target["user"], "wrong")), "unauthenticated"))
	})
	lines.Feature("tls", func() (string, error) {
		return "", check.First(
			c.works("tls", c.trusting(bearer("token"))),
			c.works("tls", c.trusting(c.basic())),
			check.Fails(c.works("tls", bearer("token")), "certificate"))
	})
	lines.Feature("mutual-tls", func() (string, error) {
		pair := c.trusting(bearer("token"))
		pair[driver.OptionMTLSCertChain] = c.file("client_certificate")
		pair[driver.OptionMTLSPrivateKey] = c.file("client_key")
		return "", check.First(
			c.works("mutual_tls", pair),
			check.Fails(c.works("mutual_tls", c.trusting(bearer("token")))))
	})
}

func (c *client) basic() options {
	return options{adbc.OptionKeyUsername: c.target["user"], adbc.OptionKeyPassword: c.target["password"]}
}

// trusting adds the runner's certificate authority.
func (c *client) trusting(given options) options {
	given[driver.OptionSSLRootCerts] = c.file("ca")
	return given
}

func (c *client) file(key string) string {
	text, err := os.ReadFile(c.target[key])
	if err != nil {
		panic(err)
	}
	return string(text)
}

// connect opens a listener; the function closes connection and database.
func (c *client) connect(listener string, given options) (adbc.Connection, func(), error) {
	scheme := "grpc"
	if listener == "tls" || listener == "mutual_tls" {
		scheme = "grpc+tls"
	}
	given[adbc.OptionKeyURI] = fmt.Sprintf("%s://%s", scheme, c.target[listener])
	database, err := driver.NewDriver(memory.DefaultAllocator).NewDatabase(given)
	if err != nil {
		return nil, nil, err
	}
	connection, err := database.Open(c.ctx)
	if err != nil {
		database.Close()
		return nil, nil, err
	}
	return connection, func() { connection.Close(); database.Close() }, nil
}

func (c *client) works(listener string, given options) error {
	connection, closeAll, err := c.connect(listener, given)
	if err != nil {
		return err
	}
	defer closeAll()
	number, err := c.number(connection, "SELECT 1 AS one")
	return check.First(err, check.Equal(number, int64(1), "number"))
}

// statement makes a statement of sql; closing it is the caller's.
func statement(connection adbc.Connection, sql string) (adbc.Statement, error) {
	made, err := connection.NewStatement()
	if err != nil {
		return nil, err
	}
	if err := made.SetSqlQuery(sql); err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

// batches runs a query and gives all its batches, and its schema.
func (c *client) batches(connection adbc.Connection, sql string) ([]arrow.RecordBatch, *arrow.Schema, error) {
	made, err := statement(connection, sql)
	if err != nil {
		return nil, nil, err
	}
	defer made.Close()
	return c.execute(made)
}

func (c *client) execute(made adbc.Statement) ([]arrow.RecordBatch, *arrow.Schema, error) {
	reader, _, err := made.ExecuteQuery(c.ctx)
	if err != nil {
		return nil, nil, err
	}
	return drain(reader)
}

func drain(reader array.RecordReader) ([]arrow.RecordBatch, *arrow.Schema, error) {
	defer reader.Release()
	var all []arrow.RecordBatch
	for reader.Next() {
		batch := reader.RecordBatch()
		batch.Retain()
		all = append(all, batch)
	}
	return all, reader.Schema(), reader.Err()
}

// number is the one whole number that a query gives.
func (c *client) number(connection adbc.Connection, sql string) (int64, error) {
	all, _, err := c.batches(connection, sql)
	if err != nil {
		return 0, err
	}
	return one(all)
}

func one(all []arrow.RecordBatch) (int64, error) {
	if len(all) != 1 || all[0].NumRows() != 1 {
		return 0, fmt.Errorf("%d batches instead of one row", len(all))
	}
	column, found := all[0].Column(0).(*array.Int64)
	if !found {
		return 0, fmt.Errorf("the column is %s instead of int64", all[0].Column(0).DataType())
	}
	return column.Value(0), nil
}

func (c *client) update(connection adbc.Connection, sql string) (int64, error) {
	made, err := statement(connection, sql)
	if err != nil {
		return 0, err
	}
	defer made.Close()
	return made.ExecuteUpdate(c.ctx)
}
