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
# what a page or a figure about several sets of people calls them
PEOPLE = {"pedestrians": "embedded people", "viper": "VIPeR", "caviar": "CAVIAR4REID"}
