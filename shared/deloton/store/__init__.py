"""EDGE: PostgreSQL: tables and their migrations, roles, connections, what rides add up to."""
