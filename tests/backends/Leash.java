/** Ends the virtual machine when its standard input does: then whoever started it is gone. */
final class Leash {
    static void fasten() {
        Thread leash = new Thread(Leash::haltAtEndOfInput, "leash");
        leash.setDaemon(true);
        leash.start();
    }

    private static void haltAtEndOfInput() {
        try {
            while (System.in.read() >= 0) {
            }
        } catch (java.io.IOException closed) {
            // It ends all the same.
        }
        Runtime.getRuntime().halt(0);
    }
}
