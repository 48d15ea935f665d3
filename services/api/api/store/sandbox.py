"""EDGE: the role as which a sandbox key's questions are asked: PostgreSQL shows it nobody real."""

from typing import Final

from sqlalchemy import Boolean, literal_column

SANDBOX_ROLE: Final = "api_sandbox"
# For what PostgreSQL keeps apart for the sandbox, but not for the others.
IN_SANDBOX: Final = literal_column(f"(current_user = '{SANDBOX_ROLE}')", Boolean)
