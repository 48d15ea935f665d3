"""EDGE: PostgreSQL's type of one byte, for SQLAlchemy: a whole number from -128 to 127.

It is written `"char"`, is none of the types of text, and becomes a number by a cast.
"""

from typing import Any

from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Byte(UserDefinedType[int]):
    """`"char"`."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401
        """The type's name."""
        return '"char"'


# So that who reads a table's columns from the database finds what is stated here.
ischema_names['"char"'] = Byte
