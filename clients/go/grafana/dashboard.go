package grafana

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pintail/clients/check"
)

// The time range of the panels: all that was captured while the clients run.
var (
	from     = time.Now().Add(-6 * time.Hour).UTC()
	to       = time.Now().Add(6 * time.Hour).UTC()
	timeFrom = moment(from)
	timeTo   = moment(to)
)

// moment is a time as the datasource writes it: whole seconds.
func moment(at time.Time) string {
	return fmt.Sprintf("cast('%s' as timestamp)", at.Format(time.RFC3339))
}

var (
	dateBin      = regexp.MustCompile(`\$__dateBin\(([^)]*)\)`)
	dateBinAlias = regexp.MustCompile(`\$__dateBinAlias\(([^)]*)\)`)
	timeRange    = regexp.MustCompile(`\$__(?:timeRange|timeFilter)\(([^)]*)\)`)
)

// expand replaces the macros as the datasource does before it sends a query.
func expand(sql string, interval time.Duration) string {
	seconds := fmt.Sprintf("interval '%d second'", int64(interval.Seconds()))
	bin := "date_bin(" + seconds + ", $1, timestamp '1970-01-01T00:00:00Z')"
	sql = dateBinAlias.ReplaceAllString(sql, bin+" as ${1}_binned")
	sql = dateBin.ReplaceAllString(sql, bin)
	// The SDK's own macros quote plain moments.
	sql = timeRange.ReplaceAllString(sql, fmt.Sprintf("$1 >= '%s' AND $1 <= '%s'",
		from.Format(time.RFC3339), to.Format(time.RFC3339)))
	return strings.NewReplacer("$__timeFrom", timeFrom, "$__timeTo", timeTo, "$__interval", seconds).Replace(sql)
}

// panel is what the dashboard says of one of its panels.
type panel struct {
	Title   string
	Type    string
	Targets []struct {
		RawSQL string `json:"rawSql"`
		Format string
	}
}

// dashboard runs the query of every panel: each must have rows, and a time series needs its column `time`.
func (g *influxdb) dashboard(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var read struct{ Panels []panel }
	if err := json.Unmarshal(text, &read); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	queries := 0
	for _, panel := range read.Panels {
		for _, query := range panel.Targets {
			got, err := g.query(expand(query.RawSQL, time.Minute))
			if err := check.First(err, fits(got, query.Format)); err != nil {
				return "", fmt.Errorf("panel %q: %w", panel.Title, err)
			}
			queries++
		}
	}
	if queries == 0 {
		return "", fmt.Errorf("%s has no queries", path)
	}
	return fmt.Sprintf("%d queries", queries), nil
}

func fits(got answer, format string) error {
	if got.rows == 0 {
		return fmt.Errorf("no rows")
	}
	if format == "table" {
		return nil
	}
	indices := got.schema.FieldIndices("time")
	if len(indices) != 1 || got.schema.Field(indices[0]).Type.ID() != arrow.TIMESTAMP {
		return fmt.Errorf("no time column found in %v", got.schema)
	}
	return nil
}
