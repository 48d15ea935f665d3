"""A session of an analyst's fills no disk with temporary files: 512 MB, where we may say so.

PostgreSQL lets a superuser alone set this limit, and whom a superuser grants it (`GRANT SET ON
PARAMETER temp_file_limit`); no session can set it anew. A migration that is run by another owner
leaves it as it is.
"""

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

READER = "tableau_reader"

# Twenty sessions take 10 GB together. The workbook's sheets sort less than 100 MB.
LIMIT = "512MB"

SET_LIMIT = f"""
DO $$
BEGIN
    ALTER ROLE {READER} SET temp_file_limit = '{LIMIT}';
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(SET_LIMIT)


def downgrade() -> None:
    """The limit stays: roles belong to the whole server, and it serves the version before too."""
