package grafana

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pintail/clients/check"
)

// influxdb is the InfluxDB datasource in SQL mode.
type influxdb struct{ target check.Target }

func (g *influxdb) run(lines check.Client, dashboard string) {
	lines.Feature("anonymous", func() (string, error) { return "", g.works("open", "") })
	lines.Feature("token", func() (string, error) { return "", g.works("plain", g.target["reader_token"]) })
	lines.Feature("oidc-token", func() (string, error) { return "", g.works("plain", g.target["oidc_token"]) })
	lines.Feature("refused", func() (string, error) {
		return "", check.First(
			hasCode(g.works("plain", ""), codes.Unauthenticated), hasCode(g.works("plain", "wrong"), codes.Unauthenticated))
	})
	lines.Feature("tls", func() (string, error) { return "", g.works("tls", g.target["reader_token"]) })
	lines.Feature("probe", g.probe)
	lines.Feature("tables", g.tables)
	lines.Feature("columns", g.columns)
	lines.Feature("query", g.builder)
	lines.Feature("empty", g.empty)
	lines.Feature("nulls", g.nulls)
	lines.Feature("big", g.big)
	lines.Feature("wide", g.wide)
	lines.Feature("errors", g.errors)
	lines.Feature("time", g.time)
	lines.Feature("macros", g.macros)
	lines.Feature("dashboard", func() (string, error) { return g.dashboard(dashboard) })
}

// request is one request of the datasource: a client of its own, with the headers of current versions.
func (g *influxdb) request(listener, token, sql string) (answer, error) {
	client, err := dial(g.target, listener)
	if err != nil {
		return answer{}, err
	}
	defer client.Close()
	headers := []string{"database", "main"}
	if token != "" {
		headers = append(headers, "authorization", "Bearer "+token)
	}
	ctx, cancel := withHeaders(headers...)
	defer cancel()
	return fetch(ctx, client, sql)
}

func (g *influxdb) query(sql string) (answer, error) {
	got, err := g.request("plain", g.target["reader_token"], sql)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", sql, err)
	}
	return got, isPlain(got.schema)
}

func (g *influxdb) works(listener, token string) error {
	got, err := g.request(listener, token, "select 1")
	return check.First(err, check.Equal(got.rows, int64(1), "rows"))
}

func hasCode(err error, code codes.Code) error {
	return check.Equal(status.Code(err), code, "code")
}

// probe is "Save & test": current versions ask `select 1`, an older one sent an empty text.
func (g *influxdb) probe() (string, error) {
	got, err := g.query("select 1")
	_, empty := g.query("")
	return "", check.First(err, check.Equal(got.rows, int64(1), "rows"), check.Fails(empty, "empty query"))
}

// texts is a column of text.
func texts(got answer, name string) ([]string, error) {
	indices := got.schema.FieldIndices(name)
	if len(indices) != 1 {
		return nil, fmt.Errorf("no column %s in %v", name, got.schema)
	}
	var all []string
	for _, batch := range got.batches {
		column, found := batch.Column(indices[0]).(*array.String)
		if !found {
			return nil, fmt.Errorf("%s is no text", name)
		}
		for i := range column.Len() {
			all = append(all, column.Value(i))
		}
	}
	return all, nil
}

func (g *influxdb) holds(sql, column string, wanted ...string) error {
	got, err := g.query(sql)
	if err != nil {
		return err
	}
	found, err := texts(got, column)
	if err != nil {
		return err
	}
	for _, name := range wanted {
		if !slices.Contains(found, name) {
			return fmt.Errorf("%s: no %s in %v", sql, name, found)
		}
	}
	return nil
}

// tables are what the editor lists: of schema `iox`, which it hard-codes, and in the spellings of older versions.
func (g *influxdb) tables() (string, error) {
	table := g.target["table"]
	return "", check.First(
		g.holds("SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox' ORDER BY table_name",
			"table_name", table, "sip_transactions"),
		g.holds("SELECT DISTINCT TABLE_SCHEMA from information_schema.TABLES where TABLE_TYPE != 'SYSTEM VIEW' ORDER BY TABLE_SCHEMA",
			"table_schema", "iox"),
		g.holds("SELECT TABLE_NAME from information_schema.TABLES where TABLE_TYPE != 'SYSTEM VIEW' AND "+
			"table_schema = database() ORDER BY TABLE_NAME", "table_name", table))
}

func (g *influxdb) columns() (string, error) {
	return "", g.holds("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox' AND "+
		"table_name = '"+g.target["table"]+"' ORDER BY column_name", "column_name", "time", "session_id", "src_ip")
}

// builder is what the query builder writes.
func (g *influxdb) builder() (string, error) {
	rows := g.target.Number("rows")
	table := g.target["table"]
	for _, from := range []string{`"` + table + `"`, table, "iox." + table, "iox.\"" + table + "\"", strings.ToUpper(table)} {
		sql := fmt.Sprintf(`SELECT "time", "session_id" FROM %s WHERE "time" >= %s AND "time" <= %s ORDER BY "time" LIMIT 2000000`,
			from, timeFrom, timeTo)
		got, err := g.query(expand(sql, time.Minute))
		if err := check.First(err, check.Equal(got.rows, rows, "rows of "+from)); err != nil {
			return "", err
		}
	}
	// A literal that looks like a column stays as it is.
	got, err := g.query(`SELECT '"time"' AS text, "time" FROM ` + table + ` LIMIT 1`)
	if err != nil {
		return "", err
	}
	found, err := texts(got, "text")
	return "", check.First(err, check.Equal(found, []string{`"time"`}, "text"))
}

func (g *influxdb) empty() (string, error) {
	got, err := g.query(g.target["query_empty"])
	return "", check.First(err, check.Equal(got.rows, int64(0), "rows"))
}

func (g *influxdb) nulls() (string, error) {
	got, err := g.query(g.target["query_nulls"])
	if err != nil {
		return "", err
	}
	for i, field := range got.schema.Fields() {
		// In a field that is declared not null the datasource reads a null as zero.
		if !field.Nullable || !got.batches[0].Column(i).IsNull(0) {
			return "", fmt.Errorf("%s is no null", field.Name)
		}
	}
	return "", nil
}

func (g *influxdb) big() (string, error) {
	got, err := g.query(g.target["query_big"])
	return "", check.First(err, check.Equal(got.rows, int64(rowLimit), "rows"))
}

func (g *influxdb) wide() (string, error) {
	got, err := g.query(g.target["query_wide"])
	if err != nil {
		return "", err
	}
	found, err := texts(got, "wide")
	return "", check.First(err, check.Equal(int64(len(found[0])), g.target.Number("wide_length"), "length"))
}

// errors: the codes become HTTP's, and the text is shown as it is.
func (g *influxdb) errors() (string, error) {
	codeOf := func(sql string) error {
		_, err := g.request("plain", g.target["reader_token"], sql)
		return err
	}
	column := codeOf("SELECT no_such_column")
	return status.Convert(column).Message(), check.First(
		hasCode(column, codes.InvalidArgument), check.Fails(column, "no_such_column", "line 1, column 8"),
		hasCode(codeOf("SELECT * FROM no_such_table"), codes.NotFound))
}

// time: every type arrives as one that Grafana reads, and moments are what they were.
func (g *influxdb) time() (string, error) {
	got, err := g.query(g.target["query_types"])
	if err != nil {
		return "", err
	}
	moment := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	for _, name := range []string{"timestamp", "timestamp_utc"} {
		column := got.batches[0].Column(got.schema.FieldIndices(name)[0]).(*array.Timestamp)
		if read := column.Value(0).ToTime(arrow.Nanosecond); !read.Equal(moment) {
			return "", fmt.Errorf("%s is read as %v", name, read)
		}
	}
	return "", nil
}

// macros: the texts that they become, among them those of older versions.
func (g *influxdb) macros() (string, error) {
	table := g.target["table"]
	steps := []string{
		"SELECT $__dateBin(time) AS time, count(*) AS n FROM " + table + " WHERE $__timeRange(time) GROUP BY 1 ORDER BY 1",
		`SELECT $__dateBin("time") AS "time", count(*) AS n FROM ` + table + ` GROUP BY "time" ORDER BY "time"`,
		"SELECT $__dateBinAlias(time), count(*) AS n FROM " + table + " GROUP BY time_binned ORDER BY time_binned",
		"SELECT count(*) AS n FROM " + table + " WHERE time > $__timeTo - $__interval * 100000",
		"SELECT datepart('minute', time) as time_minute,datepart('hour', time) as time_hour, count(*) AS n FROM " + table +
			" GROUP BY datepart('minute', time),datepart('hour', time)",
	}
	for _, step := range steps {
		got, err := g.query(expand(step, time.Hour))
		if err != nil {
			return "", err
		}
		if got.rows == 0 || got.rows > 3 {
			return "", fmt.Errorf("%s: %d rows: the calls of a minute fall into one or two buckets", step, got.rows)
		}
	}
	// An interval below a second becomes zero.
	_, err := g.query(expand("SELECT $__dateBin(time) AS time FROM "+table, 500*time.Millisecond))
	return "", hasCode(err, codes.InvalidArgument)
}
