// Package grafana plays what Grafana sends: the InfluxDB datasource in SQL mode, and the Flight SQL plugin.
//
// The datasource makes a client per request, asks GetFlightInfo with CommandStatementQuery, wants exactly one endpoint,
// and fetches its ticket on the same connection, with gRPC's own limit of 4 MiB per message. It sends no Handshake.
// The plugin does the same with one client for its whole life, after a Handshake when it has a password.
package grafana

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"pintail/clients/check"
)

// Run tries both datasources; dashboard is the path of the dashboard whose panels are run.
func Run(target check.Target, dashboard string) error {
	influx := &influxdb{target: target}
	arrowGo := "arrow-go " + check.ModuleVersion("github.com/apache/arrow-go/v18")
	influx.run(check.New("grafana-influxdb", arrowGo+", playing the datasource's calls"), dashboard)
	plugin := &plugin{target: target}
	plugin.run(check.New("grafana-plugin", arrowGo+", playing the plugin's calls"))
	return nil
}

// dial opens a client as Grafana does: no options but the transport's.
func dial(target check.Target, listener string) (*flightsql.Client, error) {
	transport := insecure.NewCredentials()
	if listener == "tls" {
		// Grafana trusts the pool of its machine, which holds the operator's authority.
		authority, err := os.ReadFile(target["ca"])
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		transport = credentials.NewClientTLSFromCert(pool, "")
	}
	return flightsql.NewClient(target[listener], nil, nil, grpc.WithTransportCredentials(transport))
}

// answer is what a query gave.
type answer struct {
	schema  *arrow.Schema
	batches []arrow.RecordBatch
	rows    int64
}

// rowLimit is where the datasource stops reading.
const rowLimit = 1_000_000

// fetch runs one query on an open client.
func fetch(ctx context.Context, client *flightsql.Client, sql string) (answer, error) {
	info, err := client.Execute(ctx, sql)
	if err != nil {
		return answer{}, err
	}
	return get(ctx, client, info)
}

func get(ctx context.Context, client *flightsql.Client, info *flight.FlightInfo) (answer, error) {
	if len(info.Endpoint) != 1 {
		return answer{}, fmt.Errorf("unsupported endpoint count in response: %d", len(info.Endpoint))
	}
	stream, err := client.Client.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		return answer{}, err
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		return answer{}, err
	}
	defer reader.Release()
	got := answer{schema: reader.Schema()}
	for reader.Next() {
		batch := reader.RecordBatch()
		batch.Retain()
		got.batches = append(got.batches, batch)
		got.rows += batch.NumRows()
		if got.rows > rowLimit {
			return got, nil
		}
	}
	return got, reader.Err()
}

// withHeaders is a context whose calls carry these headers.
func withHeaders(pairs ...string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	return metadata.NewOutgoingContext(ctx, metadata.Pairs(pairs...)), cancel
}

// isPlain is an error for a column that the datasource leaves empty or reads wrong: it knows few types, and takes every
// timestamp for nanoseconds.
func isPlain(schema *arrow.Schema) error {
	for _, field := range schema.Fields() {
		switch field.Type.ID() {
		case arrow.STRING, arrow.BOOL, arrow.FLOAT32, arrow.FLOAT64, arrow.DURATION,
			arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64,
			arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		case arrow.TIMESTAMP:
			if unit := field.Type.(*arrow.TimestampType).Unit; unit != arrow.Nanosecond {
				return fmt.Errorf("%s counts %s, which Grafana takes for nanoseconds", field.Name, unit)
			}
		default:
			return fmt.Errorf("%s is %s, which Grafana leaves empty", field.Name, field.Type)
		}
	}
	return nil
}
