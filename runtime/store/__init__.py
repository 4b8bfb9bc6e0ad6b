"""Storage for the engine: the port and its SQLite side. The simulated side, with faults, is `sim.store`."""
