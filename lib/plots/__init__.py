"""Pure functions: results in, matplotlib figures out. Import the module by name (``from lib.plots.people import
...``)."""
