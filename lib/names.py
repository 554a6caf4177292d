"""Names that the command line checks before anything large is loaded. A leaf: it uses nothing, so it costs nothing."""

PROFILES = ("quick", "course", "paper")
DATASETS = (  # those of lib.data.readers.READERS, which imports torch; a test compares the two
    "pedestrians",
    "pedestrians-pretrain",
    "viper",
    "caviar",
    "cuhk03",
    "market1501",
    "dukemtmc",
    "msmt17",
    "sysu",
)
# what pages, tables and figures call them
PEOPLE = {
    "pedestrians": "embedded people", "viper": "VIPeR", "caviar": "CAVIAR4REID", "cuhk03": "CUHK03",
    "market1501": "Market-1501", "dukemtmc": "DukeMTMC", "msmt17": "MSMT17", "sysu": "SYSU",
}  # fmt: skip
