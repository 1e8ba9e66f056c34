package pintail.clients;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;

/** One printed line per feature: {@code client<TAB>feature<TAB>pass|fail<TAB>detail}. */
final class Check {
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    private final String client;

    Check(String client) {
        this.client = client;
    }

    void version(String version) {
        line("version", version, "");
    }

    /** Runs one feature; what it returns, if anything, is the detail. */
    void feature(String name, Callable<?> step) {
        try {
            Object detail = step.call();
            line(name, "pass", detail == null ? "" : detail.toString());
        } catch (Exception | AssertionError | LinkageError error) {
            line(name, "fail", error.getClass().getSimpleName() + ": " + error.getMessage());
            error.printStackTrace();
        }
    }

    private void line(String feature, String outcome, String detail) {
        String oneLine = detail.replaceAll("\\s+", " ");
        String shown = oneLine.substring(0, Math.min(oneLine.length(), 400));
        System.out.println(client + "\t" + feature + "\t" + outcome + "\t" + shown);
    }

    /** Asks whoever started us to restart the server with TLS, and waits until it is there again. */
    static void restartServer() throws IOException {
        System.out.println("restart");
        INPUT.readLine();
    }

    static void equal(Object actual, Object expected, String what) {
        if (!Objects.equals(actual, expected)) {
            throw new AssertionError(what + " is " + actual + " and should be " + expected);
        }
    }

    /** Runs what must fail; its message must hold every part, in any case of letters. */
    static String fails(Callable<?> step, String... parts) {
        try {
            step.call();
        } catch (Exception error) {
            String message = serverMessage(error);
            for (String part : parts) {
                if (!message.toLowerCase(Locale.ROOT).contains(part.toLowerCase(Locale.ROOT))) {
                    throw new AssertionError("the error should say " + part + ": " + message, error);
                }
            }
            return message.lines().findFirst().orElse("");
        }
        throw new AssertionError("it should have failed");
    }

    /** What the server said: the driver puts the statement before it, which may hold the wanted words too. */
    private static String serverMessage(Throwable error) {
        Throwable deepest = error;
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
            deepest = cause.getMessage() == null ? deepest : cause;
        }
        return String.valueOf(deepest.getMessage());
    }
}
