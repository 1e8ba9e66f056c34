package grafana

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc/metadata"

	"pintail/clients/check"
)

// plugin is the Flight SQL datasource: one client for as long as its settings do not change.
type plugin struct {
	target check.Target
	client *flightsql.Client
	ctx    context.Context
}

func (p *plugin) run(lines check.Client) {
	lines.Feature("token", func() (string, error) { return "", p.open("plain", "", p.target["reader_token"]) })
	lines.Feature("oidc", func() (string, error) { return "", p.open("plain", p.target["oidc_user"], p.target["oidc_password"]) })
	lines.Feature("tls", func() (string, error) { return "", p.open("tls", p.target["user"], p.target["password"]) })
	lines.Feature("restart", func() (string, error) {
		if err := check.RestartServer(); err != nil {
			return "", err
		}
		return "", p.works()
	})
	lines.Feature("basic", func() (string, error) { return "", p.open("plain", p.target["user"], p.target["password"]) })
	lines.Feature("probe", func() (string, error) { return "", p.works() })
	lines.Feature("server-info", p.serverInfo)
	lines.Feature("tables", p.tables)
	lines.Feature("columns", p.columns)
	lines.Feature("query", p.query)
	lines.Feature("errors", p.errors)
	lines.Feature("time", p.time)
}

// open makes the client of a datasource instance: a Handshake when there is a user, else the secret is a token.
func (p *plugin) open(listener, user, secret string) error {
	client, err := dial(p.target, listener)
	if err != nil {
		return err
	}
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.Pairs("database", "main"))
	if user == "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+secret)
	} else if ctx, err = client.Client.AuthenticateBasicToken(ctx, user, secret); err != nil {
		return err
	}
	p.client, p.ctx = client, ctx
	return p.works()
}

func (p *plugin) works() error {
	got, err := fetch(p.ctx, p.client, "select 1")
	return check.First(err, check.Equal(got.rows, int64(1), "rows"))
}

// resource fetches the answer to a metadata call.
func (p *plugin) resource(info *flight.FlightInfo, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return get(p.ctx, p.client, info)
}

func (p *plugin) serverInfo() (string, error) {
	got, err := p.resource(p.client.GetSqlInfo(p.ctx, nil))
	if err != nil {
		return "", err
	}
	if got.rows < 80 {
		return "", fmt.Errorf("only %d facts", got.rows)
	}
	return fmt.Sprintf("%d facts", got.rows), nil
}

func (p *plugin) tables() (string, error) {
	got, err := p.resource(p.client.GetTables(p.ctx, &flightsql.GetTablesOpts{TableTypes: []string{"BASE TABLE", "table"}}))
	if err != nil {
		return "", err
	}
	names, err := texts(got, "table_name")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if name == p.target["table"] {
			return fmt.Sprintf("%d tables", len(names)), nil
		}
	}
	return "", fmt.Errorf("no %s in %v", p.target["table"], names)
}

// columns: the plugin sends the name unescaped, and reads only the first row's schema.
func (p *plugin) columns() (string, error) {
	name := p.target["table"]
	got, err := p.resource(p.client.GetTables(p.ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &name, IncludeSchema: true}))
	if err != nil {
		return "", err
	}
	index := got.schema.FieldIndices("table_schema")
	if len(index) != 1 || got.rows == 0 {
		return "", fmt.Errorf("no schema of %s", name)
	}
	bytes := got.batches[0].Column(index[0]).(*array.Binary).Value(0)
	schema, err := flight.DeserializeSchema(bytes, p.client.Alloc)
	if err != nil {
		return "", err
	}
	if !schema.HasField("time") {
		return "", fmt.Errorf("no column time in %v", schema)
	}
	return fmt.Sprintf("%d columns", schema.NumFields()), nil
}

func (p *plugin) query() (string, error) {
	got, err := fetch(p.ctx, p.client, "SELECT time, session_id FROM "+p.target["table"])
	if err != nil {
		return "", err
	}
	return "", check.First(check.Equal(got.rows, p.target.Number("rows"), "rows"), isPlain(got.schema))
}

func (p *plugin) errors() (string, error) {
	_, err := fetch(p.ctx, p.client, "SELECT no_such_column")
	return "", check.Fails(err, "no_such_column", "line 1, column 8")
}

func (p *plugin) time() (string, error) {
	got, err := fetch(p.ctx, p.client, p.target["query_types"])
	if err != nil {
		return "", err
	}
	return "", isPlain(got.schema)
}
