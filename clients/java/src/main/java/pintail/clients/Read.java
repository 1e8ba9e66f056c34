package pintail.clients;

import static pintail.clients.Check.equal;
import static pintail.clients.Check.fails;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Calendar;
import java.util.TimeZone;
import java.util.UUID;

/** Statement and ResultSet. */
final class Read {
    /** How long to wait for what must happen soon. */
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final Target target;
    private final Connection connection;

    Read(Target target, Connection connection) {
        this.target = target;
        this.connection = connection;
    }

    void run(Check check) {
        check.feature("query", () -> {
            equal(count("SELECT * FROM " + target.get("table")), target.number("rows"), "rows");
            return null;
        });
        check.feature("empty", () -> {
            equal(count(target.get("query_empty")), 0, "rows");
            return null;
        });
        check.feature("types", this::types);
        check.feature("nulls", this::nulls);
        check.feature("big", this::big);
        check.feature("wide", this::wide);
        check.feature("errors", this::errors);
        check.feature("cancel", this::cancel);
    }

    private int count(String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            int count = 0;
            while (rows.next()) {
                count += 1;
            }
            return count;
        }
    }

    private String types() throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery(target.get("query_types"))) {
            equal(row.next(), true, "there is a row");
            equal(row.getByte("int8"), (byte) -8, "int8");
            equal(row.getShort("int16"), (short) -16000, "int16");
            equal(row.getInt("int32"), -2_000_000_000, "int32");
            equal(row.getLong("int64"), -9_000_000_000_000_000_000L, "int64");
            // Of the unsigned types the driver reads only this one right above half its range; see docs/clients.md.
            equal(row.getInt("uint16"), 60_000, "uint16");
            equal(row.getFloat("float32"), 1.5f, "float32");
            equal(row.getDouble("float64"), 2.25, "float64");
            equal(row.getBigDecimal("decimal"), new BigDecimal("12345.678"), "decimal");
            equal(row.getBoolean("boolean"), true, "boolean");
            for (String[] text : new String[][] {{"text", "Grüße"}, {"view", "view"}, {"dictionary", "word"}}) {
                equal(row.getString(text[0]), text[1], text[0]);
            }
            equal(Arrays.equals(row.getBytes("binary"), new byte[] {0, (byte) 0xff}), true, "binary");
            Calendar utc = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
            equal(row.getDate("date", utc).toLocalDate().toString(), "2026-01-02", "date");
            Instant moment = Instant.parse("2026-01-02T03:04:05.678901Z");
            equal(row.getTimestamp("timestamp_utc").toInstant().toEpochMilli(), moment.toEpochMilli(), "timestamp_utc");
            equal(row.getTimestamp("timestamp", utc).toInstant().toEpochMilli(), moment.toEpochMilli(), "timestamp");
            for (String name : new String[] {"time", "list", "struct", "map"}) {
                equal(row.getObject(name) != null, true, name + " has a value");
            }
            ResultSetMetaData columns = row.getMetaData();
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                equal(columns.getColumnTypeName(i).isEmpty(), false, "type name of " + columns.getColumnName(i));
            }
            return columns.getColumnCount() + " types";
        }
    }

    private String nulls() throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery(target.get("query_nulls"))) {
            equal(row.next(), true, "there is a row");
            for (int i = 1; i <= row.getMetaData().getColumnCount(); i++) {
                // getObject of a timestamp with time zone is not implemented in the driver.
                equal(row.getString(i), null, row.getMetaData().getColumnName(i));
                equal(row.wasNull(), true, "wasNull of " + row.getMetaData().getColumnName(i));
            }
        }
        return null;
    }

    private String big() throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery(target.get("query_big"))) {
            long count = 0;
            long sum = 0;
            while (rows.next()) {
                count += 1;
                sum += rows.getLong(1);
            }
            equal(count, 1_000_000L, "rows");
            equal(sum, 499_999_500_000L, "sum");
        }
        return null;
    }

    private String wide() throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery(target.get("query_wide"))) {
            equal(row.next(), true, "there is a row");
            int length = row.getString(1).getBytes(StandardCharsets.UTF_8).length;
            equal(length, target.number("wide_length"), "length");
        }
        return null;
    }

    private String errors() {
        fails(() -> count("SELECT * FROM no_such_table"), "no_such_table");
        fails(() -> count("SELECT 1 / (value - 5) FROM generate_series(1, 10)"), "zero");
        return fails(() -> count("SELECT 1,\n  no_such_column"), "no_such_column", "line 2", "column 3");
    }

    private String cancel() throws SQLException {
        String marker = "marker-" + UUID.randomUUID();
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery(target.get("query_slow").replace("MARKER", marker));
            equal(rows.next(), true, "there is a row");
            equal(live(marker), 1L, "live queries before");
            statement.cancel();
            String outcome = fails(() -> {
                while (rows.next()) {
                    // What was on its way still arrives.
                }
                return null;
            });
            waitUntilIdle(marker);
            return outcome;
        }
    }

    private void waitUntilIdle(String marker) throws SQLException {
        Instant limit = Instant.now().plus(PATIENCE);
        while (live(marker) > 0) {
            equal(Instant.now().isBefore(limit), true, "the cancelled query ended within " + PATIENCE);
        }
    }

    private long live(String marker) throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery(target.get("query_live").replace("MARKER", marker))) {
            equal(row.next(), true, "there is a row");
            return row.getLong(1);
        }
    }
}
