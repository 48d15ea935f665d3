"""Raw log lines from Kafka to exact rows in PostgreSQL and typed events on Kafka."""
