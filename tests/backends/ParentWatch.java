/** Halts the virtual machine when its standard input is closed, which means that the parent process has ended. */
final class ParentWatch {
    static void start() {
        Thread thread = new Thread(ParentWatch::haltAtEndOfInput, "parent-watch");
        thread.setDaemon(true);
        thread.start();
    }

    private static void haltAtEndOfInput() {
        try {
            while (System.in.read() >= 0) {
            }
        } catch (java.io.IOException closed) {
            // A broken pipe means the same as its end.
        }
        Runtime.getRuntime().halt(0);
    }
}
