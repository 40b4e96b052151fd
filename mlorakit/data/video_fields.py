"""The features of LT4REC's video logs, as the public sample has them and the released code reads
them.
"""

from dataclasses import dataclass

from mlorakit.data.example import Feature

MISSING_VALUE = "-1"
"""What a text feature holds where its value is missing."""

POSITION, SESSION, LOGGED_CTR, CLICK, WATCHED = "FEA_ORDER", "seqnum", "pctr", "label", "cvrlabel"
"""Features with a meaning of their own: place in the list shown, session, the production model's
click probability, whether the video was clicked, and the share of it that was watched."""


@dataclass(frozen=True)
class VideoField:
    """A field of the network.

    Args:
        table: the embedding table that it looks up, named by its first field.
        several: whether it may have more values than one.
    """

    table: str
    several: bool = False


FIELDS: dict[str, VideoField] = {
    "FEA_SVID": VideoField("VID"),  # the video that was watched before: the source
    "FEA_SCP": VideoField("CP"),  # its provider
    "FEA_SICAT1": VideoField("ICAT2"),  # its category, coarse
    "FEA_SICAT2": VideoField("ICAT2"),  # and fine
    "FEA_VID": VideoField("VID"),  # the video shown
    "FEA_CP": VideoField("CP"),
    "FEA_ICAT1": VideoField("ICAT2"),
    "FEA_ICAT2": VideoField("ICAT2"),
    "FEA_ORDER": VideoField("ORDER"),
    "FEA_COVERQUALITY": VideoField("COVERQUALITY"),
    "FEA_AGE": VideoField("AGE"),
    "FEA_DURATION": VideoField("DURATION"),
    "FEA_ALGID": VideoField("ALGID"),  # the algorithm that proposed the video
    "FEA_UID": VideoField("UID"),
    "FEA_UGROUP": VideoField("UGROUP"),
    "FEA_SIKEYWORD": VideoField("SIKEYWORD", several=True),
    "FEA_STAG": VideoField("IXFTAG", several=True),
    "FEA_IXFTAG": VideoField("IXFTAG", several=True),
    "FEA_IKEYWORD": VideoField("IXFTAG", several=True),
    "FEA_UCAT": VideoField("ICAT2", several=True),
}
"""The 20 fields in the released code's order, with its shared tables."""

BUCKETS = {
    "VID": 15_000_000,
    "CP": 400_000,
    "ICAT2": 1_000,
    "ORDER": 200,
    "COVERQUALITY": 10,
    "AGE": 200,
    "DURATION": 3_000,
    "ALGID": 200,
    "UID": 10_000_000,
    "UGROUP": 10,
    "SIKEYWORD": 10,
    "IXFTAG": 500_000,
}
"""Hash buckets of each table in the released code."""

SAMPLE_SCHEMA = (
    *(Feature(name, "bytes") for name in (*FIELDS, LOGGED_CTR, SESSION)),
    Feature(CLICK, "int64"),
    Feature(WATCHED, "float"),
)
"""The 24 features of every record of the public sample, with their kinds."""
