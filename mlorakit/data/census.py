"""Census-Income (KDD), UCI data set 117, as two tasks: income above 50K, and never married."""

from pathlib import Path

import polars as pl

from mlorakit.data.rows import RowAccount, account_for

COLUMNS = (
    "age",
    "class_of_worker",
    "industry_code",
    "occupation_code",
    "education",
    "wage_per_hour",
    "enrolled_in_education",
    "marital_status",
    "major_industry",
    "major_occupation",
    "race",
    "hispanic_origin",
    "sex",
    "labor_union",
    "reason_for_unemployment",
    "employment",
    "capital_gains",
    "capital_losses",
    "dividends",
    "tax_filer",
    "region_of_previous_residence",
    "state_of_previous_residence",
    "family_status",
    "household_summary",
    "instance_weight",
    "migration_msa",
    "migration_region",
    "migration_within_region",
    "lived_here_a_year_ago",
    "previous_residence_in_sunbelt",
    "persons_worked_for_employer",
    "parents_present",
    "birth_country_of_father",
    "birth_country_of_mother",
    "birth_country",
    "citizenship",
    "own_business",
    "veterans_questionnaire",
    "veterans_benefits",
    "weeks_worked",
    "year",
    "income",
)
"""The columns of the raw file, in its order (census-income.names)."""

# instance_weight says how many people a row stands for, not what the person is like; the names file
# says to leave it out. The two labels are no inputs.
FIELDS = tuple(c for c in COLUMNS if c not in ("instance_weight", "marital_status", "income"))

_INCOMES = ("- 50000.", "50000+.")
_NEVER_MARRIED = "Never married"


def read_census(path: Path, strict: bool) -> tuple[pl.DataFrame, list[RowAccount]]:
    """The rows of a census-income file.

    Every value is taken as a category, numbers too.

    Args:
        path: of census-income.test or census-income.data.
        strict: stop at the first malformed row.

    Returns:
        Frame with the string columns `FIELDS` ("?" as null), `click` (income above 50,000 dollars),
        `conversion` (never married), `converts` (always true) and `cluster` (the row's number);
        and an account of the rows.

    Raises:
        DataError: a malformed row, if strict.
    """
    # latin-1 maps every byte to one character, so no row is lost to a decoding error.
    rows = path.read_bytes().decode("latin-1").splitlines()
    frame = pl.DataFrame({"row": rows}, schema={"row": pl.String}).with_row_index("line", offset=1)
    parts = pl.col("parts")
    frame = (
        frame.with_columns(parts=pl.col("row").str.split(","))
        .with_columns(whole=parts.list.len() == len(COLUMNS))
        .with_columns(
            pl.when("whole").then(parts.list.get(i, null_on_oob=True).str.strip_chars()).alias(name)
            for i, name in enumerate(COLUMNS)
        )
    )
    kept, account = account_for(
        frame,
        path.name,
        {
            f"not {len(COLUMNS)} columns separated by ','": ~pl.col("whole"),
            "income is neither '- 50000.' nor '50000+.'": ~pl.col("income").is_in(_INCOMES),
            "marital status is empty": pl.col("marital_status") == "",
        },
        strict,
    )
    return kept.with_row_index("cluster").select(
        *(pl.when(pl.col(c) != "?").then(pl.col(c)).alias(c) for c in FIELDS),
        click=(pl.col("income") == _INCOMES[1]).cast(pl.UInt8),
        conversion=(pl.col("marital_status") == _NEVER_MARRIED).cast(pl.Float32),
        converts=pl.lit(True),
        cluster=pl.col("cluster").cast(pl.Int64),
    ), [account]
