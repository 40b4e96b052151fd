"""Data sets as params.yaml describes them: a checked dataclass per kind of source."""

from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from mlorakit.data.amazon import CATEGORIES, GROUPS, source_name
from mlorakit.data.movielens import COLUMNS
from mlorakit.data.own import SplitBy

FORBID = ConfigDict(extra="forbid")
ALL = "all"
"""The `categories` of all of Amazon."""


class DatasetSpec(Protocol):
    """What every description of a data set has."""

    @property
    def source(self) -> str:
        """The key of its kind in `mlorakit.data.row_sources.ROW_SOURCES`."""

    @property
    def raw(self) -> tuple[str, ...]:
        """The raw sources whose files it is made of."""

    @property
    def domain(self) -> str:
        """The column whose values are the domains."""


def _names(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _range(value: object) -> object:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return (value,) if isinstance(value, int | float) else value


def _categories(value: object) -> object:
    if value == ALL:
        return CATEGORIES
    if isinstance(value, str) and value in GROUPS:
        return GROUPS[value]
    # The released configs write "Patio Lawn and Garden"; in a list that works here too.
    names: Any = _names(value)
    return tuple(str(n).replace(", ", "_").replace(" ", "_") for n in names)


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Ratio = Annotated[float, Field(gt=0)]
Ratios = Annotated[tuple[Ratio, ...], BeforeValidator(_range), Field(min_length=1, max_length=2)]

_RATIOS = (0.2, 0.5)  # of MAMDR's and MLoRA's configs


def _check_ratios(ratios: tuple[float, ...]) -> None:
    if ratios[0] > ratios[-1]:
        raise ValueError(f"ctr_ratio runs from {ratios[0]} down to {ratios[-1]}; turn it round")


def _check_distinct(what: str, names: tuple[str, ...]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{what} {', '.join(names)} name a column twice")


@dataclass(frozen=True, config=FORBID)
class MovielensSpec:
    """Ratings of MovieLens's format.

    Args:
        source: of the raw files.
        domain: the column whose values are the domains.
        fields: the categorical columns that a model sees; the domain is added if it is not there.
    """

    source: Literal["movielens", "generated"]
    domain: str
    fields: Names

    def __post_init__(self) -> None:
        for name in (self.domain, *self.fields):
            if name not in COLUMNS:
                raise ValueError(f"column {name!r} is not one of {', '.join(COLUMNS)}")
        _check_distinct("fields", self.fields)
        if self.domain not in self.fields:
            object.__setattr__(self, "fields", (*self.fields, self.domain))

    @property
    def raw(self) -> tuple[str, ...]:
        """One source."""
        return (self.source,)


@dataclass(frozen=True, config=FORBID)
class AmazonSpec:
    """Reviews of Amazon's format, a category being a domain.

    Args:
        source: `amazon`, or `generated_amazon`, which holds all its categories at once.
        categories: `amazon_6`, `amazon_13`, `all`, or names; of `amazon` only.
        ctr_ratio: positives per negative; of two numbers, each domain draws its own between them.
    """

    source: Literal["amazon", "generated_amazon"]
    categories: Annotated[tuple[str, ...], BeforeValidator(_categories)] = ()
    ctr_ratio: Ratios = _RATIOS

    def __post_init__(self) -> None:
        _check_ratios(self.ctr_ratio)
        if self.source == "generated_amazon":
            if self.categories:
                raise ValueError("generated_amazon has the domains generated; leave categories out")
            return
        if not self.categories:
            raise ValueError(f"categories names none; give {', '.join((*GROUPS, ALL))}, or names")
        for name in self.categories:
            if name not in CATEGORIES:
                raise ValueError(
                    f"category {name!r} is not one of {', '.join((*GROUPS, ALL, *CATEGORIES))}"
                )
        _check_distinct("categories", self.categories)

    @property
    def raw(self) -> tuple[str, ...]:
        """A source per category, or the generated one."""
        return tuple(map(source_name, self.categories)) or (self.source,)

    @property
    def domain(self) -> str:
        """The field of the categories."""
        return "category"


@dataclass(frozen=True, config=FORBID)
class TaobaoSpec:
    """Clicks of Taobao's format, a theme being a domain.

    Args:
        source: of the raw files.
        themes: how many, those first that the log names first, or `all`.
        split: `random`, or `time` by reach_time.
        ctr_ratio: positives per negative; of two numbers, each domain draws its own between them.
    """

    source: Literal["taobao", "generated_taobao"]
    themes: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    split: Literal["random", "time"] = "random"
    ctr_ratio: Ratios = _RATIOS

    def __post_init__(self) -> None:
        _check_ratios(self.ctr_ratio)

    @property
    def raw(self) -> tuple[str, ...]:
        """One source."""
        return (self.source,)

    @property
    def domain(self) -> str:
        """The field of the themes."""
        return "theme"


@dataclass(frozen=True, config=FORBID)
class LogSpec:
    """The log that `mlorakit.data.planted_log` generates, a site being a domain.

    Args:
        source: of the raw file.
    """

    source: Literal["generated_log"]

    @property
    def raw(self) -> tuple[str, ...]:
        """One source."""
        return (self.source,)

    @property
    def domain(self) -> str:
        """The column of the sites."""
        return "site"


@dataclass(frozen=True, config=FORBID)
class FileSpec:
    """A CSV or parquet file of the reader's own.

    Args:
        source: `file`.
        path: of the file, from the project's root; below data/raw DVC sees when it changes.
        label: column of 0 and 1.
        domain: the column whose values are the domains.
        user, item: columns of both; fields of these names are what a model sees. Either may be
            left out.
        fields: other columns of one value each; the domain is added if it is not there.
        several: columns of several values to the number that counts of each row.
        separator: between the values in such a column of text.
        split: `random`, `column` (train, validation, test) or `time`.
        split_column: the column of the split or the time.
    """

    source: Literal["file"]
    path: str
    label: str
    domain: str
    user: str | None = None
    item: str | None = None
    fields: Names = ()
    several: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    separator: Annotated[str, Field(min_length=1)] = "|"
    split: SplitBy = "random"
    split_column: str | None = None

    def __post_init__(self) -> None:
        if (self.split == "random") != (self.split_column is None):
            needs = "takes no" if self.split == "random" else "needs a"
            raise ValueError(f"split {self.split!r} {needs} split_column")
        named = (self.user, self.item, *self.fields, *self.several)
        inputs = tuple(name for name in named if name is not None)
        _check_distinct("user, item, fields and several", inputs)
        for name in (self.label, self.split_column):
            if name in (*inputs, self.domain):
                raise ValueError(f"column {name!r} is what is asked for and cannot be a field")
        if self.domain in self.several:
            raise ValueError(f"domain {self.domain!r} cannot have several values")

    @property
    def raw(self) -> tuple[str, ...]:
        """None: the file is there."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        named = (
            self.label, self.domain, self.user, self.item, *self.fields, *self.several,
            self.split_column,
        )  # fmt: skip
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def singles(self) -> dict[str, str]:
        """Field name to column, of the fields of one value."""
        named = {"user": self.user, "item": self.item}
        others = (
            self.fields
            if self.domain in (*named.values(), *self.fields)
            else (*self.fields, self.domain)
        )
        fields = {name: column for name, column in named.items() if column is not None}
        # `domain` and `label` are columns of every processed data set.
        return fields | {f"{c}_id" if c in ("domain", "label") else c: c for c in others}
