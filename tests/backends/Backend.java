import java.lang.reflect.Field;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/** Runs DynamoDB Local or ElasticMQ until its standard input is closed, which means that its parent has ended. */
final class Backend {
    public static void main(String[] arguments) throws Exception {
        ParentWatch.start();
        switch (arguments[0]) {
            case "dynamodb" -> dynamodb(arguments[1]);
            case "elasticmq" -> elasticmq(arguments[1]);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** Binds it to loopback. Its default is every interface, and it has no option for that. */
    private static void dynamodb(String port) throws Exception {
        DynamoDBProxyServer dynamodb = ServerRunner.createServerFromCommandLineArgs(
                new String[] {"-inMemory", "-sharedDb", "-disableTelemetry", "-port", port});
        Field server = DynamoDBProxyServer.class.getDeclaredField("server");
        server.setAccessible(true);
        for (Connector connector : ((Server) server.get(dynamodb)).getConnectors()) {
            ((ServerConnector) connector).setHost("127.0.0.1");
        }
        // Not start(), which sends telemetry to Amazon.
        dynamodb.safeStart();
        dynamodb.join();
    }

    private static void elasticmq(String port) {
        System.setProperty("rest-sqs.bind-hostname", "127.0.0.1");
        System.setProperty("rest-sqs.bind-port", port);
        System.setProperty("node-address.host", "127.0.0.1");
        System.setProperty("node-address.port", port);
        System.setProperty("rest-stats.enabled", "false");
        System.setProperty("aws.region", "us-east-1");
        System.setProperty("aws.accountId", "000000000000");
        org.elasticmq.server.Main.main(new String[0]);
    }
}
