import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * Runs a cluster of one OpenSearch node until its standard input is closed. The launcher of OpenSearch refuses to run as
 * root, and in most containers tests run as root. An embedded node does not refuse.
 */
final class Backend extends Node {
    private Backend(Environment environment) {
        super(environment, List.of(Netty4Plugin.class, PainlessPlugin.class), false);
    }

    /** Arguments: the kind of the backend, its HTTP port, its data folder. */
    public static void main(String[] arguments) throws Exception {
        ParentWatch.start();
        Settings settings = Settings.builder()
                .put("node.name", arguments[0])
                .put("http.port", arguments[1])
                .put("path.home", arguments[2])
                .put("network.host", "127.0.0.1")
                .put("transport.port", "0")
                .put("discovery.type", "single-node")
                // A disk that is nearly full would make indexes read-only.
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build();
        new Backend(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "")).start();
        // All threads of the node are daemons.
        Thread.currentThread().join();
    }
}
