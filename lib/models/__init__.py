"""Networks and nothing else: no data set, no loss, no training loop.

Import from the module that holds the network (``from lib.models.backbones import create_backbone``): a run is
identified by the source files that it uses, so a file that imports every network would tie every run to all of them.
"""
