"""The demonstration: the whole system on this machine, shown at work on real pictures and a few bad ones."""
