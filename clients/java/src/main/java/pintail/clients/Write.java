package pintail.clients;

import static pintail.clients.Check.equal;
import static pintail.clients.Check.fails;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;

/** Updates, batches, and what may not be written. */
final class Write {
    private static final String TABLE = "clients_jdbc";

    private final Target target;
    private final Connection connection;

    Write(Target target, Connection connection) {
        this.target = target;
        this.connection = connection;
    }

    void run(Check check) {
        check.feature("ddl", this::ddl);
        check.feature("update-counts", this::updateCounts);
        check.feature("batch", this::batch);
        check.feature("telemetry", () ->
            fails(() -> update(connection, "DELETE FROM " + target.get("table")), target.get("table")));
        check.feature("read-only", () -> {
            try (Connection refusing = target.connect("read_only", "token", target.get("token"))) {
                return fails(() -> update(refusing, "CREATE TABLE clients_refused (a BIGINT)"), "read-only");
            }
        });
    }

    private static long update(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return statement.executeLargeUpdate(sql);
        }
    }

    private String ddl() throws SQLException {
        update(connection, "CREATE TABLE " + TABLE + " (id BIGINT, name VARCHAR, value DOUBLE)");
        update(connection, "CREATE VIEW " + TABLE + "_view AS SELECT name FROM " + TABLE);
        update(connection, "DROP VIEW " + TABLE + "_view");
        try (Statement statement = connection.createStatement()) {
            equal(statement.execute("CREATE TABLE " + TABLE + "_copy AS SELECT 1 AS one"), false, "it has rows");
            equal(statement.execute("SELECT one FROM " + TABLE + "_copy"), true, "it has rows");
            equal(statement.execute("DROP TABLE " + TABLE + "_copy"), false, "it has rows");
        }
        return null;
    }

    private String updateCounts() throws SQLException {
        equal(update(connection, "INSERT INTO " + TABLE + " VALUES (1, 'a', 1.5), (2, 'b', NULL), (3, NULL, 3)"), 3L,
            "inserted");
        equal(update(connection, "UPDATE " + TABLE + " SET value = 0 WHERE id > 1"), 2L, "updated");
        try (PreparedStatement statement = connection.prepareStatement("DELETE FROM " + TABLE + " WHERE id = ?")) {
            for (int[] idAndCount : new int[][] {{3, 1}, {2, 1}, {2, 0}}) {
                statement.setLong(1, idAndCount[0]);
                equal(statement.executeUpdate(), idAndCount[1], "deleted rows with id " + idAndCount[0]);
            }
        }
        equal(count(), 1L, "rows");
        return null;
    }

    private String batch() throws SQLException {
        try (PreparedStatement statement =
                 connection.prepareStatement("INSERT INTO " + TABLE + " VALUES (?, ?, ?)")) {
            for (int i = 0; i < 100; i++) {
                statement.setLong(1, 100 + i);
                statement.setString(2, "name " + i);
                statement.setDouble(3, i / 2.0);
                statement.addBatch();
            }
            int[] counts = statement.executeBatch();
            equal(Arrays.stream(counts).sum(), 100, "sum of the counts " + Arrays.toString(counts));
        }
        equal(count(), 101L, "rows");
        update(connection, "DROP TABLE " + TABLE);
        return null;
    }

    private long count() throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery("SELECT count(*) FROM " + TABLE)) {
            equal(row.next(), true, "there is a row");
            return row.getLong(1);
        }
    }
}
