package pintail.clients;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

/** The servers to connect to, read from the file of {@code key=value} lines that the runner writes. */
final class Target {
    private final Map<String, String> values = new HashMap<>();

    Target(Path file) throws IOException {
        for (String line : Files.readAllLines(file)) {
            int equals = line.indexOf('=');
            values.put(line.substring(0, equals), line.substring(equals + 1));
        }
    }

    String get(String key) {
        String value = values.get(key);
        if (value == null) {
            throw new IllegalArgumentException("the target file has no key " + key);
        }
        return value;
    }

    int number(String key) {
        return Integer.parseInt(get(key));
    }

    /** A connection in clear to the listener of this name; {@code options} are names and values in turn. */
    Connection connect(String listener, String... options) throws SQLException {
        return open(listener, "useEncryption=false", options);
    }

    /** The same over TLS, trusting the runner's certificate authority. */
    Connection connectTls(String listener, String... options) throws SQLException {
        return open(listener, "useEncryption=true&tlsRootCerts=" + get("ca"), options);
    }

    /** TLS with whatever the machine trusts, which is not the runner's certificate authority. */
    Connection connectUntrusted(String listener, String... options) throws SQLException {
        return open(listener, "useEncryption=true", options);
    }

    private Connection open(String listener, String query, String... options) throws SQLException {
        Properties properties = new Properties();
        for (int i = 0; i < options.length; i += 2) {
            properties.setProperty(options[i], options[i + 1]);
        }
        return DriverManager.getConnection("jdbc:arrow-flight-sql://" + get(listener) + "/?" + query, properties);
    }

    /** The connection that most features are tried on. */
    Connection connect() throws SQLException {
        return connect("plain", "user", get("user"), "password", get("password"));
    }
}
