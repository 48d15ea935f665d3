"""EDGE: PostgreSQL: questions, deletion and erasure, the export of a person."""
