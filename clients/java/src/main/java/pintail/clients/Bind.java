package pintail.clients;

import static pintail.clients.Check.equal;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Calendar;
import java.util.List;
import java.util.Objects;
import java.util.TimeZone;

/** PreparedStatement with every setter. */
final class Bind {
    private final Target target;
    private final Connection connection;

    Bind(Target target, Connection connection) {
        this.target = target;
        this.connection = connection;
    }

    void run(Check check) {
        check.feature("prepared", this::prepared);
        check.feature("parameters", this::parameters);
    }

    private String prepared() throws SQLException {
        String sql = "SELECT count(*) FROM " + target.get("table") + " WHERE src_port > ? AND session_id <> ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            equal(statement.getParameterMetaData().getParameterCount(), 2, "parameters");
            for (int i = 0; i < 20; i++) {
                statement.setInt(1, 0);
                statement.setString(2, "it's nobody " + i);
                try (ResultSet row = statement.executeQuery()) {
                    equal(row.next(), true, "there is a row");
                    equal(row.getInt(1), target.number("rows"), "rows");
                }
            }
        }
        return null;
    }

    /** Sets the one parameter of a statement. */
    private interface Setter {
        void set(PreparedStatement statement) throws SQLException;
    }

    /** A setter, the type its parameter is declared with, and what a query must make of the value. */
    private record Binding(String name, String type, String expected, Setter setter) {}

    private static final List<Binding> BINDINGS = List.of(
        new Binding("setBoolean", "BOOLEAN", "true", s -> s.setBoolean(1, true)),
        new Binding("setByte", "TINYINT", "-8", s -> s.setByte(1, (byte) -8)),
        new Binding("setShort", "SMALLINT", "-16000", s -> s.setShort(1, (short) -16000)),
        new Binding("setInt", "INT", "2000000000", s -> s.setInt(1, 2_000_000_000)),
        new Binding("setLong", "BIGINT", "9000000000000000000", s -> s.setLong(1, 9_000_000_000_000_000_000L)),
        new Binding("setFloat", "FLOAT", "1.5", s -> s.setFloat(1, 1.5f)),
        new Binding("setDouble", "DOUBLE", "2.25", s -> s.setDouble(1, 2.25)),
        new Binding("setBigDecimal", "DECIMAL(18,3)", "12345.678",
            s -> s.setBigDecimal(1, new BigDecimal("12345.678"))),
        new Binding("setString", "VARCHAR", "it's Grüße", s -> s.setString(1, "it's Grüße")),
        new Binding("setDate", "DATE", "2026-01-02", s -> s.setDate(1, Date.valueOf("2026-01-02"))),
        new Binding("setTime", "TIME", "03:04:05", s -> s.setTime(1, Time.valueOf("03:04:05"))),
        new Binding("setTimestamp", "TIMESTAMP", "2026-01-02T03:04:05",
            s -> s.setTimestamp(1, Timestamp.valueOf("2026-01-02 03:04:05"))),
        new Binding("setTimestamp of milliseconds", "TIMESTAMP", "2026-01-02T03:04:05.678",
            s -> s.setTimestamp(1, Timestamp.valueOf("2026-01-02 03:04:05.678"))),
        new Binding("setTimestamp before 1970", "TIMESTAMP", "1969-07-20T20:17:40",
            s -> s.setTimestamp(1, Timestamp.valueOf("1969-07-20 20:17:40"))),
        new Binding("setTimestamp with a zone", "TIMESTAMP", "2026-01-02T03:04:05",
            s -> s.setTimestamp(1, Timestamp.from(Instant.parse("2026-01-02T03:04:05Z")),
                Calendar.getInstance(TimeZone.getTimeZone("UTC")))),
        new Binding("setNull", "BIGINT", null, s -> s.setNull(1, Types.BIGINT)),
        new Binding("setObject", "BIGINT", "7", s -> s.setObject(1, 7L)),
        new Binding("setObject of text", "VARCHAR", "text", s -> s.setObject(1, "text")));

    private String parameters() throws SQLException {
        List<String> wrong = new ArrayList<>();
        for (Binding binding : BINDINGS) {
            String found = bound(binding);
            if (!Objects.equals(found, binding.expected)) {
                wrong.add(binding.name + " gives " + found);
            }
        }
        equal(wrong, List.of(), "what is wrong");
        try (PreparedStatement statement = connection.prepareStatement("SELECT CAST(? AS BYTEA) AS bytes")) {
            statement.setBytes(1, new byte[] {0, (byte) 0xff});
            try (ResultSet row = statement.executeQuery()) {
                equal(row.next(), true, "there is a row for setBytes");
                equal(Arrays.equals(row.getBytes(1), new byte[] {0, (byte) 0xff}), true, "setBytes");
            }
        }
        compared();
        return BINDINGS.size() + 2 + " setters";
    }

    /** Moments that are compared to a column. */
    private void compared() throws SQLException {
        String table = target.get("table");
        String counted = "SELECT count(*) FROM " + table + " WHERE timestamp > ? AND timestamp < ?";
        try (PreparedStatement statement = connection.prepareStatement(counted)) {
            statement.setTimestamp(1, Timestamp.valueOf("2020-01-01 00:00:00"));
            statement.setTimestamp(2, Timestamp.valueOf("2100-01-01 00:00:00"));
            try (ResultSet row = statement.executeQuery()) {
                equal(row.next(), true, "there is a row");
                equal(row.getInt(1), target.number("rows"), "rows between two moments");
            }
        }
    }

    private String bound(Binding binding) {
        String sql = "SELECT CAST(CAST(? AS " + binding.type + ") AS VARCHAR) AS text";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            binding.setter.set(statement);
            try (ResultSet row = statement.executeQuery()) {
                return row.next() ? row.getString(1) : "no row";
            }
        } catch (SQLException error) {
            return error.getMessage();
        }
    }
}
