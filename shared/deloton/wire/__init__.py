"""EDGE: the ways out of the house but for the database: Kafka and mail."""
