"""EDGE: the role as which a sandbox key's questions are asked: PostgreSQL shows it nobody real."""

from typing import Final

from sqlalchemy import Boolean, literal_column, or_

from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from deloton.store.tables import riders

SANDBOX_ROLE: Final = "api_sandbox"
# For what PostgreSQL keeps apart for the sandbox, but not for the others.
IN_SANDBOX: Final = literal_column(f"(current_user = '{SANDBOX_ROLE}')", Boolean)
# The riders that a key may know of: of a sandbox key PostgreSQL itself leaves out all others. Of
# the other keys it does not, since the role `api` also answers the links in mails to anybody.
RIDER_IN_VIEW: Final = or_(IN_SANDBOX, riders.c.rider_id < FIRST_SANDBOX_RIDER_ID)
