package adbcflight

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apache/arrow-adbc/go/adbc"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pintail/clients/check"
)

func (c *client) serverInfo() (string, error) {
	reader, err := c.connection.GetInfo(c.ctx, []adbc.InfoCode{adbc.InfoVendorName, adbc.InfoVendorVersion})
	if err != nil {
		return "", err
	}
	all, _, err := drain(reader)
	if err != nil {
		return "", err
	}
	text := fmt.Sprint(all)
	if !strings.Contains(text, "Pintail") {
		return "", fmt.Errorf("no Pintail in %s", text)
	}
	return "", nil
}

// objects is the catalog tree down to depth, as the JSON that the driver's nested columns give.
func (c *client) objects(depth adbc.ObjectDepth, schema, table *string) (string, error) {
	reader, err := c.connection.GetObjects(c.ctx, depth, nil, schema, table, nil, nil)
	if err != nil {
		return "", err
	}
	all, _, err := drain(reader)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, batch := range all {
		rows, err := json.Marshal(array.RecordToStructArray(batch))
		if err != nil {
			return "", err
		}
		text.Write(rows)
	}
	return text.String(), nil
}

func holds(text string, err error, wanted ...string) error {
	if err != nil {
		return err
	}
	for _, part := range wanted {
		if !strings.Contains(text, fmt.Sprintf("%q", part)) {
			return fmt.Errorf("no %s in %.200s", part, text)
		}
	}
	return nil
}

func (c *client) catalogs() (string, error) {
	text, err := c.objects(adbc.ObjectDepthCatalogs, nil, nil)
	return "", holds(text, err, c.target["catalog"])
}

func (c *client) schemas() (string, error) {
	text, err := c.objects(adbc.ObjectDepthDBSchemas, nil, nil)
	return "", holds(text, err, c.target["catalog"], "main")
}

func (c *client) tables() (string, error) {
	schema := "main"
	for _, pattern := range []string{c.target["table"], strings.ReplaceAll(c.target["table"], "_", `\_`), "hep%call"} {
		text, err := c.objects(adbc.ObjectDepthTables, &schema, &pattern)
		if err := holds(text, err, c.target["table"], "BASE TABLE"); err != nil {
			return "", fmt.Errorf("%s: %w", pattern, err)
		}
	}
	return "", nil
}

func (c *client) columns() (string, error) {
	table := c.target["table"]
	text, err := c.objects(adbc.ObjectDepthColumns, nil, &table)
	if err := holds(text, err, "uuid", "timestamp", "session_id", "payload"); err != nil {
		return "", err
	}
	schema, err := c.connection.GetTableSchema(c.ctx, nil, nil, table)
	if err != nil {
		return "", err
	}
	_, streamed, err := c.batches(c.connection, "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		return "", err
	}
	if !schemasEqual(schema, streamed) {
		return "", fmt.Errorf("GetTableSchema says %v, the stream %v", schema, streamed)
	}
	return fmt.Sprintf("%d columns", schema.NumFields()), nil
}

// schemasEqual compares names, types and nullability.
func schemasEqual(one, other *arrow.Schema) bool {
	if one.NumFields() != other.NumFields() {
		return false
	}
	for i, field := range one.Fields() {
		with := other.Field(i)
		same := field.Name == with.Name && arrow.TypeEqual(field.Type, with.Type) && field.Nullable == with.Nullable
		if !same {
			return false
		}
	}
	return true
}

func (c *client) tableTypes() (string, error) {
	reader, err := c.connection.GetTableTypes(c.ctx)
	if err != nil {
		return "", err
	}
	all, _, err := drain(reader)
	if err != nil {
		return "", err
	}
	text := fmt.Sprint(all)
	return "", check.First(holds(text, nil, "BASE TABLE", "VIEW"))
}
