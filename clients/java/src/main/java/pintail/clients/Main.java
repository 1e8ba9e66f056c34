package pintail.clients;

import static pintail.clients.Check.equal;
import static pintail.clients.Check.fails;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** The Flight SQL JDBC driver: ways to connect, then what is tried on one connection. */
public final class Main {
    private static final String CLIENT = "jdbc";

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Target target = new Target(Path.of(arguments[0]));
        Check check = new Check(CLIENT);
        connect(check, target);
        try (Connection connection = target.connect()) {
            var driver = connection.getMetaData();
            check.version("flight-sql-jdbc-driver " + driver.getDriverVersion());
            new Browse(target, connection).run(check);
            new Read(target, connection).run(check);
            new Bind(target, connection).run(check);
            new Write(target, connection).run(check);
        }
        check.feature("session-options", () -> sessionOptions(target));
        check.feature("transactions", () -> transactions(target));
        check.feature("restart", () -> restart(target));
        // The driver's own threads would keep the process.
        System.exit(0);
    }

    private static void connect(Check check, Target target) {
        String user = target.get("user");
        String password = target.get("password");
        String token = target.get("token");
        check.feature("anonymous", () -> works(target.connect("open")));
        check.feature("token", () -> {
            works(target.connect("plain", "token", token));
            // Tools that know only user and password give the token as the password.
            return works(target.connect("plain", "user", "anybody", "password", token));
        });
        check.feature("basic", () -> works(target.connect("plain", "user", user, "password", password)));
        check.feature("oidc", () -> works(target.connect("plain",
            "user", target.get("oidc_user"), "password", target.get("oidc_password"))));
        check.feature("oidc-token", () -> works(target.connect("plain", "token", target.get("oidc_token"))));
        check.feature("refused", () -> {
            fails(() -> works(target.connect("plain")), "credentials");
            fails(() -> works(target.connect("plain", "token", "wrong")), "credentials");
            return fails(() -> works(target.connect("plain", "user", user, "password", "wrong")), "credentials");
        });
        check.feature("tls", () -> {
            works(target.connectTls("tls", "token", token));
            works(target.connectTls("tls", "user", user, "password", password));
            return fails(() -> works(target.connectUntrusted("tls", "token", token)));
        });
        check.feature("mutual-tls", () -> {
            works(target.connectTls("mutual_tls", "token", token, "clientCertificate", target.get("client_certificate"),
                "clientKey", target.get("client_key")));
            return fails(() -> works(target.connectTls("mutual_tls", "token", token)));
        });
    }

    /** Asks one question and closes the connection. */
    private static String works(Connection opened) throws SQLException {
        try (Connection connection = opened) {
            one(connection, 1);
        }
        return null;
    }

    private static void one(Connection connection, int number) throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT " + number + " AS number")) {
            equal(rows.next(), true, "there is a row");
            equal(rows.getInt("number"), number, "number");
        }
    }

    private static String sessionOptions(Target target) throws SQLException {
        String catalog = target.get("catalog");
        String[] named = {"user", target.get("user"), "password", target.get("password"), "catalog", catalog};
        Connection connection = target.connect("plain", named);
        try (Statement statement = connection.createStatement()) {
            statement.execute("SET time_zone = 'Europe/Berlin'");
            ResultSet rows = statement.executeQuery("SHOW time_zone");
            equal(rows.next(), true, "there is a row");
            equal(rows.getString(rows.getMetaData().getColumnCount()), "Europe/Berlin", "time zone");
        }
        // With a catalog the driver closes the session a second time, over the channel that it has closed.
        fails(() -> {
            connection.close();
            return null;
        }, "Channel shutdown invoked");
        return fails(() -> works(target.connect("plain", "token", target.get("token"), "catalog", "nowhere")));
    }

    private static String transactions(Target target) throws SQLException {
        try (Connection connection = target.connect()) {
            equal(connection.getMetaData().supportsTransactions(), false, "supportsTransactions");
            equal(connection.getAutoCommit(), true, "autocommit");
        }
        return null;
    }

    private static String restart(Target target) throws Exception {
        String[] basic = {"user", target.get("user"), "password", target.get("password")};
        try (Connection connection = target.connectTls("tls", basic)) {
            one(connection, 1);
            Check.restartServer();
            one(connection, 2);
        }
        return null;
    }
}
