"""Networks and nothing else: no data set, no loss, no training loop.

Each network stands in a file of its own, beside its entries of a registry (``lib.models.registry``);
``lib.models.backbones`` and ``lib.models.superres`` make them by name.
"""
