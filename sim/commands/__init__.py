"""The commands of `powernode sim`, one file each. `sim.cli` puts them together."""
