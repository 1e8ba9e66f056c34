package pintail.clients;

import static pintail.clients.Check.equal;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** DatabaseMetaData: what DBeaver, DataGrip and Tableau ask before they show a tree. */
final class Browse {
    /** Questions that no server can make the driver answer. */
    private static final Set<String> DRIVER_FAULTS = Set.of("getRowIdLifetime", "getDefaultTransactionIsolation");

    private final Target target;
    private final DatabaseMetaData metadata;

    Browse(Target target, Connection connection) throws SQLException {
        this.target = target;
        this.metadata = connection.getMetaData();
    }

    void run(Check check) {
        check.feature("server-info", this::serverInfo);
        check.feature("catalogs", () -> holds(column(metadata.getCatalogs(), "TABLE_CAT"), target.get("catalog")));
        check.feature("schemas", () -> {
            holds(column(metadata.getSchemas(), "TABLE_SCHEM"), "main");
            return holds(column(metadata.getSchemas(target.get("catalog"), "ma%"), "TABLE_SCHEM"), "main");
        });
        check.feature("tables", this::tables);
        check.feature("columns", this::columns);
        check.feature("table-types",
            () -> holds(column(metadata.getTableTypes(), "TABLE_TYPE"), "BASE TABLE", "VIEW"));
        check.feature("keys", this::keys);
    }

    /** Every question without arguments must have an answer: older drivers fail on a fact that is missing. */
    private String serverInfo() throws IllegalAccessException, SQLException {
        equal(metadata.getDatabaseProductName(), "Pintail", "product");
        List<String> failed = new ArrayList<>();
        int asked = 0;
        for (Method method : DatabaseMetaData.class.getMethods()) {
            boolean answersRows = ResultSet.class.isAssignableFrom(method.getReturnType());
            // getDefaultTransactionIsolation: the driver casts to long what the protocol says is an int32.
            if (method.getParameterCount() > 0 || answersRows || DRIVER_FAULTS.contains(method.getName())) {
                continue;
            }
            asked += 1;
            try {
                method.invoke(metadata);
            } catch (InvocationTargetException error) {
                failed.add(method.getName() + ": " + error.getCause());
            }
        }
        equal(failed, List.of(), "failed questions");
        // The driver has no types to tell: it answers with no rows, and never asks the server.
        equal(column(metadata.getTypeInfo(), "TYPE_NAME"), Set.of(), "types");
        return metadata.getDatabaseProductVersion() + ", " + asked + " questions";
    }

    private String tables() throws SQLException {
        String table = target.get("table");
        String escaped = table.replace("_", metadata.getSearchStringEscape() + "_");
        for (String pattern : List.of(table, escaped, "hep%call")) {
            ResultSet rows = metadata.getTables(null, null, pattern, new String[] {"TABLE"});
            holds(column(rows, "TABLE_NAME"), table);
        }
        return column(metadata.getTables(target.get("catalog"), "main", "%", null), "TABLE_NAME").size() + " tables";
    }

    private String columns() throws SQLException {
        String last = "";
        int count = 0;
        try (ResultSet rows = metadata.getColumns(target.get("catalog"), "main", target.get("table"), "%")) {
            while (rows.next()) {
                count += 1;
                equal(rows.getInt("ORDINAL_POSITION"), count, "position");
                last = rows.getString("COLUMN_NAME");
                if (last.equals("timestamp")) {
                    int type = rows.getInt("DATA_TYPE");
                    equal(type == Types.TIMESTAMP || type == Types.TIMESTAMP_WITH_TIMEZONE, true, "timestamp is one");
                }
                if (last.equals("src_port")) {
                    equal(rows.getInt("DATA_TYPE") != Types.OTHER, true, "src_port has a type");
                    equal(rows.getString("REMARKS"), "port that the packet came from", "remarks");
                }
                equal(rows.getString("TYPE_NAME").isEmpty(), false, "no type name for " + last);
            }
        }
        equal(last, "storage_volume", "last column");
        ResultSet some = metadata.getColumns(null, null, target.get("table"), "src_%");
        equal(column(some, "COLUMN_NAME"), Set.of("src_ip", "src_port"), "columns like src_%");
        return count + " columns";
    }

    private String keys() throws SQLException {
        String catalog = target.get("catalog");
        String table = target.get("table");
        equal(column(metadata.getPrimaryKeys(catalog, "main", table), "COLUMN_NAME"), Set.of(), "primary keys");
        equal(column(metadata.getImportedKeys(catalog, "main", table), "FKCOLUMN_NAME"), Set.of(), "imported");
        equal(column(metadata.getExportedKeys(catalog, "main", table), "FKCOLUMN_NAME"), Set.of(), "exported");
        ResultSet cross = metadata.getCrossReference(catalog, "main", table, catalog, "main", table);
        equal(column(cross, "FKCOLUMN_NAME"), Set.of(), "cross reference");
        return null;
    }

    private static Set<String> column(ResultSet rows, String name) throws SQLException {
        Set<String> values = new TreeSet<>();
        try (rows) {
            while (rows.next()) {
                values.add(rows.getString(name));
            }
        }
        return values;
    }

    private static String holds(Set<String> names, String... wanted) {
        for (String name : wanted) {
            equal(names.contains(name), true, name + " among " + names);
        }
        return String.join(", ", names);
    }
}
